"""Rows that are scaled when they are read."""

import numpy as np

from tandem.curation.duplicates.by_features.rows import BLOCK, UnitRows, blocks_of


def test_rows_are_scaled_to_length_1_when_they_are_read() -> None:
    x = np.random.default_rng(0).normal(size=(4000, 32)).astype(np.float32)
    holed = np.concatenate([np.zeros((1, 32), np.float32), x])
    rows = UnitRows(holed)
    assert (len(rows), rows.dim) == (len(x) + 1, 32)
    assert rows.is_zero.tolist() == [True, *[False] * len(x)]
    assert np.isnan(rows[:1]).all()
    np.testing.assert_allclose(np.linalg.norm(rows[1:], axis=1), 1, atol=1e-6)
    assert np.array_equal(np.concatenate(list(rows.blocks()))[1:], rows[np.arange(1, len(x) + 1)])
    assert [block.stop - block.start for block in blocks_of(BLOCK + 1)] == [BLOCK, BLOCK]
