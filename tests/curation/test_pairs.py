"""Pairs in canonical order, and which of them are among others."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tandem.curation.duplicates.pairs import Pairs, is_among, places, unique_pairs


def test_unique_pairs_are_sorted_and_keep_the_highest_similarity() -> None:
    pairs = unique_pairs(np.array([5, 1, 2, 1]), np.array([2, 0, 5, 3]), np.array([0.7, 0.9, 0.8, 0.6]))
    assert pairs.rows.tolist() == [[0, 1], [1, 3], [2, 5]]
    assert pairs.similarity.tolist() == [0.9, 0.6, 0.8]
    assert len(pairs) == 3


def test_a_mask_selects_pairs() -> None:
    pairs = Pairs(np.array([0, 1, 2]), np.array([1, 3, 5]), np.array([0.9, 0.6, 0.8]))
    selected = pairs.where(pairs.similarity > 0.7)
    assert (selected.rows.tolist(), selected.similarity.tolist()) == ([[0, 1], [2, 5]], [0.9, 0.8])


def test_places_count_equal_values_from_0() -> None:
    assert places(np.array([3, 3, 4, 7, 7, 7])).tolist() == [0, 1, 0, 0, 1, 2]
    assert places(np.zeros(0, dtype=np.int64)).tolist() == []


def test_no_pairs_are_two_columns_nevertheless() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    assert unique_pairs(nothing, nothing, nothing).rows.shape == (0, 2)


PAIRS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)).map(sorted), max_size=12)


@given(PAIRS, PAIRS)
def test_pairs_are_among_others_as_in_a_set(rows: list[list[int]], others: list[list[int]]) -> None:
    found = is_among(*(np.array(each, dtype=np.int64).reshape(-1, 2) for each in (rows, others)))
    assert found.tolist() == [row in others for row in rows]
