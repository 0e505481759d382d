"""The page's part on the models: scores with intervals, errors, confidence, training, and what a leak would say."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from markupsafe import Markup

from tandem.evaluation.summary import EXPORTED
from tandem.reporting.facts import RunFacts, RunMetrics
from tandem.reporting.page.charts import Axis, Dots, Line, axis_of, line_chart
from tandem.reporting.page.tables import Cell, Row, Table, count, interval, number, signed

MAX_CLASSES_SHOWN = 60  # with precision and recall of each
_MAX_MATRIX, _MAX_PAIRS = 20, 25  # classes of a confusion matrix; pairs that are listed where there are more
_MAX_CURVES = 12
_SCORES = {"top1_accuracy": "top-1 accuracy", "macro_f1": "macro F1", "log_loss": "log loss", "ece": "ECE"}


@dataclass(frozen=True)
class ModelView:
    """What the template shows of the models."""

    models: Table
    comparison: str
    classes: Table
    confusion: Table
    reliability: Markup
    reliability_table: Table
    risk_coverage: Markup
    curves: Sequence[tuple[str, Markup]]
    study: Sequence[Table]
    leak: Table
    leak_gain: float
    repeated: Table | None


def model_view(facts: RunFacts) -> ModelView:
    """All of it."""
    metrics, tables = facts.metrics, facts.tables
    accuracy = metrics.curate["accuracy"]
    return ModelView(
        models=models_table(metrics.evaluate),
        comparison=_comparison(metrics.evaluate),
        classes=class_scores_table(metrics.evaluate["classes"]),
        confusion=_confusion_table(tables.confusion, facts.samples.class_names),
        reliability=_reliability_chart(tables.reliability),
        reliability_table=_reliability_table(tables.reliability),
        risk_coverage=_risk_coverage_chart(tables.risk_coverage),
        curves=_curves(tables.curves),
        study=_study_tables(tables.study),
        leak=_leak_table(metrics.curate),
        leak_gain=accuracy["random_split"]["top1_accuracy"] - accuracy["group_aware_split"]["top1_accuracy"],
        repeated=_repeated_table(metrics),
    )


def models_table(evaluation: Mapping[str, Any]) -> Table:
    """Every model on test, and the exported file."""
    models = {**evaluation["models"], EXPORTED: evaluation["exported"]}
    intervals = [scores["interval"]["top1_accuracy"] for scores in models.values()]
    scale = axis_of("", [end for each in intervals for end in (each["low"], each["high"])])
    rows: list[Row] = [
        [
            Cell(name, is_strong=name == evaluation["selected"]["model"]),
            _with_span(scores, scale),
            interval(scores["interval"]["top1_accuracy"]),
            *(number(scores[key]) for key in ("macro_f1", "log_loss", "ece", "brier_score")),
        ]
        for name, scores in models.items()
    ]
    return Table(
        f"All models on the {count(evaluation['images'])} test images",
        ["model", "top-1 accuracy", "95\u00a0% interval", "macro F1", "log loss", "ECE", "Brier score"],
        rows,
        "evaluate.json",
        note=f"Bold: the one that was selected, on validation. {EXPORTED}: that one as it is handed out.",
    )


def _with_span(scores: Mapping[str, Any], scale: Axis) -> Cell:
    ends = scores["interval"]["top1_accuracy"]
    values = ends["low"], scores["top1_accuracy"], ends["high"]
    text = number(scores["top1_accuracy"])
    if text == number(None):
        return Cell(text)
    low, value, high = map(scale.fraction, values)
    return Cell(text, span=(low, value, high))


def _comparison(evaluation: Mapping[str, Any]) -> str:
    found, selected = evaluation["selected_minus_best_single"], evaluation["selected"]["model"]
    best = f"{found['single']}, the best single model on validation"
    first = f"{selected} is itself the best single model on validation."
    student = (
        "" if selected == "student" else _difference(f"student minus {selected}", evaluation["student_minus_selected"])
    )
    return (
        f"{first if selected == found['single'] else _difference(f'{selected} minus {best}', found)} {student}".strip()
    )


def _difference(what: str, found: Mapping[str, Any]) -> str:
    gain = found["top1_accuracy"]
    return (
        f"{what}: top-1 accuracy {signed(gain['value'])} ({signed(gain['low'])} to {signed(gain['high'])}, "
        f"p = {number(gain['p_value'], digits=2)})."
    )


def class_scores_table(classes: Mapping[str, Mapping[str, float]]) -> Table:
    """Precision, recall and F1 of each class."""
    lowest = sorted(classes, key=lambda name: (classes[name]["f1"], name))[:MAX_CLASSES_SHOWN]
    shown = [name for name in classes if name in set(lowest)]
    rows: list[Row] = [
        [name, *(number(classes[name][key]) for key in ("precision", "recall", "f1")), count(classes[name]["support"])]
        for name in shown
    ]
    is_cut = len(shown) < len(classes)
    return Table(
        "The selected model on test, by class",
        ["class", "precision", "recall", "F1", "images"],
        rows,
        "evaluate.json",
        note=f"The {len(shown)} classes with the lowest F1 of {len(classes)}." if is_cut else "",
    )


def _confusion_table(rows: Sequence[Mapping[str, str]], class_names: Sequence[str]) -> Table:
    counts = Counter((row["actual"], row["predicted"]) for row in rows)
    support = Counter(row["actual"] for row in rows)
    if len(class_names) > _MAX_MATRIX:
        return _confused_pairs(counts, support)
    lines: list[Row] = [
        [
            actual,
            *(
                Cell(
                    count(counts[actual, predicted]) if counts[actual, predicted] else "0",
                    shade=counts[actual, predicted] / max(1, support[actual]),
                    is_strong=actual == predicted,
                )
                for predicted in class_names
            ),
            count(support[actual]),
        ]
        for actual in class_names
    ]
    return Table(
        "Confusion matrix of the selected model on test",
        ["actual ↓ predicted →", *class_names, "all"],
        lines,
        "confusion.csv",
        note="Shaded by the fraction of the row.",
    )


def _confused_pairs(counts: Counter[tuple[str, str]], support: Counter[str]) -> Table:
    wrong = [(pair, number_) for pair, number_ in counts.items() if pair[0] != pair[1]]
    most = sorted(wrong, key=lambda each: (-each[1], each[0]))[:_MAX_PAIRS]
    rows: list[Row] = [[actual, predicted, count(times), count(support[actual])] for (actual, predicted), times in most]
    return Table(
        "Classes that the selected model confuses most on test",
        ["actual", "predicted", "images", "of"],
        rows,
        "confusion.csv",
        text_columns=frozenset([1]),
    )


def _reliability_chart(rows: Sequence[Mapping[str, str]]) -> Markup:
    confidence, accuracy, images = _columns(rows, "confidence", "top1_accuracy", "images")
    low = min([*confidence, 0.9])
    return line_chart(
        [Line("guide", (low, 1), (low, 1))],
        x=Axis("mean confidence of a bin", low, 1),
        y=Axis("top-1 accuracy", 0, 1),
        title="Reliability diagram of the selected model on test",
        description="Accuracy over confidence, a dot a bin, the larger the more images are in it; on the diagonal the "
        "model is as often right as it says. The table below has the numbers.",
        dots=Dots(confidence, accuracy, images),
    )


def _reliability_table(rows: Sequence[Mapping[str, str]]) -> Table:
    lines: list[Row] = [
        [
            f"{number(float(row['low']), digits=2)} to {number(float(row['high']), digits=2)}",
            count(int(row["images"])),
            number(float(row["confidence"])),
            number(float(row["top1_accuracy"])),
        ]
        for row in rows
    ]
    head = ["bin of confidence", "images", "mean confidence", "accuracy"]
    return Table("Reliability by bins", head, lines, "reliability.csv")


def _risk_coverage_chart(rows: Sequence[Mapping[str, str]]) -> Markup:
    coverage, risk = _columns(rows, "coverage", "selective_risk")
    return line_chart(
        [Line("s1", coverage, risk)],
        x=Axis("coverage (the most confident first)", 0, 1),
        y=axis_of("selective risk", risk, from_zero=True),
        title="Risk-coverage curve of the selected model on test",
        description=f"The error of those kept, over the fraction that is kept; of all: {number(risk[-1])}."
        if risk
        else "No test images.",
    )


def _curves(rows: Sequence[Mapping[str, str]]) -> list[tuple[str, Markup]]:
    by_model = defaultdict[str, list[Mapping[str, str]]](list)
    for row in rows:
        by_model[row["model"]].append(row)
    return [(name, _curve(name, of_model)) for name, of_model in list(by_model.items())[:_MAX_CURVES]]


def _curve(name: str, rows: Sequence[Mapping[str, str]]) -> Markup:
    epochs, train, val = _columns(rows, "epoch", "train_loss", "val_loss")
    best = min(range(len(val)), key=lambda at: val[at])
    return line_chart(
        [Line("guide", epochs, train), Line("s1", epochs, val)],
        x=axis_of("epoch", epochs, is_whole=True),
        y=axis_of("log loss", [*train, *val], from_zero=True),
        title=f"Training of {name}",
        description=f"Log loss over {len(epochs)} epochs: on train from {number(train[0])} to {number(train[-1])}; on "
        f"validation lowest in epoch {epochs[best]:g}, {number(val[best])}.",
        marks=[epochs[best]],
    )


def _study_tables(rows: Sequence[Mapping[str, str]]) -> list[Table]:
    """A heat map for each model: log loss on validation, mean over seeds."""
    losses = defaultdict[str, dict[tuple[float, float], list[float]]](dict)
    for row in rows:
        if row["lr"] and row["batch_size"]:
            key = float(row["lr"]), float(row["batch_size"])
            losses[row["model"]].setdefault(key, []).append(float(row["log_loss"]))
    return [_heat_map(name, {key: fmean(each) for key, each in grid.items()}) for name, grid in losses.items()]


def _heat_map(name: str, grid: Mapping[tuple[float, float], float]) -> Table:
    lowest, highest = min(grid.values()), max(grid.values())
    rates, sizes = (sorted({key[n] for key in grid}) for n in (0, 1))
    scale = Axis("", lowest, highest if highest > lowest else lowest + 1)

    def cell(rate: float, size: float) -> Cell:
        value = grid.get((rate, size))
        if value is None:
            return Cell(number(None))
        return Cell(number(value), shade=1 - scale.fraction(value), is_strong=value == lowest)

    rows: list[Row] = [[f"{rate:g}", *(cell(rate, size) for size in sizes)] for rate in rates]
    return Table(name, ["lr ↓ batch →", *(f"{size:g}" for size in sizes)], rows, "study.csv")


def _leak_table(curation: Mapping[str, Any]) -> Table:
    names = {"group_aware_split": "groups kept together (this run)", "random_split": "files at random"}
    names |= {"split_without_bursts": "near duplicates kept together, frames of a video and bursts not"}
    rows: list[Row] = [
        [name, number(curation["accuracy"][key]["top1_accuracy"]), count(curation["accuracy"][key]["test_images"])]
        for key, name in names.items()
        if key in curation["accuracy"]
    ]
    return Table(
        f"The same linear probe, trained and tested on {'three' if len(rows) > 2 else 'two'} splits",
        ["split", "top-1 accuracy", "test images"],
        rows,
        "curate.json",
    )


def _repeated_table(metrics: RunMetrics) -> Table | None:
    found = metrics.repeated_splits
    if not found["seeds"]:
        return None
    models = {"selected on each split": found["selected"], **found["models"]}
    rows: list[Row] = [
        [
            Cell(name, is_strong=name not in found["models"]),
            *(f"{number(scores[key]['mean'])} ± {number(scores[key]['stdev'])}" for key in _SCORES),
            interval(scores["top1_accuracy"]),
        ]
        for name, scores in models.items()
    ]
    return Table(
        f"Trained and scored again on {len(found['seeds'])} splits of the same groups",
        ["model", *_SCORES.values(), "accuracy, range"],
        rows,
        "repeated_splits.json",
        note="Mean ± standard deviation over the splits.",
    )


def _columns(rows: Sequence[Mapping[str, str]], *names: str) -> list[list[float]]:
    return [[float(row[name]) for row in rows] for name in names]
