"""Similarities to the nearest of each class against a loop over all pairs."""

import numpy as np
from threadpoolctl import threadpool_limits

from tandem.curation.label_errors.neighbors import class_similarities


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_similarities_are_those_that_a_loop_finds() -> None:
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(30, 4)) + 2).astype(np.float32)
    targets, groups = np.arange(30) % 3, np.arange(30) // 2
    vectors = unit(features.astype(float))
    centered = unit(vectors - vectors.mean(axis=0))
    own_class, of_class = np.zeros(30), np.zeros((30, 3))
    for row in range(30):
        others = [other for other in range(30) if groups[other] != groups[row]]
        own = [vectors[row] @ vectors[other] for other in others if targets[other] == targets[row]]
        own_class[row] = np.mean(sorted(own)[-5:])
        for number in range(3):
            cosines = [centered[row] @ centered[other] for other in others if targets[other] == number]
            of_class[row, number] = np.mean(sorted(cosines)[-5:])
    found = class_similarities(features, targets, groups, num_classes=3, num_neighbors=5)
    np.testing.assert_allclose(found[0], own_class, atol=1e-6)
    np.testing.assert_allclose(found[1], of_class, atol=1e-5)


def test_a_class_of_which_no_image_can_be_compared_has_no_similarity() -> None:
    features = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    targets, groups = np.array([0, 0, 1, 1, 1, 1]), np.array([0, 0, 1, 2, 3, 4])
    own_class, of_class = class_similarities(features, targets, groups, num_classes=3, num_neighbors=2)
    assert np.isneginf(of_class[:2, 0]).all()
    assert np.isfinite(of_class[2:, 0]).all()
    assert np.isneginf(of_class[:, 2]).all()
    assert (own_class[:2] == 0).all()


def test_similarities_are_the_same_bytes_on_any_number_of_cores() -> None:
    features, numbers = np.random.default_rng(0).normal(size=(1037, 517)).astype(np.float32), np.arange(1037)
    found = []
    for num_cores in (1, 2):  # which share out the products of the last, small block
        with threadpool_limits(limits=num_cores):
            both = class_similarities(features, numbers % 3, numbers, num_classes=3, num_neighbors=5)
            found.append(b"".join(each.tobytes() for each in both))
    assert found[0] == found[1]
