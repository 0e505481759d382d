"""What near_duplicates.py requires and records, by planted scores."""

import numpy as np
import pytest

import near_duplicates
from duplicates.measuring import Run, Score
from duplicates.ours import Costs
from duplicates.transformations import TRANSFORMATIONS
from planted_duplicates import NONE, by_first, four_originals

RUNS = [Run("ours", by_first(NONE), 1.0), Run("plain", by_first(NONE), 2.0, ">= 0.900")]


def scored(recall, *, num_pairs=100, num_wrong=0):
    return Score({"one": recall}, num_pairs, num_wrong)


@pytest.mark.parametrize(
    ("ours", "other", "reached"),
    [
        (scored(0.992), scored(0.5), [True, True, True]),
        (scored(0.985), scored(0.5), [False, True, True]),
        (scored(0.992, num_pairs=1000, num_wrong=2), scored(0.5), [True, False, True]),
        (scored(0.992), scored(0.992), [True, True, False]),
    ],
)
def test_ours_must_find_enough_precisely_and_more_than_every_baseline(ours, other, reached):
    figures = near_duplicates.score_figures(RUNS, [ours, other], is_required_of_each=False)
    assert [figure.is_reached for figure in figures[:3]] == reached
    assert all(figure.is_reached for figure in figures[3:])


@pytest.mark.parametrize(
    ("recalls", "others", "num_wrong", "reached"),
    [
        ({"one": 1.0, "two": 0.992}, {"one": 1.0, "two": 0.5}, 0, [True, True]),
        ({"one": 1.0, "two": 0.98}, {"one": 1.0, "two": 0.5}, 0, [False, True]),
        ({"one": 1.0, "two": 0.992}, {"one": 0.2, "two": 0.996}, 0, [True, False]),
        ({"one": 1.0, "two": 0.992}, {"one": 0.2, "two": 0.996}, 2, [True, True]),  # which is not precise
    ],
)
def test_of_photographs_ours_must_find_enough_in_each_transformation(recalls, others, num_wrong, reached):
    scores = [Score(recalls, 100, 0), Score(others, 100, num_wrong)]
    figures = near_duplicates.score_figures(RUNS, scores, is_required_of_each=True)
    assert [figure.is_reached for figure in figures[3:5]] == reached
    assert figures[3].what == "our lowest recall, two"


def test_our_pairs_must_cost_less_than_a_pass_only_where_it_is_required():
    dear = Costs(pairs_ms=20.0, pass_ms=10.0)
    assert not near_duplicates.cost_figures(dear, is_required=True)[0].is_reached
    assert near_duplicates.cost_figures(dear, is_required=False)[0].is_reached


def test_the_record_has_each_method_with_its_threshold_and_recall_by_transformation(tmp_path):
    scores = [scored(0.96), scored(0.5, num_wrong=1)]
    details = near_duplicates.describe(four_originals(tmp_path), RUNS, scores)
    assert (details["originals"], details["near_duplicates"]) == (4, 2 * len(TRANSFORMATIONS))
    assert details["methods"][1] == {
        "name": "plain",
        "threshold": ">= 0.900",
        "recall": 0.5,
        "precision": 0.99,
        "pairs": 100,
        "wrong_pairs": 1,
        "seconds": 2.0,
        "recall_by_transformation": {"one": 0.5},
    }


def test_wrong_pairs_are_listed_by_their_originals(tmp_path, capsys):
    ours = Run("ours", by_first([[0, 4], [0, 5], [1, 5]]), 1.0)
    near_duplicates.print_wrong(four_originals(tmp_path), ours, np.arange(4))
    assert "come from 2 pairs of originals: 0-2 x1, 1-2 x1" in capsys.readouterr().out
