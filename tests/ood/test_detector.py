"""Distances to class means against a loop and scikit-learn, and what is kept of them."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from factories import samples_of
from tandem.errors import DamagedFileError
from tandem.ood.detector import (
    OodDetector,
    fit_detector,
    fit_detectors,
    joined_scores,
    load_detector,
    load_ood_scores,
    save_detectors,
    unit_features,
)

DIM, PER_CLASS = 8, 20


def planted(num_views=None):
    """Features around a direction for each of three classes, of any length, and their samples, four of five train."""
    rng = np.random.default_rng(0)
    targets = np.arange(3 * PER_CLASS) % 3
    shape = (len(targets), DIM) if num_views is None else (len(targets), num_views, DIM)
    directions = np.eye(3, DIM)[targets] if num_views is None else np.eye(3, DIM)[targets][:, None]
    features = directions + 0.1 * rng.normal(size=shape)
    lengths = rng.uniform(1, 100, size=(*shape[:-1], 1))
    splits = ["val" if row % 5 == 4 else "train" for row in range(len(targets))]
    return (lengths * features).astype(np.float32), samples_of(targets.tolist(), splits)


def test_distances_are_one_less_the_cosine_to_the_mean_of_what_has_length_one():
    features, samples = planted()
    detector = fit_detector(features, samples.train)
    train, targets = features[samples.train.rows], samples.train.targets
    unit = train / np.linalg.norm(train, axis=1, keepdims=True)
    means = np.stack([unit[targets == target].mean(axis=0) for target in range(3)])
    expected = (1 - cosine_similarity(features, means) - detector.center) / detector.scale
    np.testing.assert_allclose(detector.distances(features), expected, atol=1e-4)


def test_center_and_scale_are_of_images_whose_groups_the_means_have_not_seen():
    features, samples = planted()
    groups = [f"{row // 6}" for row in range(len(samples))]  # of all classes
    of_groups = samples_of(samples.targets.tolist(), ["train"] * len(samples), groups=groups)
    alone, together = (
        fit_detector(features, each.train) for each in (samples.with_splits(of_groups.splits), of_groups)
    )
    in_sample = (1 - cosine_similarity(features, alone.means)).min(axis=1)
    assert alone.center > in_sample.mean()
    assert alone.means.tobytes() == together.means.tobytes()
    assert (alone.center, alone.scale) != (together.center, together.scale)


def test_images_of_the_classes_have_scores_about_0_and_others_high_ones():
    features, samples = planted()
    detector = fit_detector(features, samples.train)
    val = detector.distances(features[samples.val.rows]).min(axis=1)
    assert abs(val.mean()) < 1
    other = np.eye(1, DIM, 5, dtype=np.float32)
    assert detector.distances(other).min() > 10 > val.max()


def test_how_long_a_feature_vector_is_counts_for_nothing_and_none_is_no_number():
    features, samples = planted()
    detector = fit_detector(features, samples.train)
    np.testing.assert_allclose(detector.distances(7 * features), detector.distances(features), atol=1e-4)
    assert np.isfinite(detector.distances(np.zeros((2, DIM), np.float32))).all()


def test_of_views_the_mean_cosine_counts():
    features, samples = planted(num_views=3)
    detector = fit_detector(features, samples.train)
    each_view = [detector.distances(features[:, view]) for view in range(3)]
    np.testing.assert_allclose(detector.distances(features), np.mean(each_view, axis=0), atol=1e-4)
    assert unit_features(features).shape == (len(features), DIM)


def test_a_model_of_several_backbones_has_the_mean_of_their_least_distances():
    one, two = np.array([[1.0, 3.0], [4.0, 2.0]]), np.array([[5.0, 0.0], [7.0, 8.0]])
    assert joined_scores([one, two]).tolist() == [0.5, 4.5]


def test_images_that_are_all_the_same_have_a_scale():
    samples = samples_of([0, 1, 2] * 4, ["train"] * 12)
    assert fit_detector(np.eye(3, dtype=np.float32)[samples.targets], samples.train).scale == 1


def saved(folder):
    features, samples = planted()
    both = {"one": features, "two": features[:, ::-1].copy()}
    detectors = fit_detectors(both, samples.train)
    return samples, detectors, save_detectors(detectors, both, ids=samples.ids, folder=folder)


def test_what_is_written_is_read_again(tmp_path):
    samples, detectors, distances = saved(tmp_path / "ood")
    for name, detector in detectors.items():
        found = load_detector(tmp_path / f"ood/{name}.npz")
        assert found.means.tobytes() == detector.means.tobytes()
        assert (found.center, found.scale) == (detector.center, detector.scale)
    paths = [tmp_path / f"ood/{name}.npz" for name in detectors]
    expected = joined_scores(list(distances.values()))
    assert load_ood_scores(paths, ids=samples.ids).tolist() == expected.tolist()


def test_scores_of_other_images_are_refused(tmp_path):
    samples, *_ = saved(tmp_path / "ood")
    with pytest.raises(DamagedFileError, match=r"one\.npz .*its scores are of other images"):
        load_ood_scores([tmp_path / "ood/one.npz"], ids=samples.ids[1:])


def test_a_detector_that_is_none_is_refused(tmp_path):
    np.savez(tmp_path / "one.npz", means=np.zeros(3), scale=np.ones(2))
    with pytest.raises(DamagedFileError, match=r"one\.npz .*its arrays are not those of a detector"):
        load_detector(tmp_path / "one.npz")


def test_distances_are_in_standard_deviations_above_the_center():
    detector = OodDetector(np.eye(3, dtype=np.float32), 0.5, 2.0)
    assert replace(detector, scale=1.0).distances(np.eye(3, dtype=np.float32))[0].tolist() == [-0.5, 0.5, 0.5]
    assert detector.distances(np.eye(3, dtype=np.float32))[0].tolist() == [-0.25, 0.25, 0.25]
