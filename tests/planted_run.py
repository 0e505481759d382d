"""The facts of a run that never was, in memory, with images in one file: for tests of what is said of a run."""

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
from PIL import Image

from factories import evaluate_settings
from planted_images import png
from tandem.evaluation import report as scoring
from tandem.evaluation.scores import predictions_on
from tandem.features.engines.base import Engine
from tandem.inference.exported import ExportedModel
from tandem.reporting.analysis import Analysis
from tandem.reporting.facts import RunFacts, RunMetrics, RunTables
from tandem.reporting.licenses import licensing
from tandem.reporting.mistakes import worst_mistakes
from tandem.reporting.page.statements import Statements
from tandem.reporting.slices import by_name, judge
from tandem.reporting.speed import Speed
from tandem.reporting.state import RunState
from tandem.sources.receipts import Receipt
from tandem.tables.index import Excluded, ImageRecord, Index, Origin
from tandem.tables.samples import SPLITS, Sample, Samples
from tandem.tables.stored import PackedImage
from toy_model import CARD, colors_model

PARAMS = {
    "sources": {"web": {}, "exports": {}},
    "backbones": {"one": {"weights": "random"}},
    "curate": {"backbone": "one", "fractions": {"train": 0.6, "val": 0.2, "test": 0.2}, "seed": 0},
    "train": {"seed": 0},
    "label_errors": {"seed": 0},
    "evaluate": {"seed": 0, "max_error": 0.05},
}
UP_TO_DATE = RunState((), (), "", "c0ffee" * 6 + "abcd", "2026-11-28", False, "d1" * 32, {"Python": "3.11"})
CLASS_NAMES = ("car", "motorcycle", "truck")
SPEED = Speed("a processor", num_cores=4, num_images=32, single=12.34, batched=5.0, batched_fast=None)


def planted_facts(folder, *, class_names=CLASS_NAMES, per_class=20, file_name="{}.png", state=UP_TO_DATE, wrong=0.2):
    """Images of all classes from two sources in turn, of ten six in train, two in val, two in test.

    Planted: image 0 is found in two files, image 1 is a near duplicate of it; one file is ignored, one is truncated,
    two are text, and a label names an image that is not there. wrong: fraction that the selected model predicts wrong.
    """
    num_images = per_class * len(class_names)
    targets, ids = np.arange(num_images) % len(class_names), [f"{number:032x}" for number in range(num_images)]
    samples = _samples(ids, targets, class_names)
    index = Index.of(
        ImageRecord(id_, class_names[target], f"{id_}.png", 48, 32, (), _origins(n, class_names[target], file_name))
        for n, (id_, target) in enumerate(zip(ids, targets.tolist(), strict=True))
    )
    logits = _logits(targets, len(class_names), wrong)
    evaluate = _evaluated(samples, logits)
    return RunFacts(
        params=PARAMS,
        state=state,
        metrics=_metrics(samples, evaluate),
        tables=_tables(samples, logits, file_name),
        receipts={name: _receipt(name, index) for name in ("web", "exports")},
        index=index,
        samples=samples,
        excluded=[
            Excluded("web", "bus/0.png", "bus", "ignored_label", ""),
            Excluded("web", "car/broken.png", "car", "truncated", "it ends early"),
            Excluded("exports", "gone.png", "car", "no_image", "it is not there"),
        ],
        other_files={"web": {".txt": 2}, "exports": {}},
        images=_images(folder, ids),
        quality={
            name: {id_: (n % 17) / 17 + 1 for n, id_ in enumerate(ids)}
            for name in ("blur", "brightness", "entropy", "aspect_ratio")
        },
        features=np.eye(num_images, 8, dtype=np.float32),
        logits=logits,
        exported=ExportedModel(
            CARD, "ab" * 32, Engine("none", iter), colors_model(num_views=CARD.tta_views).SerializeToString()
        ),
        model_path=Path(folder) / "model.onnx",
        data_dir=Path("data"),
        metrics_dir=Path("metrics"),
    )


def planted_analysis(facts):
    """Slices by source, mistakes without maps, licences."""
    samples = facts.samples
    return Analysis(
        slices=judge([by_name("source", samples.test.sources)], facts.predictions, samples.test.groups),
        mistakes=replace(
            worst_mistakes(facts.predictions, samples.test, class_names=samples.class_names, suggested_labels={}),
            without_maps="none were drawn",
        ),
        licensing=licensing({name: each.licence for name, each in facts.receipts.items()}, {}),
        speed=SPEED,
    )


def planted_statements(text="this is not stated"):
    """The same text for everything."""
    return Statements(**{field.name: text for field in fields(Statements)})


