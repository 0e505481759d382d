"""The bound of cosines by few columns."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tandem.curation.duplicates.by_features import bounds
from tandem.curation.duplicates.by_features.rows import UnitRows


def low_rank(num_rows: int, dim: int, *, rank: int, noise: float, seed: int) -> np.ndarray:
    """Rows near to a space of few dimensions; the first quarter lies in it wholly."""
    rng = np.random.default_rng(seed)
    rows = rng.exponential(size=(num_rows, rank)) @ rng.uniform(size=(rank, dim))
    rows[num_rows // 4 :] += noise * rng.normal(size=(num_rows - num_rows // 4, dim))
    return rows.astype(np.float32)


@given(seed=st.integers(0, 2**32 - 1), num_directions=st.integers(1, 12))
def test_the_bound_is_never_below_the_cosine(seed: int, num_directions: int) -> None:
    rows = UnitRows(low_rank(60, 12, rank=3, noise=0.1, seed=seed))
    short = bounds.shortened(rows, bounds.leading_directions(rows, num_directions))
    assert (short @ short.T >= rows[:] @ rows[:].T - bounds.SLACK / 10).all()


def test_rows_that_no_directions_hold_are_compared_by_the_plain_product() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(bounds._BOUND_FROM, 128)).astype(np.float32)
    assert bounds.cheapest_basis(UnitRows(x), 0.6).shape == (128, 0)
