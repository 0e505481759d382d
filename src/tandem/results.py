"""The results of the last run as a table for people."""

from collections.abc import Mapping, Sequence
from typing import Any


def table(evaluation: Mapping[str, Any]) -> str:
    """Top-1 accuracy, macro F1 and log loss on test of each model; the shipped one is marked.

    evaluation: metrics/evaluate.json as the evaluate stage writes it.
    """
    shipped = evaluation["shipped"]["model"]
    rows = [
        (f"{name} (shipped)" if name == shipped else name, *(f"{scores[key]:.3f}" for key in _COLUMNS))
        for name, scores in evaluation["models"].items()
    ]
    heading = f"test: {evaluation['pictures']} pictures"
    return _aligned([(heading, *(title for title in _COLUMNS.values())), *rows])


_COLUMNS = {"top1_accuracy": "top-1 accuracy", "macro_f1": "macro F1", "log_loss": "log loss"}


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
