"""Score models on one split, whole, by class and by source."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tandem.files import read_csv
from tandem.metrics import confusion, log_loss, macro_f1, precision_recall_f1, softmax, top1_accuracy
from tandem.samples import Samples


def score(logits: np.ndarray, samples: Samples, *, split: str) -> dict[str, float]:
    """top1_accuracy, macro_f1 and log_loss (nats) of (N, C) logits on a split."""
    target, rows = samples.targets(split), logits[samples.rows(split)]
    predicted = rows.argmax(axis=1)
    return {
        "top1_accuracy": top1_accuracy(target=target, predicted=predicted),
        "macro_f1": macro_f1(target=target, predicted=predicted, num_classes=len(samples.class_names)),
        "log_loss": log_loss(target=target, probs=softmax(rows)),
    }


def by_class(logits: np.ndarray, samples: Samples, *, split: str) -> dict[str, dict[str, float]]:
    """Class -> precision, recall, f1 and its number of pictures in the split."""
    target, predicted = samples.targets(split), logits[samples.rows(split)].argmax(axis=1)
    table = confusion(target=target, predicted=predicted, num_classes=len(samples.class_names))
    values = zip(samples.class_names, *precision_recall_f1(table), table.sum(axis=1), strict=True)
    return {
        name: {"precision": float(precision), "recall": float(recall), "f1": float(f1), "pictures": int(count)}
        for name, precision, recall, f1, count in values
    }


def by_source(logits: np.ndarray, samples: Samples, *, split: str) -> dict[str, dict[str, float]]:
    """Source -> top-1 accuracy and number of pictures in the split."""
    rows, target = samples.rows(split), samples.targets(split)
    right = logits[rows].argmax(axis=1) == target
    sources = np.array([samples.samples[row].source for row in rows])
    return {
        name: {"top1_accuracy": float(right[sources == name].mean()), "pictures": int((sources == name).sum())}
        for name in sorted(set(sources.tolist()))
    }


def report(logits: Mapping[str, np.ndarray], samples: Samples, *, shipped: str, split: str) -> dict[str, object]:
    """All of the above for the metrics: the shipped model in full, the others by their three scores."""
    own = logits[shipped]
    return {
        "shipped": {"model": shipped, **score(own, samples, split=split)},
        "models": {name: score(values, samples, split=split) for name, values in logits.items()},
        "classes": by_class(own, samples, split=split),
        "sources": by_source(own, samples, split=split),
        "pictures": len(samples.rows(split)),
    }


def predictions(logits: np.ndarray, samples: Samples, *, split: str) -> list[dict[str, str]]:
    """One dict a picture of the split: id, actual and predicted class name, for the confusion plot."""
    names: Sequence[str] = samples.class_names
    return [
        {"id": samples.samples[row].id, "actual": samples.samples[row].label, "predicted": names[logits[row].argmax()]}
        for row in samples.rows(split).tolist()
    ]


def curves(paths: Mapping[str, Path]) -> list[dict[str, str]]:
    """The curves of all models as one table with a column `model`. paths: model -> its curves.csv.

    A model that was not trained, such as a mean of others, has no such file and no rows.
    """
    return [{"model": name, **row} for name, path in paths.items() if path.is_file() for row in read_csv(path)]
