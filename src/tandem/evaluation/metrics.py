"""Numbers that say how good predictions are. All in [0, 1] but log loss, which is in nats."""

import numpy as np

_EPSILON = np.finfo(np.float64).eps  # a prob of 0 costs -log of this


def softmax(logits: np.ndarray) -> np.ndarray:
    """(N, C) logits to (N, C) float64 probs whose rows add up to 1."""
    shifted = np.asarray(logits, dtype=np.float64)
    shifted = np.exp(shifted - shifted.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def confusion(*, target: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """(C, C) counts: rows are targets, columns predictions."""
    table = np.zeros((num_classes, num_classes), dtype=np.int64)
    np.add.at(table, (target, predicted), 1)
    return table


def top1_accuracy(*, target: np.ndarray, predicted: np.ndarray) -> float:
    """Share of rows predicted right; nan without rows."""
    return float((target == predicted).mean()) if len(target) else float("nan")


def log_loss(*, target: np.ndarray, probs: np.ndarray) -> float:
    """Mean of -log of the target's prob, as sklearn's log_loss; nan without rows."""
    return float(log_losses(target=target, probs=probs).mean()) if len(target) else float("nan")


def log_losses(*, target: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """(n,) -log of the target's prob."""
    return -np.log(np.clip(probs[np.arange(len(target)), target], _EPSILON, 1))


def precision_recall_f1(table: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three (C,) arrays from a confusion table; 0 where there is no denominator, as sklearn's zero_division=0."""
    right = np.diag(table).astype(np.float64)
    claimed, actual = table.sum(axis=0), table.sum(axis=1)
    precision = np.divide(right, claimed, out=np.zeros_like(right), where=claimed > 0)
    recall = np.divide(right, actual, out=np.zeros_like(right), where=actual > 0)
    f1 = np.divide(2 * right, claimed + actual, out=np.zeros_like(right), where=claimed + actual > 0)
    return precision, recall, f1


def macro_f1(*, target: np.ndarray, predicted: np.ndarray, num_classes: int) -> float:
    """Unweighted mean of the F1 of all classes; a class with no row and no prediction counts 0."""
    table = confusion(target=target, predicted=predicted, num_classes=num_classes)
    return float(precision_recall_f1(table)[2].mean())
