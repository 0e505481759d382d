"""The logistic regression against scikit-learn's own search over folds."""

import numpy as np
import pytest
from scipy import special
from sklearn.linear_model import LogisticRegressionCV
from sklearn.preprocessing import StandardScaler

from tandem.tables.splits import stratified_group_folds
from tandem.training import logistic
from tandem.training.linear import Linear


def drawn(num_rows: int = 240, *, num_classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, targets with rarer classes behind, and folds."""
    rng = np.random.default_rng(seed)
    targets = np.sort(rng.choice(num_classes, size=num_rows, p=(w := np.arange(num_classes, 0, -1)) / w.sum()))
    x = 3 * rng.normal(size=(num_rows, 20)) + 2 * np.eye(num_classes, 20)[targets] + 5
    return x, targets, stratified_group_folds(targets, np.arange(num_rows), num_folds=4, seed=0)


def probs(fitted: Linear, x: np.ndarray) -> np.ndarray:
    return special.softmax((x - fitted.mean) / fitted.std @ fitted.weight.T + fitted.bias, axis=1)


def best_strength(x: np.ndarray, targets: np.ndarray, fold_of: np.ndarray, *, balanced: bool) -> float:
    return logistic.fit_cv(x, targets, fold_of, balanced=balanced).strength


@pytest.mark.parametrize("num_classes", [2, 3, 5])
@pytest.mark.parametrize("balanced", [False, True])
def test_strength_and_probabilities_are_those_of_the_search_of_scikit_learn(num_classes: int, balanced: bool) -> None:
    x, targets, fold_of = drawn(num_classes=num_classes)
    strength = best_strength(x, targets, fold_of, balanced=balanced)
    fitted = logistic.fit_logistic(x, targets, strength=strength, balanced=balanced)
    scaler = StandardScaler().fit(x)
    reference = LogisticRegressionCV(
        Cs=logistic.C_GRID,
        cv=[(np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)) for fold in range(4)],
        scoring="neg_log_loss",
        class_weight="balanced" if balanced else None,
        max_iter=1000,
        l1_ratios=(0,),
        use_legacy_attributes=False,
    ).fit(scaler.transform(x), targets)
    assert strength == pytest.approx(reference.C_)
    assert probs(fitted, x) == pytest.approx(reference.predict_proba(scaler.transform(x)), abs=2e-3)


def test_rows_with_more_columns_than_rows_want_the_strength_of_the_search_of_scikit_learn() -> None:
    x, targets, fold_of = drawn(90)
    x = np.concatenate([x, np.random.default_rng(2).normal(size=(90, 130))], axis=1)
    rows = StandardScaler().fit_transform(x)
    reference = LogisticRegressionCV(
        Cs=logistic.C_GRID,
        cv=[(np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)) for fold in range(4)],
        scoring="neg_log_loss",
        max_iter=1000,
        l1_ratios=(0,),
        use_legacy_attributes=False,
    ).fit(rows, targets)
    assert best_strength(x, targets, fold_of, balanced=False) == pytest.approx(reference.C_)


def test_noise_wants_a_weak_fit_and_a_clear_case_a_strong_one() -> None:
    x, targets, fold_of = drawn()
    noise = np.random.default_rng(1).normal(size=x.shape)
    clear = x + 30 * np.eye(3, 20)[targets]
    strengths = [best_strength(rows, targets, fold_of, balanced=False) for rows in (noise, clear)]
    assert strengths[0] <= 1e-3 < 0.1 <= strengths[1]


def test_the_same_rows_give_the_same_bytes() -> None:
    x, targets, _ = drawn()
    first, second = (logistic.fit_logistic(x, targets, strength=0.1, balanced=True) for _ in range(2))
    assert first.weight.tobytes() == second.weight.tobytes()


def test_a_class_that_a_fold_lacks_and_a_fold_that_holds_all_of_a_class_are_no_hurdle() -> None:
    x, targets, fold_of = drawn()
    fold_of = np.where(targets == 2, 0, np.where(fold_of == 0, 1, fold_of))
    strength = best_strength(x, targets, fold_of, balanced=False)
    fitted = logistic.fit_logistic(x, targets, strength=strength, balanced=False)
    assert np.isfinite(fitted.weight).all()
    assert (probs(fitted, x).argmax(axis=1) == targets).mean() > 0.5


def test_a_constant_column_has_no_part() -> None:
    x, targets, _ = drawn()
    x[:, 4] = 7
    fitted = logistic.fit_logistic(x, targets, strength=0.1, balanced=False)
    assert fitted.weight[:, 4] == pytest.approx(0)
    assert fitted.std[4] == 1
