"""Selected images are unsure and unlike each other, and none is one that the project or the selection has."""

import numpy as np
import pytest

from tandem.monitoring.selection import diverse_batch, select_batch, uncertainty_of

NONE = np.zeros((0, 2), dtype=np.int64)


def probs_of(margins):
    """(n, 2)."""
    margins = np.asarray(margins)
    return np.stack([(1 + margins) / 2, (1 - margins) / 2], axis=1)


def selected(margins, *, features=None, known=None, near_duplicates=NONE, areas=None, number=3, seed=0):
    count = len(margins)
    features = np.random.default_rng(0).normal(size=(count, 8)) if features is None else features
    return select_batch(
        features,
        probs_of(margins),
        known_features=np.random.default_rng(1).normal(size=(4, 8)) if known is None else known,
        near_duplicates=near_duplicates,
        areas=np.full(count, 100) if areas is None else np.asarray(areas),
        number=number,
        seed=seed,
    )


def rows(selection):
    return [pick.row for pick in selection.picks]


def test_uncertainty_is_one_less_the_margin_of_the_two_most_probable_classes():
    assert uncertainty_of(np.array([[0.5, 0.5, 0], [0.1, 0.2, 0.7], [1, 0, 0]])) == pytest.approx([1, 0.5, 0])


def test_only_the_least_sure_are_candidates():
    margins = np.random.default_rng(2).permutation(np.linspace(0, 1, 200))
    picked = rows(selected(margins, number=4))
    assert len(set(picked)) == 4
    assert margins[picked].max() <= np.sort(margins)[4 * 5 - 1]
    assert margins[picked].tolist() == sorted(margins[picked])


def test_of_unsure_images_in_a_few_bunches_one_of_each_is_selected():
    bunches = np.repeat(np.eye(8)[:4], [30, 4, 3, 3], axis=0)
    features = bunches + 0.01 * np.random.default_rng(3).normal(size=bunches.shape)
    picked = diverse_batch(features, np.random.default_rng(4).uniform(0.8, 1, 40), number=4, seed=0)
    assert sorted(bunches[picked].argmax(axis=1).tolist()) == [0, 1, 2, 3]


def test_of_a_bunch_the_less_sure_images_weigh_more():
    features = np.concatenate([np.eye(8)[:1].repeat(10, axis=0), np.eye(8)[1:2].repeat(10, axis=0)])
    features[:10, 2] = np.linspace(0, 0.5, 10)
    for is_unsure, near in ((np.arange(10) < 2, 0), (np.arange(10) >= 8, 9)):
        uncertainty = np.concatenate([np.where(is_unsure, 1.0, 0.001), np.full(10, 0.5)])
        picked = diverse_batch(features, uncertainty, number=2, seed=0)
        assert abs(min(picked.tolist()) - near) <= 1


def test_what_the_project_has_and_its_near_duplicates_are_left_out_and_counted():
    # rows 0 to 3 are the project's; new row 1 is near one of them, new row 2 near new row 1
    selection = selected([0.1] * 5, near_duplicates=np.array([[2, 5], [5, 6]]), number=5)
    assert sorted(rows(selection)) == [0, 3, 4]
    assert (selection.num_candidates, selection.num_known, selection.num_alike) == (3, 2, 0)


def test_of_near_duplicates_the_largest_is_selected_and_of_equal_ones_the_first():
    pairs = np.array([[4, 5], [5, 6], [7, 8]])
    selection = selected([0.1] * 5, near_duplicates=pairs, areas=[10, 30, 20, 5, 5], number=5)
    assert sorted(rows(selection)) == [1, 3]
    assert (selection.num_candidates, selection.num_known, selection.num_alike) == (2, 0, 3)


def test_of_random_near_duplicates_no_two_are_selected():
    rng = np.random.default_rng(5)
    for seed in range(20):
        pairs = np.unique(np.sort(rng.choice(44, (15, 2)), axis=1), axis=0)
        pairs = pairs[(pairs[:, 0] < pairs[:, 1]) & (pairs[:, 1] >= 4)]
        selection = selected(rng.random(40), near_duplicates=pairs, number=12, seed=seed)
        taken = {0, 1, 2, 3} | {row + 4 for row in rows(selection)}
        assert [pair for pair in pairs.tolist() if pair[0] in taken and pair[1] in taken] == []
        assert selection.num_candidates + selection.num_known + selection.num_alike == 40


def test_where_fewer_are_left_than_are_wanted_all_of_them_are_selected():
    assert rows(selected([0.3, 0.1, 0.2], number=50)) == [1, 2, 0]
    assert selected([0.5], near_duplicates=np.array([[0, 4]])).picks == ()


def test_what_is_said_of_a_pick_is_what_brute_force_finds():
    rng = np.random.default_rng(6)
    features, known, margins = rng.normal(size=(30, 8)), rng.normal(size=(2100, 8)), rng.random(30)

    def unit(values):
        return values / np.linalg.norm(values, axis=1, keepdims=True)

    distances = np.linalg.norm(unit(features)[:, None] - unit(known), axis=2).min(axis=1)
    for pick in selected(margins, features=features, known=known).picks:
        assert pick.uncertainty == pytest.approx(1 - margins[pick.row])
        assert pick.distance == pytest.approx(distances[pick.row], abs=1e-3)
        assert pick.less_sure_than == (margins > margins[pick.row]).mean()
        assert pick.farther_than == (distances < distances[pick.row]).mean()


def test_images_with_the_same_features_are_selected_once_each():
    assert sorted(diverse_batch(np.ones((5, 8)), np.linspace(0.1, 0.9, 5), number=4, seed=0).tolist()) == [1, 2, 3, 4]
    assert len(set(diverse_batch(np.ones((50, 8)), np.linspace(0.1, 0.9, 50), number=4, seed=0).tolist())) == 4


def test_the_same_seed_selects_the_same_images_and_another_one_others():
    margins = np.random.default_rng(7).random(200)
    assert selected(margins, number=10) == selected(margins, number=10)
    assert len({tuple(rows(selected(margins, number=10, seed=seed))) for seed in range(5)}) > 1
