"""Candidates are scored by their pixels, and written with ids."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from planted_images import textured_image
from tandem.cache import recipe as recipes
from tandem.cache.recipe import code_digest
from tandem.cache.store import CACHE_DIR
from tandem.curation.duplicates import verify
from tandem.curation.duplicates.alignment import Keypoints, correlation, correlation_unaligned, describe
from tandem.curation.duplicates.candidates import Candidates
from tandem.curation.duplicates.pairs import Pairs
from tandem.curation.duplicates.verify import ScoredPairs, save_pairs, verify_candidates
from tandem.files import read_csv

IDS = ["first", "second", "third"]  # of the images' bytes
FLAT = [describe(Image.new("L", (64, 64), shade)) for shade in (0, 200)]
TEXTURED = [describe(textured_image(1)), describe(textured_image(1).rotate(10)), describe(textured_image(2))]


def candidates(*rows: tuple[int, int], is_similar: bool) -> Candidates:
    first, second = np.array(rows).T
    pairs = Pairs(first, second, np.full(len(rows), 0.99))
    return Candidates(pairs, np.full(len(rows), is_similar), np.zeros((0, 2), dtype=np.int64))


def test_a_pair_is_scored_by_its_aligned_pixels() -> None:
    scored = verify_candidates(
        candidates((0, 1), (0, 2), (1, 2), is_similar=False), TEXTURED.__getitem__, IDS, max_gb=0
    )
    expected = [correlation(TEXTURED[i], TEXTURED[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert scored.correlation.tolist() == expected
    assert expected[0] > 0.95 > 0.9 > max(expected[1:])


def test_nothing_is_printed_where_no_terminal_is(capfd: pytest.CaptureFixture[str]) -> None:
    verify_candidates(candidates((0, 1), is_similar=False), TEXTURED.__getitem__, IDS, max_gb=0)
    assert capfd.readouterr() == ("", "")


def test_similar_images_without_keypoints_are_compared_unaligned_and_others_are_not() -> None:
    similar = verify_candidates(candidates((0, 1), is_similar=True), FLAT.__getitem__, IDS, max_gb=0)
    nearest = verify_candidates(candidates((0, 1), is_similar=False), FLAT.__getitem__, IDS, max_gb=0)
    assert (similar.correlation.tolist(), nearest.correlation.tolist()) == ([1.0], [0.0])


def test_of_similar_images_the_better_of_both_comparisons_counts() -> None:
    scored = verify_candidates(candidates((0, 2), is_similar=True), TEXTURED.__getitem__, IDS, max_gb=0)
    one, other = TEXTURED[0], TEXTURED[2]
    assert scored.correlation.tolist() == [max(correlation(one, other), correlation_unaligned(one, other))]


def test_pairs_are_verified_part_by_part_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = candidates((0, 1), (0, 2), (1, 2), is_similar=True)
    whole = verify_candidates(pairs, TEXTURED.__getitem__, IDS, max_gb=0).correlation
    monkeypatch.setattr(verify, "_PART", 2)
    assert verify_candidates(pairs, TEXTURED.__getitem__, IDS, max_gb=0).correlation.tolist() == whole.tolist()
    none = Candidates(pairs.pairs.where(np.zeros(3, dtype=bool)), np.zeros(0, dtype=bool), pairs.same_stem)
    assert len(verify_candidates(none, TEXTURED.__getitem__, IDS, max_gb=0)) == 0


def test_pairs_are_written_with_ids_and_those_that_hardly_correlate_are_not(tmp_path: Path) -> None:
    pairs = Pairs(np.array([0, 0, 1]), np.array([1, 2, 2]), np.array([0.25, 0.5, 0.75]))
    scored = ScoredPairs(pairs, np.array([0.5, 0.49, 0.98]))
    save_pairs(scored, ["a", "b", "c"], tmp_path / "pairs.csv")
    assert read_csv(tmp_path / "pairs.csv") == [
        {"first": "a", "second": "b", "similarity": "0.25", "correlation": "0.5"},
        {"first": "b", "second": "c", "similarity": "0.75", "correlation": "0.98"},
    ]


# --- what is kept


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_DIR, str(tmp_path / "cache"))
    return tmp_path / "cache"


class Reader:
    """Keypoints of TEXTURED, and of which rows they were asked for."""

    def __init__(self) -> None:
        self.rows = list[int]()

    def __call__(self, row: int) -> Keypoints:
        self.rows.append(row)
        return TEXTURED[row]


def verified(pairs: Candidates, ids: Sequence[str] = IDS, *, max_gb: float = 1) -> tuple[bytes, set[int]]:
    """The correlations, and the rows whose keypoints were read."""
    read = Reader()
    return verify_candidates(pairs, read, ids, max_gb=max_gb).correlation.tobytes(), set(read.rows)


ALL_PAIRS = candidates((0, 1), (0, 2), (1, 2), is_similar=True)


def test_a_pair_is_verified_once_whatever_else_is_verified_with_it(cache: Path) -> None:
    nothing_kept, _ = verified(ALL_PAIRS, max_gb=0)
    assert not cache.exists()
    assert verified(candidates((0, 1), (0, 2), is_similar=True)) == (nothing_kept[:16], {0, 1, 2})
    assert verified(ALL_PAIRS) == (nothing_kept, {1, 2})
    assert verified(ALL_PAIRS) == (nothing_kept, set())
    assert verified(candidates((1, 2), is_similar=True)) == (nothing_kept[16:], set())


def test_other_bytes_another_order_and_another_comparison_are_another_pair(cache: Path) -> None:
    verified(ALL_PAIRS)
    assert verified(ALL_PAIRS, ["first", "other", "third"])[1] == {0, 1, 2}
    assert verified(candidates((1, 0), is_similar=True))[1] == {0, 1}
    assert verified(candidates((0, 1), is_similar=False))[1] == {0, 1}


@pytest.mark.parametrize("module", ["alignment", "verify"])
def test_a_change_of_what_correlates_finds_nothing_in_the_store(module, cache, tmp_path, monkeypatch) -> None:
    path = tmp_path / f"curation/duplicates/{module}.py"
    path.parent.mkdir(parents=True)
    monkeypatch.setattr(recipes, "_PACKAGE", tmp_path)
    for text in ("x = 1", "x = 2"):
        path.write_text(text)
        code_digest.cache_clear()
        assert [verified(ALL_PAIRS)[1], verified(ALL_PAIRS)[1]] == [{0, 1, 2}, set()]
    code_digest.cache_clear()


def test_a_damaged_store_changes_no_correlation(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected, _ = verified(ALL_PAIRS)
    (path,) = cache.rglob("*.sqlite")
    path.write_bytes(path.read_bytes().replace(expected[8:16], bytes(8)))
    assert verified(ALL_PAIRS) == (expected, {0, 2})
    assert "is damaged in part" in capsys.readouterr().err


@pytest.mark.parametrize("mask", [[True, False, True], [False, False, False]])
def test_a_mask_selects_pairs_with_their_correlation(mask: list[bool]) -> None:
    pairs = Pairs(np.array([0, 0, 1]), np.array([1, 2, 2]), np.array([0.25, 0.5, 0.75]))
    scored = ScoredPairs(pairs, np.array([0.5, 0.49, 0.98])).where(np.array(mask))
    assert len(scored) == sum(mask)
    kept = [pair for pair, keep in zip([[0, 1], [0, 2], [1, 2]], mask, strict=True) if keep]
    assert scored.pairs.rows.tolist() == kept
    assert len(scored.correlation) == len(scored)
