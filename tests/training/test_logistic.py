"""The logistic regression against scikit-learn's own search over folds."""

import numpy as np
import pytest
from scipy import special
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.preprocessing import StandardScaler

from tandem.tables.splits import stratified_group_folds
from tandem.training.fitting.logistic import C_GRID, fit_cv, fit_logistic
from tandem.training.linear import Linear


def planted(num_rows: int = 240, *, num_classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, targets with rarer classes behind, and folds."""
    rng = np.random.default_rng(seed)
    targets = np.sort(rng.choice(num_classes, size=num_rows, p=(w := np.arange(num_classes, 0, -1)) / w.sum()))
    features = 3 * rng.normal(size=(num_rows, 20)) + 2 * np.eye(num_classes, 20)[targets] + 5
    return features, targets, stratified_group_folds(targets, np.arange(num_rows), num_folds=4, seed=0)


def probs(fitted: Linear, features: np.ndarray) -> np.ndarray:
    return special.softmax((features - fitted.mean) / fitted.std @ fitted.weight.T + fitted.bias, axis=1)


def best_C(features: np.ndarray, targets: np.ndarray, fold_of: np.ndarray, *, balanced: bool) -> float:
    return fit_cv(features, targets, fold_of, balanced=balanced).C


@pytest.mark.parametrize("num_classes", [2, 3, 5])
@pytest.mark.parametrize("balanced", [False, True])
def test_C_and_probabilities_are_those_of_the_search_of_scikit_learn(num_classes: int, balanced: bool) -> None:
    features, targets, fold_of = planted(num_classes=num_classes)
    best = best_C(features, targets, fold_of, balanced=balanced)
    fitted = fit_logistic(features, targets, C=best, balanced=balanced)
    scaler = StandardScaler().fit(features)
    reference = LogisticRegressionCV(
        Cs=C_GRID,
        cv=[(np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)) for fold in range(4)],
        scoring="neg_log_loss",
        class_weight="balanced" if balanced else None,
        max_iter=1000,
        l1_ratios=(0,),
        use_legacy_attributes=False,
    ).fit(scaler.transform(features), targets)
    assert best == pytest.approx(reference.C_)
    assert probs(fitted, features) == pytest.approx(reference.predict_proba(scaler.transform(features)), abs=2e-3)


@pytest.mark.parametrize("balanced", [False, True])
def test_the_head_of_a_search_is_fitted_to_all_rows_with_the_C_that_it_found(balanced: bool) -> None:
    features, targets, fold_of = planted()
    found = fit_cv(features, targets, fold_of, balanced=balanced)
    expected = fit_logistic(features, targets, C=found.C, balanced=balanced)
    assert probs(found.head, features) == pytest.approx(probs(expected, features), abs=1e-6)


@pytest.mark.parametrize("balanced", [False, True])
def test_soft_targets_are_rows_of_every_class_each_weighing_its_prob(balanced: bool) -> None:
    features, targets, fold_of = planted()
    soft = np.random.default_rng(1).dirichlet(np.ones(3), size=len(targets))
    found = fit_cv(features, targets, fold_of, balanced=balanced, soft_targets=soft)
    scaler = StandardScaler().fit(features)
    of_class = len(targets) / (3 * np.bincount(targets))[targets] if balanced else np.ones(len(targets))
    reference = LogisticRegression(C=found.C, max_iter=1000).fit(
        scaler.transform(features).repeat(3, axis=0),
        np.tile(np.arange(3), len(targets)),
        sample_weight=(soft * of_class[:, None]).ravel(),
    )
    assert probs(found.head, features) == pytest.approx(reference.predict_proba(scaler.transform(features)), abs=2e-3)


def test_the_C_of_soft_targets_is_that_by_which_the_labels_are_predicted_best() -> None:
    features, targets, fold_of = planted()
    labels = np.eye(3)[targets]
    as_labels = fit_cv(features, targets, fold_of, balanced=False, soft_targets=labels)
    assert best_C(features, targets, fold_of, balanced=False) == as_labels.C
    shifted = np.roll(labels, 1, axis=1)  # what is learnt is of no use, so that as little as possible is best
    as_shifted = fit_cv(features, targets, fold_of, balanced=False, soft_targets=shifted)
    assert min(C_GRID) == as_shifted.C


def test_with_more_columns_than_rows_C_is_that_of_the_search_of_scikit_learn() -> None:
    features, targets, fold_of = planted(90)
    features = np.concatenate([features, np.random.default_rng(2).normal(size=(90, 130))], axis=1)
    rows = StandardScaler().fit_transform(features)
    reference = LogisticRegressionCV(
        Cs=C_GRID,
        cv=[(np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)) for fold in range(4)],
        scoring="neg_log_loss",
        max_iter=1000,
        l1_ratios=(0,),
        use_legacy_attributes=False,
    ).fit(rows, targets)
    assert best_C(features, targets, fold_of, balanced=False) == pytest.approx(reference.C_)


def test_noise_wants_a_low_C_and_a_clear_case_a_high_one() -> None:
    features, targets, fold_of = planted()
    noise = np.random.default_rng(1).normal(size=features.shape)
    clear = features + 30 * np.eye(3, 20)[targets]
    chosen = [best_C(rows, targets, fold_of, balanced=False) for rows in (noise, clear)]
    assert chosen[0] <= 1e-3 < 0.1 <= chosen[1]


def test_the_same_rows_give_the_same_bytes() -> None:
    features, targets, _ = planted()
    first, second = (fit_logistic(features, targets, C=0.1, balanced=True) for _ in range(2))
    assert first.weight.tobytes() == second.weight.tobytes()


def test_a_class_that_a_fold_lacks_and_a_fold_that_holds_all_of_a_class_are_no_hurdle() -> None:
    features, targets, fold_of = planted()
    fold_of = np.where(targets == 2, 0, np.where(fold_of == 0, 1, fold_of))
    best = best_C(features, targets, fold_of, balanced=False)
    fitted = fit_logistic(features, targets, C=best, balanced=False)
    assert np.isfinite(fitted.weight).all()
    assert (probs(fitted, features).argmax(axis=1) == targets).mean() > 0.5


def test_a_constant_column_has_no_part() -> None:
    features, targets, _ = planted()
    features[:, 4] = 7
    fitted = fit_logistic(features, targets, C=0.1, balanced=False)
    assert fitted.weight[:, 4] == pytest.approx(0)
    assert fitted.std[4] == 1


def test_out_of_fold_logits_are_those_of_a_fit_to_the_other_folds() -> None:
    features, targets, fold_of = planted()
    result = fit_cv(features, targets, fold_of, balanced=False)
    for fold in range(4):
        inside = fold_of == fold
        # standardised by all rows, as within the search
        scaler = StandardScaler().fit(features)
        reference = LogisticRegression(C=result.C, max_iter=1000).fit(
            scaler.transform(features[~inside]), targets[~inside]
        )
        found = special.softmax(result.out_of_fold[inside], axis=1)
        assert found == pytest.approx(reference.predict_proba(scaler.transform(features[inside])), abs=2e-3)


def test_out_of_fold_logits_are_nan_where_a_fold_holds_all_of_a_class() -> None:
    features, targets, fold_of = planted()
    fold_of = np.where(targets == 2, 0, np.where(fold_of == 0, 1, fold_of))
    out_of_fold = fit_cv(features, targets, fold_of, balanced=False).out_of_fold
    assert (np.isnan(out_of_fold).all(axis=1) == (fold_of == 0)).all()


def test_the_grid_of_c_begins_at_a_ten_thousandth_and_ends_at_1() -> None:
    assert C_GRID == (0.0001, 0.000316, 0.001, 0.00316, 0.01, 0.0316, 0.1, 0.316, 1.0)


def test_one_higher_c_that_is_worse_does_not_end_the_search() -> None:
    """The log loss falls to 1.1762 at the sixth C, is 1.1765 at the next one and 1.1677 at the last."""
    rng = np.random.default_rng(511)
    dim = int(rng.integers(2, 6))
    features = rng.normal(size=(24, dim)).astype(np.float32)
    features[:, 0] += rng.uniform(0, 1.5) * (np.arange(24) % 2)
    features[:3] *= rng.uniform(5, 100)
    targets = rng.permutation(np.arange(24) % int(rng.integers(2, 4)))
    assert fit_cv(features, targets, np.arange(24) // 2 % 4, balanced=False).C == 1.0
