"""A linear head against the same sums written out. How it is fitted: test_linear_fit.py, test_logistic.py."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from tandem.training.linear import Linear, load_linear, mean_and_std

RNG = np.random.default_rng(0)
HEAD = Linear(*(RNG.uniform(1, 2, size=size).astype(np.float32) for size in (5, 5, (3, 5), 3)))


def written_out(features: np.ndarray) -> np.ndarray:
    return (features - HEAD.mean) / HEAD.std @ HEAD.weight.T + HEAD.bias


@pytest.mark.parametrize("num_rows", [0, 1, 4096, 5000])
def test_logits_are_a_layer_on_standardised_features_for_any_number_of_rows(num_rows: int) -> None:
    features = RNG.normal(size=(num_rows, 5)).astype(np.float32)
    found = HEAD.logits(features)
    assert found == pytest.approx(written_out(features), abs=1e-5)
    assert (found.shape, found.dtype) == ((num_rows, 3), np.float32)


def test_logits_of_views_are_the_mean_over_the_views() -> None:
    views = RNG.normal(size=(7, 4, 5)).astype(np.float32)
    expected = np.mean([written_out(views[:, view]) for view in range(4)], axis=0)
    assert HEAD.logits(views) == pytest.approx(expected, abs=1e-5)


def test_a_scaled_head_has_its_logits_divided() -> None:
    features = RNG.normal(size=(7, 5)).astype(np.float32)
    assert HEAD.scaled(2.5).logits(features) == pytest.approx(HEAD.logits(features) / 2.5, rel=1e-5)


def test_a_saved_head_can_be_read_again(tmp_path: Path) -> None:
    HEAD.save(tmp_path)
    again = load_linear(tmp_path / "head.npz")
    assert [part.tobytes() for part in again] == [part.tobytes() for part in HEAD]


def test_mean_and_deviation_are_those_of_scikit_learn_and_a_constant_column_scales_nothing() -> None:
    features = (1000 + RNG.normal(size=(200, 5))).astype(np.float32)
    features[:, 2] = 7
    scaler = StandardScaler().fit(features.astype(np.float64))
    mean, std = mean_and_std(features)
    assert mean == pytest.approx(scaler.mean_)
    assert std == pytest.approx(scaler.scale_)
    assert std[2] == 1
