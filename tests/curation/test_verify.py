"""Candidates are scored by their pixels, and written with ids."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from planted_images import textured_image
from tandem.curation.duplicates.alignment import correlation, correlation_unaligned, describe
from tandem.curation.duplicates.candidates import Candidates
from tandem.curation.duplicates.pairs import Pairs
from tandem.curation.duplicates.verify import ScoredPairs, save_pairs, verify_candidates
from tandem.files import read_csv

FLAT = [describe(Image.new("L", (64, 64), shade)) for shade in (0, 200)]
TEXTURED = [describe(textured_image(1)), describe(textured_image(1).rotate(10)), describe(textured_image(2))]


def candidates(*rows: tuple[int, int], is_similar: bool) -> Candidates:
    first, second = np.array(rows).T
    pairs = Pairs(first, second, np.full(len(rows), 0.99))
    return Candidates(pairs, np.full(len(rows), is_similar), np.zeros((0, 2), dtype=np.int64))


def test_a_pair_is_scored_by_its_aligned_pixels() -> None:
    scored = verify_candidates(candidates((0, 1), (0, 2), (1, 2), is_similar=False), TEXTURED.__getitem__)
    expected = [correlation(TEXTURED[i], TEXTURED[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert scored.correlation.tolist() == expected
    assert expected[0] > 0.95 > 0.9 > max(expected[1:])


def test_similar_images_without_keypoints_are_compared_unaligned_and_others_are_not() -> None:
    similar = verify_candidates(candidates((0, 1), is_similar=True), FLAT.__getitem__)
    nearest = verify_candidates(candidates((0, 1), is_similar=False), FLAT.__getitem__)
    assert (similar.correlation.tolist(), nearest.correlation.tolist()) == ([1.0], [0.0])


def test_of_similar_images_the_better_of_both_comparisons_counts() -> None:
    scored = verify_candidates(candidates((0, 2), is_similar=True), TEXTURED.__getitem__)
    one, other = TEXTURED[0], TEXTURED[2]
    assert scored.correlation.tolist() == [max(correlation(one, other), correlation_unaligned(one, other))]


def test_pairs_are_written_with_ids_and_those_that_hardly_correlate_are_not(tmp_path: Path) -> None:
    pairs = Pairs(np.array([0, 0, 1]), np.array([1, 2, 2]), np.array([0.25, 0.5, 0.75]))
    scored = ScoredPairs(pairs, np.array([0.5, 0.49, 0.98]))
    save_pairs(scored, ["a", "b", "c"], tmp_path / "pairs.csv")
    assert read_csv(tmp_path / "pairs.csv") == [
        {"first": "a", "second": "b", "similarity": "0.25", "correlation": "0.5"},
        {"first": "b", "second": "c", "similarity": "0.75", "correlation": "0.98"},
    ]


@pytest.mark.parametrize("mask", [[True, False, True], [False, False, False]])
def test_a_mask_selects_pairs_with_their_correlation(mask: list[bool]) -> None:
    pairs = Pairs(np.array([0, 0, 1]), np.array([1, 2, 2]), np.array([0.25, 0.5, 0.75]))
    scored = ScoredPairs(pairs, np.array([0.5, 0.49, 0.98])).where(np.array(mask))
    assert len(scored) == sum(mask)
    kept = [pair for pair, keep in zip([[0, 1], [0, 2], [1, 2]], mask, strict=True) if keep]
    assert scored.pairs.rows.tolist() == kept
    assert len(scored.correlation) == len(scored)
