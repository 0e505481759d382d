"""Components against a union-find; groups that are too large or of several classes against removing links."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.curation.groups import connected_components, merge_components, oversized_or_mixed


def grouped(num_rows, links):
    links = np.array(links, dtype=np.int64).reshape(-1, 2)
    return connected_components(num_rows, links), links


def by_union_find(num_rows: int, links: list[tuple[int, int]]) -> list[int]:
    parent = list(range(num_rows))

    def root(row: int) -> int:
        while parent[row] != row:
            row = parent[row]
        return row

    for one, other in links:
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    return [root(row) for row in range(num_rows)]


PAIRS = st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=25)


@given(PAIRS, PAIRS)
def test_components_are_those_of_a_union_find_also_when_links_are_added(
    links: list[tuple[int, int]], more: list[tuple[int, int]]
) -> None:
    found, _ = grouped(20, links)
    assert found.tolist() == by_union_find(20, links)
    merged = merge_components(found, np.array(more, dtype=np.int64).reshape(-1, 2))
    assert merged.tolist() == by_union_find(20, links + more)


@pytest.mark.parametrize("num_rows", [0, 1, 3])
def test_without_links_each_row_is_alone(num_rows: int) -> None:
    assert grouped(num_rows, [])[0].tolist() == list(range(num_rows))


def test_a_chain_of_two_bundles_is_cut_at_the_link_between_them():
    bundles = [*combinations(range(8), 2), *combinations(range(8, 14), 2)]
    group_of, links = grouped(40, [*bundles, (7, 8)])
    strengths = np.array([*[0.99] * len(bundles), 0.961])
    [found] = oversized_or_mixed(group_of, links, strengths=strengths, labels=["car"] * 40)
    assert (found.size, found.classes, found.weakest) == (14, {"car": 14}, (7, 8))
    assert (found.strength, sorted(found.parts), found.crossing) == (pytest.approx(0.961), [6, 8], 1)


def test_where_near_duplicates_join_two_classes_the_link_between_the_classes_is_named():
    group_of, links = grouped(6, [(0, 1), (1, 2), (2, 3), (3, 4)])
    [found] = oversized_or_mixed(
        group_of, links, strengths=np.array([0.96, 0.99, 0.98, 0.97]), labels=["car"] * 3 + ["bus"] * 3
    )
    assert (found.weakest, found.strength, found.classes) == ((2, 3), 0.98, {"bus": 2, "car": 3})


def test_the_largest_group_is_named_first() -> None:
    chains = [range(11), range(11, 24), range(24, 36)]
    links = [pair for chain in chains for pair in pairwise(chain)]
    group_of, links = grouped(60, links)
    found = oversized_or_mixed(group_of, links, strengths=np.ones(len(links)), labels=["car"] * 60)
    assert [group.size for group in found] == [13, 12, 11]


@pytest.mark.parametrize("seed", range(3))
def test_of_links_that_are_equally_weak_the_first_is_named(seed):
    strengths = np.random.default_rng(seed).choice([0.96, 0.97, 0.98], 300)
    group_of, links = grouped(301, [(row, row + 1) for row in range(300)])
    [found] = oversized_or_mixed(group_of, links, strengths=strengths, labels=["car"] * 301)
    assert found.weakest == (strengths.argmin(), strengths.argmin() + 1)


SIZES = [(10, 40, False), (11, 40, True), (20, 1001, False), (21, 1001, True)]


@pytest.mark.parametrize(("size", "num_rows", "is_found"), SIZES)
def test_a_group_is_large_beyond_two_in_a_hundred_and_ten(size, num_rows, is_found):
    group_of, links = grouped(num_rows, [(row, row + 1) for row in range(size - 1)])
    assert bool(oversized_or_mixed(group_of, links, strengths=np.ones(size - 1), labels=["car"] * num_rows)) == is_found


def test_without_links_there_is_nothing_to_review():
    assert oversized_or_mixed(*grouped(5, []), strengths=np.zeros(0), labels=["car", "bus"] * 2 + ["car"]) == []


LINKS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.sampled_from([0.5, 0.7, 0.9])), max_size=14)


@given(LINKS)
def test_no_other_way_to_cut_a_group_in_two_has_a_weaker_strongest_link(weighted):
    links = [(i, j) for i, j, _ in weighted if i != j]
    strengths = np.array([strength for i, j, strength in weighted if i != j])
    labels = ["car"] * 6 + ["bus"]
    for found in oversized_or_mixed(*grouped(7, links), strengths=strengths, labels=labels):
        group_of = grouped(7, links)[0]
        members = np.flatnonzero(group_of == group_of[found.weakest[0]]).tolist()
        best = np.inf
        for size in range(1, len(members)):
            for part in combinations(members, size):
                crossing = [s for (i, j), s in zip(links, strengths, strict=True) if (i in part) != (j in part)]
                best = min(best, max(crossing)) if crossing and (hang_together(part, members, links)) else best
        assert found.size == len(members)
        assert sum(found.parts) == len(members)
        assert found.strength >= best - 1e-9
        assert len(found.classes) > 1 or found.strength == pytest.approx(best)
        joined = [s for (i, j), s in zip(links, strengths, strict=True) if {i, j} == set(found.weakest)]
        assert max(joined) == pytest.approx(found.strength)


def hang_together(part, members, links):
    """Whether both parts hang together."""
    rest = [row for row in members if row not in part]
    return all(
        len({by_union_find(7, [link for link in links if set(link) <= set(side)])[row] for row in side}) == 1
        for side in (part, rest)
    )