def _samples(ids, targets, class_names):
    rows = []
    for number, (id_, target) in enumerate(zip(ids, targets.tolist(), strict=True)):
        split = SPLITS[(0, 0, 0, 0, 0, 0, 1, 1, 2, 2)[(number // len(class_names)) % 10]]
        source = ("web", "exports")[number % 2]
        rows.append(Sample(id_, class_names[target], source, id_, split))
    rows[1] = rows[1]._replace(group=ids[0], split="", exclusion_reason=f"duplicate of {ids[0]}")
    return Samples.of(class_names, rows)


def _origins(number, label, file_name):
    source = ("web", "exports")[number % 2]
    first = Origin(source, f"{label}/{file_name.format(number)}", label)
    return (first, Origin(source, f"again/{file_name.format(number)}", label)) if number == 0 else (first,)


def _receipt(name, index):
    num_files = sum(origin.source == name for origins in index.origins for origin in origins)
    beside = {"web": 4, "exports": 0}[name]
    licence = {"web": "CC BY-NC 4.0", "exports": "CC BY-SA 4.0"}[name]
    return Receipt(
        name, "archive", {}, f"/home/me/{name}.zip", "", "aa", 0, "", "", (), "aa", 1, num_files + beside, licence, None
    )


def _logits(targets, num_classes, wrong):
    logits = 4 * np.eye(num_classes, dtype=np.float32)[targets]
    rows = np.flatnonzero(np.random.default_rng(0).random(len(targets)) < wrong)
    logits[rows] = 3 * np.eye(num_classes, dtype=np.float32)[(targets[rows] + 1) % num_classes]
    return logits


def _evaluated(samples, logits):
    settings, test = evaluate_settings(num_resamples=20), samples.test
    found = scoring.report(
        {"one": logits / 2, "mean": logits},
        samples,
        selected="mean",
        singles=["one"],
        student="one",
        exported=logits[test.rows],
        min_sides=np.full(len(samples), 32),
        settings=settings,
    )
    return json.loads(json.dumps(found))


def _metrics(samples, evaluate):
    counts = {
        split: {name: int(((samples.splits == split) & (samples.labels == name)).sum()) for name in samples.class_names}
        for split in SPLITS
    }
    by_source = {
        split: {name: int(((samples.splits == split) & (samples.sources == name)).sum()) for name in ("exports", "web")}
        for split in SPLITS
    }
    accuracy = {"top1_accuracy": 0.8, "test_images": 12}
    spread = {"mean": 0.8, "stdev": 0.01, "low": 0.7, "high": 0.9}
    scores = dict.fromkeys(("top1_accuracy", "macro_f1", "log_loss", "ece"), spread)
    same = {"largest": 0.0, "changed_classes": 0, "images": 12}
    return RunMetrics(
        summary={},
        merge={"images": len(samples)},
        curate={
            "images": len(samples),
            "used": len(samples) - 1,
            "near_duplicate_pairs": 1,
            "splits": counts,
            "sources": by_source,
            "accuracy": {"group_aware_split": accuracy, "random_split": accuracy | {"top1_accuracy": 0.9}},
            "test_files_leaked_by_random_split": 1,
            "pairs_leaked_by_random_split": 1,
            "max_cross_split_similarity": 0.7,
        },
        label_errors={"label_issues": 1, "listed": 2},
        ensemble={},
        study={"finding": "nothing was found"},
        evaluate=evaluate,
        repeated_splits={"seeds": [0, 1], "selected": scores, "models": {"one": scores}},
        ood={
            "false_alarm_rate": {"wanted": 0.05, "value": 1 / 12, "low": 0.0, "high": 0.25},
            "leave_one_class_out": {
                "auroc": 0.9123,
                "fpr_at_95_tpr": 0.3451,
                "flagged": 0.5672,
                "classes": {name: {"auroc": 0.9} for name in samples.class_names},
                "backbones": {},
            },
        },
        export={f"difference_to_{name}": same for name in ("fp32", "file", "scored")},
        train={},
    )


def _tables(samples, logits, file_name):
    test = predictions_on(samples.test, logits)
    issue = {"suggested_label": samples.class_names[-1], "self_confidence": "0.02", "source": "web"}
    curve = {"model": "one", "lr": "0.1", "train_top1_accuracy": "0.5", "val_top1_accuracy": "0.5"}
    return RunTables(
        confusion=scoring.confusion_table(test, samples.test.ids, samples.class_names),
        reliability=_texts(scoring.reliability_table(test)),
        risk_coverage=_texts(scoring.risk_coverage_table(test)),
        curves=[curve | {"epoch": str(n), "train_loss": str(1 / n), "val_loss": str(1.1 / n)} for n in (1, 2, 3)],
        study=[
            {"model": "one", "lr": lr, "batch_size": size, "seed": "0", "log_loss": loss}
            for lr, size, loss in (("0.1", "8", "0.5"), ("0.01", "8", "0.25"), ("", "", "9.0"))
        ],
        label_errors=[
            issue | {"id": samples.ids[n], "kind": kind, "label": str(samples.labels[n]), "file": file_name.format(n)}
            for n, kind in ((2, "mislabeled"), (3, "outlier"))
        ],
    )


def _texts(rows):
    return [{key: str(value) for key, value in row.items()} for row in rows]


def _images(folder, ids):
    path, images, data = Path(folder) / "images-00000.tar", {}, b""
    for number, id_ in enumerate(ids):
        color = tuple(int(c) for c in np.random.default_rng(number).integers(0, 256, 3))
        image = png(Image.new("RGB", (48, 32), color))
        images[id_] = PackedImage(path, len(data), len(image))
        data += image
    path.write_bytes(data)
    return images
