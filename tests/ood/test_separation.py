"""AUROC and FPR at 95 % TPR against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from tandem.ood.separation import auroc, fpr_at_tpr


@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 60))
def test_both_are_those_of_scikit_learn(seed, num_inside, num_outside):
    rng = np.random.default_rng(seed)
    inside, outside = rng.integers(0, 20, num_inside), rng.integers(5, 25, num_outside)  # with ties
    is_outside, scores = np.repeat([0, 1], [num_inside, num_outside]), np.concatenate([inside, outside])
    assert auroc(inside, outside) == pytest.approx(roc_auc_score(is_outside, scores))
    fpr, tpr, _ = roc_curve(is_outside, scores, drop_intermediate=False)
    assert fpr_at_tpr(inside, outside) == pytest.approx(fpr[tpr >= 0.95 - 1e-9].min())


def test_scores_that_do_not_overlap_are_told_without_an_error():
    assert (auroc(np.arange(5), np.arange(5, 9)), fpr_at_tpr(np.arange(5), np.arange(5, 9))) == (1, 0)
    assert auroc(np.zeros(3), np.zeros(4)) == 0.5


def test_without_images_nothing_is_known():
    for pair in ((np.zeros(0), np.zeros(3)), (np.zeros(3), np.zeros(0))):
        assert np.isnan([auroc(*pair), fpr_at_tpr(*pair)]).all()
