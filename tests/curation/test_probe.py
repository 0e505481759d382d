"""The linear probe against scikit-learn, step by step."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from tandem.curation import probe as probe_module
from tandem.curation.probe import probe


def blobs(num: int = 120, dim: int = 32) -> np.ndarray:
    """(num, dim) features around three centers, in turn."""
    rng = np.random.default_rng(0)
    return (3 * rng.normal(size=(3, dim))[np.arange(num) % 3] + 4 * rng.normal(size=(num, dim))).astype(np.float32)


def test_a_probe_is_scikit_learns_regression_on_standardised_features() -> None:
    features, targets = blobs(), np.arange(120) % 3
    scaler = StandardScaler().fit(features[:90].astype(float))
    head = LogisticRegression(C=0.01, class_weight="balanced", max_iter=5000)
    head.fit(scaler.transform(features[:90].astype(float)), targets[:90])
    expected = head.predict_proba(scaler.transform(features[90:].astype(float)))
    found = probe(features[:90], targets[:90], features[90:], num_classes=3)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_features_are_standardised_block_by_block_and_left_as_they_were(monkeypatch) -> None:
    features, targets = blobs().astype(np.float64), np.arange(120) % 3
    features[:, 3] = 7  # of no deviation
    before, whole = features.copy(), probe(features[:90], targets[:90], features[90:], num_classes=3)
    monkeypatch.setattr(probe_module, "_ROWS", 32)
    np.testing.assert_allclose(probe(features[:90], targets[:90], features[90:], num_classes=3), whole, rtol=1e-9)
    np.testing.assert_array_equal(features, before)


def test_a_class_without_images_gets_no_probability() -> None:
    features = blobs()
    probs = probe(features[:90], np.arange(90) % 2 * 2, features[90:], num_classes=4)
    assert probs.shape == (30, 4)
    assert (probs[:, [1, 3]] == 0).all()
    np.testing.assert_allclose(probs.sum(axis=1), 1)


def test_with_images_of_one_class_alone_that_class_is_sure() -> None:
    features = blobs()
    assert (probe(features[:9], np.full(9, 2), features[9:], num_classes=3) == [0, 0, 1]).all()


@pytest.mark.parametrize("num_threads", [1, 2, 5])
def test_the_same_bytes_come_of_any_number_of_cores(num_threads: int) -> None:
    features, targets = blobs(dim=257), np.arange(120) % 3
    expected = probe(features, targets, features, num_classes=3)
    with threadpool_limits(limits=num_threads):
        found = probe(features, targets, features, num_classes=3)
    assert found.tobytes() == expected.tobytes()
