"""The selection among ensembles of planted held-out losses."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import sklearn.metrics
from scipy import special

from factories import blobs
from tandem.tables.samples import Split
from tandem.training.ensembles import Ensemble
from tandem.training.selection import BEST, ensemble_summary, select_model
from tandem.training.settings import EnsembleKind


def validation() -> Split:
    return blobs()[1].val


def losing(losses: np.ndarray) -> Ensemble:
    return Ensemble(np.zeros((300, 3), dtype=np.float32), held_out_losses=losses)


@pytest.mark.parametrize("kind", get_args(EnsembleKind))
def test_a_kind_that_is_asked_for_is_taken(kind: str) -> None:
    kinds = {kind: losing(np.zeros(0))}
    assert select_model(kind, kinds, validation(), singles=["one"]) == kind


def test_of_several_best_ones_the_first_is_taken() -> None:
    val = validation()
    same = losing(np.full(len(val), 0.5))
    assert select_model(BEST, {"mean": same, "logit": same}, val, singles=[]) == "mean"


@pytest.mark.parametrize(("times", "selected"), [(1.9, "mean"), (2.1, "stack")])
def test_a_simpler_kind_is_selected_unless_it_is_worse_by_more_than_two_standard_errors(
    times: float, selected: str
) -> None:
    val = validation()
    better = np.random.default_rng(0).uniform(0.2, 0.8, len(val))
    noise = np.random.default_rng(1).normal(size=len(val))
    noise -= noise.mean()
    # the standard error of a mean of groups, said in another way: the spread of the groups' own sums
    sums = np.array([noise[val.groups == group].sum() for group in sorted(set(val.groups))])
    worse = better + noise + times * np.sqrt(len(sums)) * sums.std() / len(val)
    assert select_model(BEST, {"mean": losing(worse), "stack": losing(better)}, val, singles=[]) == selected


def test_images_of_one_group_do_not_make_a_difference_any_surer() -> None:
    val = validation()
    groups = np.arange(len(val)) // 2
    alike = Split(val.ids, val.targets, val.sources, groups.astype(np.str_), val.rows)
    noise = np.random.default_rng(1).normal(size=groups.max() + 1)
    excess = (noise - noise.mean() + 2.5 * noise.std() / np.sqrt(len(noise)))[groups]
    kinds = {"mean": losing(0.5 + excess), "stack": losing(np.full(len(val), 0.5))}
    assert select_model(BEST, kinds, alike, singles=[]) == "stack"
    mild = {**kinds, "mean": losing(0.5 + excess - 0.7 * noise.std() / np.sqrt(len(noise)))}
    assert select_model(BEST, mild, alike, singles=[]) == "mean"
    assert select_model(BEST, mild, val, singles=[]) == "stack"  # as if the two of a group were independent


def test_a_mean_of_one_base_model_is_named_as_that_model() -> None:
    val = validation()
    of_one, of_two = (
        replace(losing(np.full(len(val), 0.5)), weights=each) for each in ({"b": 1.0}, {"a": 0.5, "b": 0.5})
    )
    study = replace(of_one, weights={"b lr=0.01 batch_size=8 seed=0": 1.0})
    for kind in ("mean", BEST):
        assert select_model(kind, {"mean": of_one, "stack": of_two}, val, singles=["a", "b"]) == "b"
        assert select_model(kind, {"mean": of_two, "stack": of_one}, val, singles=["a", "b"]) == "mean"
        assert select_model(kind, {"mean": study}, val, singles=["a", "b"]) == "mean"  # no row of the results


def test_the_summary_has_the_scores_on_validation_and_the_weights_of_averages() -> None:
    val = validation()
    logits = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    losses = np.random.default_rng(1).uniform(size=len(val))
    ensembles = {"mean": Ensemble(logits, losses, weights={"one": 1.0}), "stack": Ensemble(2 * logits, losses)}
    summary = ensemble_summary(ensembles, val, selected="stack")
    assert summary["selected"] == "stack"
    assert summary["weights"] == {"mean": {"one": 1.0}}
    for factor, scores in zip((1, 2), summary["val"].values(), strict=True):
        probs = special.softmax(factor * logits[val.rows].astype(np.float64), axis=1)
        assert scores["log_loss"] == pytest.approx(sklearn.metrics.log_loss(val.targets, probs))
        assert scores["held_out_log_loss"] == pytest.approx(losses.mean())
