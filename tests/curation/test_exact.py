"""Similar pairs in two splits by comparing all; what comes of them is tested in test_leak_check."""

import numpy as np

from tandem.curation.across import exact
from tandem.curation.across.exact import compare_all
from tandem.curation.settings import SimilarityThresholds


def test_bits_are_counted_across_the_borders_of_blocks_up_to_all_256() -> None:
    rng = np.random.default_rng(0)
    one, other = (rng.integers(2**64, size=(4, n), dtype=np.uint64) for n in (3, exact._COLUMNS + 5))
    other[:, -1] = ~one[:, 2]
    bits = [np.unpackbits(np.ascontiguousarray(words.T).view(np.uint8), axis=1) for words in (one, other)]
    expected = (bits[0][:, None] != bits[1]).sum(axis=2)
    assert expected[2, -1] == 256
    np.testing.assert_array_equal(exact._distances(one, other), expected)


def test_pairs_inside_a_split_are_not_compared_and_each_image_has_its_highest_cosine() -> None:
    rng = np.random.default_rng(1)
    features, hashes = rng.normal(size=(30, 8)), rng.integers(256, size=(30, 8, 32), dtype=np.uint8)
    features[1], features[29] = features[0], 2 * features[5]
    hashes[28, 4] = hashes[7, 0]
    rows = {"train": np.arange(20), "val": np.arange(20, 20), "test": np.arange(20, 30)}
    found, highest = compare_all(features, hashes, rows, SimilarityThresholds(0.999, 0))
    assert {pair[:2] for pair in found} == {(5, 29), (7, 28)}
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    across = unit[:20] @ unit[20:].T
    np.testing.assert_allclose(highest, [*across.max(axis=1), *across.max(axis=0)])


def test_cosines_are_of_the_right_rows_across_the_borders_of_blocks() -> None:
    rng = np.random.default_rng(2)
    size = exact._ROWS + 3
    features, flat = rng.normal(size=(2 * size, 8)), np.zeros((2 * size, 8, 32), dtype=np.uint8)
    order = rng.permutation(2 * size)
    rows = {"train": order[:size], "test": order[size:]}
    planted = {(rows["train"][i], rows["test"][j]) for i, j in ((0, size - 1), (size - 1, 0), (1, 1))}
    for one, other in planted:
        features[other] = 2 * features[one]
    found, highest = compare_all(features, flat, rows, SimilarityThresholds(0.999999, 0))
    assert {pair[:2] for pair in found} == planted
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    cosines = unit[rows["train"]] @ unit[rows["test"]].T
    np.testing.assert_allclose(highest, [*cosines.max(axis=1), *cosines.max(axis=0)])
