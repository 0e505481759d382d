"""The results of the last run as a table for people."""

from collections.abc import Mapping, Sequence
from typing import Any

_COLUMNS = {"top1_accuracy": "top-1 accuracy", "macro_f1": "macro F1", "log_loss": "log loss", "ece": "ECE"}


def format_results(evaluation: Mapping[str, Any]) -> str:
    """The scores on test of each model, top-1 accuracy with its 95 % limits; the selected one is marked and compared.

    evaluation: metrics/evaluate.json as the evaluate stage writes it.
    """
    selected = evaluation["selected"]["model"]
    rows = [
        (f"{name} (selected)" if name == selected else name, *(_cell(scores, key) for key in _COLUMNS))
        for name, scores in evaluation["models"].items()
    ]
    heading = f"test: {evaluation['images']} images"
    lines = _aligned([(heading, *_COLUMNS.values()), *rows])
    return f"{lines}\n\n{_comparison(selected, evaluation['selected_minus_best_single'])}"


def format_spread(resplit: Mapping[str, Any]) -> str:
    """What would be selected on each of several splits: mean and range of its top-1 accuracy; "" without any.

    resplit: metrics/resplit.json as the resplit stage writes it.
    """
    if not resplit["seeds"]:
        return ""
    own = resplit["selected"]["top1_accuracy"]
    return (
        f"what is selected, on {len(resplit['seeds'])} splits: top-1 accuracy {own['mean']:.3f} "
        f"({own['low']:.3f}-{own['high']:.3f})"
    )


def _cell(scores: Mapping[str, Any], key: str) -> str:
    if key != "top1_accuracy":
        return f"{scores[key]:.3f}"
    limits = scores["interval"][key]
    return f"{scores[key]:.3f} ({limits['low']:.3f}-{limits['high']:.3f})"


def _comparison(selected: str, found: Mapping[str, Any]) -> str:
    gain = found["top1_accuracy"]
    return (
        f"{selected} minus {found['single']}, the best alone on validation: top-1 accuracy {gain['value']:+.3f} "
        f"({gain['low']:+.3f} to {gain['high']:+.3f}, p = {gain['p_value']:.2f})"
    )


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
