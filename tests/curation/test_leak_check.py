"""The leakage check lets clean splits pass and names the first pair of a leak, by code of its own."""

import ast
import inspect

import numpy as np
import pytest
from PIL import Image, ImageOps

from tandem.curation import leak_check
from tandem.errors import LeakageError
from tandem.images.hashing import dihedral_phashes

IDS = [f"image{row}" for row in range(90)]
ROWS = {"train": np.arange(60), "val": np.arange(60, 75), "test": np.arange(75, 90)}
LIMITS = {"min_similarity": 0.99, "max_hash_distance": 40}


@pytest.fixture
def features() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(90, 64)).astype(np.float32)


@pytest.fixture
def hashes() -> np.ndarray:
    return np.stack([dihedral_phashes(smooth(seed)) for seed in range(90)])


def smooth(seed: int) -> Image.Image:
    """A smooth image of random colors."""
    colors = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(colors).resize((80, 80), Image.Resampling.BICUBIC)


def test_the_check_shares_no_code_with_what_it_checks() -> None:
    nodes = list(ast.walk(ast.parse(inspect.getsource(leak_check))))
    imported = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    assert {name for name in imported if name.startswith("tandem")} == {"tandem.errors"}


def test_clean_splits_pass_with_the_highest_similarity_across_them(features: np.ndarray, hashes: np.ndarray) -> None:
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    split = np.repeat([0, 1, 2], [60, 15, 15])
    found = leak_check.check_leakage(IDS, ROWS, features=features, hashes=hashes, **LIMITS)
    cosines = np.where(split[:, None] != split[None], unit @ unit.T, -1)
    np.testing.assert_allclose(found, cosines.max(axis=1), atol=1e-5)


@pytest.mark.parametrize(("one", "other"), [(3, 62), (59, 89), (60, 80)])
def test_a_near_duplicate_by_features_is_a_leak(one: int, other: int, features: np.ndarray, hashes: np.ndarray) -> None:
    features[other] = 2 * features[one] + 0.01
    with pytest.raises(
        LeakageError, match=rf"1 pairs of near duplicates .* image{one} and image{other} \(cosine (1|0\.99)"
    ):
        leak_check.check_leakage(IDS, ROWS, features=features, hashes=hashes, **LIMITS)


def test_a_near_duplicate_by_hash_is_a_leak(features: np.ndarray, hashes: np.ndarray) -> None:
    hashes[70] = dihedral_phashes(smooth(5).resize((60, 60)))
    with pytest.raises(
        LeakageError, match=r"both train and val; .*: image5 and image70 \(hash distance \d+ of 256 <= 40"
    ):
        leak_check.check_leakage(IDS, ROWS, features=features, hashes=hashes, **LIMITS)


@pytest.mark.parametrize(
    "turn", [ImageOps.mirror, ImageOps.flip, lambda image: image.transpose(Image.Transpose.ROTATE_90)]
)
def test_a_mirrored_or_turned_near_duplicate_is_a_leak(turn, features: np.ndarray, hashes: np.ndarray) -> None:
    hashes[70] = dihedral_phashes(turn(smooth(80)))
    with pytest.raises(
        LeakageError, match=r"1 pairs of near duplicates lie in both val and test; the first: image70 and image80"
    ):
        leak_check.check_leakage(IDS, ROWS, features=features, hashes=hashes, **LIMITS)


def test_similar_pairs_that_were_rejected_are_no_leak_and_all_others_are(
    features: np.ndarray, hashes: np.ndarray
) -> None:
    features[70], hashes[80] = features[3], hashes[70]
    rejected = {(3, 70), (70, 80)}
    leak_check.check_leakage(IDS, ROWS, features=features, hashes=hashes, rejected=rejected, **LIMITS)
    features[71] = features[70]  # behind a more similar one that was rejected
    with pytest.raises(
        LeakageError, match=r"1 pairs of near duplicates lie in both train and val; the first: image3 and image71"
    ):
        leak_check.check_leakage(IDS, ROWS, features=features, hashes=hashes, rejected=rejected, **LIMITS)


def test_near_duplicates_inside_one_split_are_no_leak(features: np.ndarray, hashes: np.ndarray) -> None:
    features[1], hashes[1] = features[0], hashes[0]
    leak_check.check_leakage(IDS, ROWS, features=features, hashes=hashes, **LIMITS)


def test_images_in_no_split_are_not_checked(features: np.ndarray, hashes: np.ndarray) -> None:
    features[89], hashes[89] = features[0], hashes[0]
    rows = {**ROWS, "test": np.arange(75, 89)}
    leak_check.check_leakage(IDS, rows, features=features, hashes=hashes, **LIMITS)


def test_a_split_without_images_leaks_nothing(features: np.ndarray, hashes: np.ndarray) -> None:
    rows = {"train": np.arange(90), "val": np.zeros(0, dtype=np.int64), "test": np.zeros(0, dtype=np.int64)}
    assert leak_check.check_leakage(IDS, rows, features=features, hashes=hashes, **LIMITS).max() == -1


def test_the_hashes_of_flat_images_mean_nothing(features: np.ndarray, hashes: np.ndarray) -> None:
    for row in (0, 61, 76):
        hashes[row] = dihedral_phashes(Image.new("RGB", (80, 80), (row, row, row)))
    leak_check.check_leakage(IDS, ROWS, features=features, hashes=hashes, **LIMITS)


def test_equal_features_are_a_leak_even_where_only_equal_ones_are(features: np.ndarray, hashes: np.ndarray) -> None:
    features[88] = 3 * features[20]
    with pytest.raises(LeakageError, match="image20 and image88"):
        leak_check.check_leakage(IDS, ROWS, features=features, hashes=hashes, min_similarity=1.0, max_hash_distance=0)


def test_every_pair_of_hashes_is_counted_once_across_blocks() -> None:
    num_rows = 2 * leak_check._BLOCK + 20
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 256, (num_rows, 8, 32), dtype=np.uint8)
    rows = {"train": np.arange(num_rows - 20), "test": np.arange(num_rows - 20, num_rows)}
    for train, test in [(0, -1), (leak_check._BLOCK, -2), (2 * leak_check._BLOCK - 1, -3)]:
        hashes[test] = hashes[train, 0]  # every orientation alike: one pair nevertheless
    features = rng.normal(size=(num_rows, 32)).astype(np.float32)
    ids = [str(row) for row in range(num_rows)]
    with pytest.raises(LeakageError, match=r"^3 pairs of near duplicates"):
        leak_check.check_leakage(ids, rows, features=features, hashes=hashes, **LIMITS)
