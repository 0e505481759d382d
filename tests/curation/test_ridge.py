"""The closed form against scikit-learn's ridge regression, fitted anew without each group."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from threadpoolctl import threadpool_limits

from tandem.curation.label_errors.ridge import PENALTIES, LeaveGroupOutRidge


def rows_of(num: int = 60, dim: int = 7, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(num, dim) float32 features, one column of which is constant, and (num, 3) targets that depend on them."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(num, dim)) * (1 + np.arange(dim)) + 5
    features[:, 2] = 4
    targets = features @ rng.normal(size=(dim, 3)) + rng.normal(size=(num, 3))
    return features.astype(np.float32), targets


def fitted_anew(features: np.ndarray, targets: np.ndarray, groups: np.ndarray, penalty: float) -> np.ndarray:
    features = features.astype(float)
    std = features.std(axis=0)
    columns = (features - features.mean(axis=0)) / np.where(std > 0, std, 1) / np.sqrt(features.shape[1])
    columns = np.concatenate([columns, np.ones((len(columns), 1))], axis=1)
    predicted = np.zeros_like(targets)
    for group in np.unique(groups):
        out = groups == group
        model = Ridge(alpha=penalty, fit_intercept=False).fit(columns[~out], targets[~out])
        predicted[out] = model.predict(columns[out])
    return predicted


GROUPINGS = {
    "each alone": np.arange(60),
    "pairs": np.arange(60) // 2,
    "one larger than the features are many": np.maximum(np.arange(60) - 20, 0),
}


@pytest.mark.parametrize("grouping", GROUPINGS)
@pytest.mark.parametrize("penalty", [0.3, 10.0])
@pytest.mark.parametrize("dim", [7, 59, 60, 300], ids="of {} columns".format)
def test_a_prediction_is_that_of_a_fit_without_the_group(grouping: str, penalty: float, dim: int) -> None:
    (features, targets), groups = rows_of(dim=dim), GROUPINGS[grouping]
    found = LeaveGroupOutRidge(features, groups).predict(targets, penalty)
    np.testing.assert_allclose(found, fitted_anew(features, targets, groups, penalty), rtol=1e-6, atol=1e-6)


def test_images_that_are_copies_of_one_another_are_fewer_axes_than_rows() -> None:
    (features, targets), groups = rows_of(dim=300), np.arange(60)
    features = features[groups // 3]
    found = LeaveGroupOutRidge(features, groups).predict(targets, 1.0)
    np.testing.assert_allclose(found, fitted_anew(features, targets, groups, 1.0), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dim", [7, 300])
def test_with_one_group_alone_nothing_is_known(dim: int) -> None:
    features, targets = rows_of(dim=dim)
    found = LeaveGroupOutRidge(features, np.zeros(60, dtype=int)).predict(targets, 1.0)
    np.testing.assert_allclose(found, 0, atol=1e-6)


def test_blocks_of_rows_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    features, targets = rows_of()
    whole = LeaveGroupOutRidge(features, np.arange(60)).predict(targets, 1.0)
    monkeypatch.setattr("tandem.curation.label_errors.ridge._BLOCK", 7)
    np.testing.assert_allclose(LeaveGroupOutRidge(features, np.arange(60)).predict(targets, 1.0), whole, atol=1e-9)


@pytest.mark.parametrize("noise", [0.1, 30.0])
def test_the_best_penalty_has_the_least_error_of_fits_without_the_group(noise: float) -> None:
    features, targets = rows_of()
    targets = targets + noise * np.random.default_rng(1).normal(size=targets.shape)
    errors = [((fitted_anew(features, targets, np.arange(60), each) - targets) ** 2).sum() for each in PENALTIES]
    assert LeaveGroupOutRidge(features, np.arange(60)).best_penalty(targets) == PENALTIES[int(np.argmin(errors))]


def test_the_noisier_the_targets_the_stronger_the_penalty() -> None:
    (features, targets), rng = rows_of(), np.random.default_rng(1)
    probe = LeaveGroupOutRidge(features, np.arange(60))
    assert probe.best_penalty(targets) < probe.best_penalty(rng.normal(size=targets.shape))


def test_the_same_bytes_come_of_any_number_of_cores() -> None:
    features, targets = rows_of(1100, 257)
    found = []
    for num_cores in (1, 2, 5):
        with threadpool_limits(limits=num_cores):
            found.append(LeaveGroupOutRidge(features, np.arange(1100) // 2).predict(targets, 1.0).tobytes())
    assert found[0] == found[1] == found[2]
