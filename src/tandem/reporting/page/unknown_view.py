"""What the selected model says of what it does not know, as a table of the page and of the model card."""

from collections.abc import Mapping
from typing import Any

from tandem.reporting.facts import RunMetrics
from tandem.reporting.page.tables import NOTHING, Row, Table, interval, number


def unknown_table(metrics: RunMetrics) -> Table:
    """Prediction sets and false alarms on test, and how well an unseen class is told where there are others."""
    sets, alarms = metrics.evaluate["prediction_sets"], metrics.ood["false_alarm_rate"]
    held_out = metrics.ood["leave_one_class_out"]
    rows: list[Row] = [
        ["prediction sets that hold the class", number(sets["wanted"]), *_with_interval(sets, "coverage")],
        ["classes in a set, on average", NOTHING, *_with_interval(sets, "mean_size")],
        ["images flagged as being of no class", number(alarms["wanted"]), number(alarms["value"]), interval(alarms)],
    ]
    if held_out["classes"]:
        rows += [
            ["a class that was not seen: AUROC", NOTHING, number(held_out["auroc"]), NOTHING],
            ["the same: false alarms where 95 % are found", NOTHING, number(held_out["fpr_at_95_tpr"]), NOTHING],
            ["the same: flagged", NOTHING, number(held_out["flagged"]), NOTHING],
        ]
    return Table(
        "What the selected model does not know, on test",
        ["", "wanted", "reached", "95\u00a0% interval"],
        rows,
        "evaluate.json, ood.json",
        note="A class that was not seen: each in turn, held against the others; the mean over classes.",
    )


def _with_interval(scores: Mapping[str, Any], key: str) -> tuple[str, str]:
    return number(scores[key]), interval(scores["interval"][key])
