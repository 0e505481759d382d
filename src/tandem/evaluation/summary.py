"""The results in short: a table for the terminal, one for the plot, and the numbers that runs are compared by."""

from collections.abc import Mapping, Sequence
from typing import Any

EXPORTED = "exported file"  # beside the names of models
_COLUMNS = {"top1_accuracy": "top-1 accuracy", "macro_f1": "macro F1", "log_loss": "log loss", "ece": "ECE"}


def run_summary(
    evaluation: Mapping[str, Any], *, curation: Mapping[str, Any], label_errors: Mapping[str, Any]
) -> dict[str, Any]:
    """The few numbers by which runs are compared: of the selected model on test, and of the data.

    evaluation, curation, label_errors: as metrics/evaluate.json, metrics/curate.json and metrics/label_errors.json
    hold them. top1_accuracy_low, top1_accuracy_high: the 95 % confidence interval.
    """
    selected = evaluation["selected"]
    interval = selected["interval"]["top1_accuracy"]
    return {
        "selected_model": selected["model"],
        "top1_accuracy": selected["top1_accuracy"],
        "top1_accuracy_low": interval["low"],
        "top1_accuracy_high": interval["high"],
        "macro_f1": selected["macro_f1"],
        "log_loss": selected["log_loss"],
        "ece": selected["ece"],
        "near_duplicate_pairs": curation["near_duplicate_pairs"],
        "label_issues": label_errors["label_issues"],
        "images": curation["images"],
    }


def model_rows(evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One dict a model, for the plot of all models: its scores, and `interval` low and high of its top-1 accuracy."""
    return [
        {
            "model": _marked(name, evaluation),
            "top1_accuracy": scores["top1_accuracy"],
            "low": scores["interval"]["top1_accuracy"]["low"],
            "high": scores["interval"]["top1_accuracy"]["high"],
            "macro_f1": scores["macro_f1"],
            "log_loss": scores["log_loss"],
            "ece": scores["ece"],
        }
        for name, scores in _rows(evaluation).items()
    ]


def results_text(evaluation: Mapping[str, Any], repeated_splits: Mapping[str, Any]) -> str:
    """All results for the terminal. Arguments: what metrics/evaluate.json and metrics/repeated_splits.json hold."""
    spread = format_spread(repeated_splits)
    return "\n".join([format_results(evaluation), *([spread] if spread else [])])


def format_results(evaluation: Mapping[str, Any]) -> str:
    """A line a model with its scores on test, 95 % confidence intervals in brackets; the selected one is compared."""
    rows = [
        (_marked(name, evaluation), *(_cell(scores, key) for key in _COLUMNS))
        for name, scores in _rows(evaluation).items()
    ]
    table = _aligned([(f"test: {evaluation['images']} images", *_COLUMNS.values()), *rows])
    return f"{table}\n\n{_comparison(evaluation)}"


def format_spread(repeated_splits: Mapping[str, Any]) -> str:
    """Mean and range of the top-1 accuracy of what would be selected on each of several splits; "" without any."""
    if not repeated_splits["seeds"]:
        return ""
    score = repeated_splits["selected"]["top1_accuracy"]
    return (
        f"selected on each of {len(repeated_splits['seeds'])} splits: top-1 accuracy {score['mean']:.3f} "
        f"on average ({score['low']:.3f}-{score['high']:.3f})"
    )


def _rows(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Every model, and the file that the selected one was exported to -> scores."""
    return {**evaluation["models"], EXPORTED: evaluation["exported"]}


def _marked(name: str, evaluation: Mapping[str, Any]) -> str:
    return f"{name} (selected)" if name == evaluation["selected"]["model"] else name


def _cell(scores: Mapping[str, Any], key: str) -> str:
    if key != "top1_accuracy":
        return f"{scores[key]:.3f}"
    interval = scores["interval"][key]
    return f"{scores[key]:.3f} ({interval['low']:.3f}-{interval['high']:.3f})"


def _comparison(evaluation: Mapping[str, Any]) -> str:
    found, selected = evaluation["selected_minus_best_single"], evaluation["selected"]["model"]
    best = f"{found['single']}, the best single model on validation"
    lines = [f"selected: {best}"] if found["single"] == selected else [_difference(f"{selected} minus {best}", found)]
    if selected != "student":
        lines.append(_difference(f"student minus {selected}", evaluation["student_minus_selected"]))
    return "\n".join(lines)


def _difference(what: str, found: Mapping[str, Any]) -> str:
    gain = found["top1_accuracy"]
    interval = f"{gain['low']:+.3f} to {gain['high']:+.3f}"
    return f"{what}: top-1 accuracy {gain['value']:+.3f} ({interval}, p = {gain['p_value']:.2f})"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        lines.append("  ".join(cells))
    return "\n".join(lines)
