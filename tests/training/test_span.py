"""Features in the space that the train images span: distances stay, and what is not in it changes nothing."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from tandem.training.fusion.span import span_of

RNG = np.random.default_rng(0)
TABLE = (RNG.normal(size=(40, 30)) * RNG.uniform(0.1, 5, 30) + 3).astype(np.float32)
ROWS, DIMS = np.arange(0, 40, 4), (22, 8)  # ten train images: fewer than the features of the first backbone alone


def standardized() -> np.ndarray:
    return (TABLE - TABLE[ROWS].mean(axis=0)) / TABLE[ROWS].std(axis=0)


def test_fewer_images_than_features_become_as_many_columns_as_they_span() -> None:
    span = span_of(TABLE, ROWS, DIMS)
    assert span.num_columns == (9, 8)  # ten points, about their mean
    assert span.columns(TABLE)[:, 9:] == pytest.approx(standardized()[:, 22:], abs=1e-4)


def test_the_distances_of_train_images_stay_but_for_the_length_of_the_columns() -> None:
    columns = span_of(TABLE, ROWS, DIMS).columns(TABLE)[ROWS, :9]
    assert pdist(columns) == pytest.approx(pdist(standardized()[ROWS, :22]) * (22 / 9) ** 0.5, rel=1e-4)
    # all columns are about as large, where the largest principal component is many times the smallest
    assert columns.std(axis=0).max() < 4 * columns.std(axis=0).min()


def test_weights_of_columns_give_the_same_outputs_as_those_of_features() -> None:
    span = span_of(TABLE, ROWS, DIMS)
    weights = [RNG.normal(size=(columns, 5)).astype(np.float32) for columns in span.num_columns]
    first, second = (part.astype(np.float64) for part in span.of_features(weights))
    assert [part.shape for part in (first, second)] == [(22, 5), (8, 5)]
    expected = span.columns(TABLE) @ np.concatenate(weights)
    assert standardized() @ np.concatenate([first, second]) == pytest.approx(expected, abs=1e-3)


def test_weights_begin_as_small_as_torch_s_where_columns_are_features_and_as_their_outputs_else() -> None:
    span = span_of(TABLE, ROWS, DIMS)
    assert span.bounds == pytest.approx((9**0.5 / 22, 8**-0.5))


def test_rows_that_are_all_the_same_become_one_column_of_zeros() -> None:
    same = np.ones((5, 12), np.float32)
    span = span_of(same, np.arange(5), (12,))
    assert span.num_columns == (1,)
    assert not span.columns(same).any()


def test_the_same_features_give_the_same_bytes() -> None:
    one, again = (span_of(TABLE, ROWS, DIMS).columns(TABLE).tobytes() for _ in range(2))
    assert one == again
