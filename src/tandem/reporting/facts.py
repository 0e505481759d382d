"""Everything that a report says of a finished run, read once from what its stages wrote.

Tables and metrics as they lie in the files, so that what a page or a card states can be traced to one of them. What
is made of them (slices, mistakes, charts) is the business of the other modules.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tandem.datasets.ingested import load_ingested_images, quality_by_id
from tandem.errors import DataError
from tandem.evaluation.metrics import Predictions
from tandem.evaluation.scores import predictions_on
from tandem.files import read_csv, read_json
from tandem.inference.exported import ExportedModel, load_exported
from tandem.reporting.state import RunState, params_of_run, read_state
from tandem.sources.receipts import Receipt, read_receipt
from tandem.tables.features import load_features
from tandem.tables.index import Excluded, Index, load_excluded, load_index
from tandem.tables.logits import folder_of_model, load_logits_in
from tandem.tables.samples import Samples, load_samples
from tandem.tables.stored import PackedImage, load_stored

Rows = Sequence[Mapping[str, str]]  # of a CSV file: column -> text


@dataclass(frozen=True)
class RunMetrics:
    """What the stages' JSON files of these names hold. train: that of each backbone."""

    summary: Mapping[str, Any]
    merge: Mapping[str, Any]
    curate: Mapping[str, Any]
    label_errors: Mapping[str, Any]
    ensemble: Mapping[str, Any]
    study: Mapping[str, Any]
    evaluate: Mapping[str, Any]
    repeated_splits: Mapping[str, Any]
    ood: Mapping[str, Any]
    export: Mapping[str, Any]
    train: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class RunTables:
    """The rows of the CSV files of these names."""

    confusion: Rows
    reliability: Rows
    risk_coverage: Rows
    curves: Rows
    study: Rows
    label_errors: Rows


@dataclass(frozen=True, eq=False)
class RunFacts:
    """One finished run. N images of the index; samples and index are in the same order.

    params: those of the run. receipts: source -> what was downloaded. excluded: what did not come into the index.
    other_files: source -> suffix -> number of files that are neither images nor archives. images: id -> the encoded
    image. quality: measure (blur, brightness, entropy, aspect_ratio) -> id -> value, of every stored image. features:
    (N, D) by which curate looked for near duplicates. logits: (N, C) of the selected model. exported: the model as it
    is handed out.
    """

    params: Mapping[str, Any]
    state: RunState
    metrics: RunMetrics
    tables: RunTables
    receipts: Mapping[str, Receipt]
    index: Index
    samples: Samples
    excluded: Sequence[Excluded]
    other_files: Mapping[str, Mapping[str, int]]
    images: Mapping[str, PackedImage]
    quality: Mapping[str, Mapping[str, float]]
    features: np.ndarray
    logits: np.ndarray
    exported: ExportedModel
    model_path: Path
    data_dir: Path
    metrics_dir: Path

    @property
    def selected(self) -> str:
        """The row of the results table that is handed out."""
        return str(self.metrics.evaluate["selected"]["model"])

    @cached_property
    def predictions(self) -> Predictions:
        """Of the selected model on test, in the order of samples.test: those that were scored."""
        return predictions_on(self.samples.test, self.logits)

    @cached_property
    def row_of(self) -> Mapping[str, int]:
        """Image id -> where it stands in the index, in samples and in logits."""
        return {id_: row for row, id_ in enumerate(self.index.ids)}


def read_facts(root: Path, params: Mapping[str, Any], *, data_dir: Path, metrics_dir: Path) -> RunFacts:
    """All facts of the run in the project's folder `root`.

    params: as they are now. data_dir, metrics_dir: where the stages write. Raises DataError where no run has ended,
    and DamagedFileError for a file that is missing or is not as its stage wrote it.
    """
    evaluation = metrics_dir / "evaluate.json"
    if not evaluation.is_file():
        raise DataError(
            f"no run has ended in this folder ({evaluation} is missing); run `dvc repro` in the project's folder"
        )
    state, params = read_state(root, params), params_of_run(root, params)
    metrics = _read_metrics(metrics_dir, list(params["backbones"]))
    sources, samples = list(params["sources"]), load_samples(data_dir / "curate")
    stored = load_stored(data_dir / "merge/stored.csv")
    selected, model_path = metrics.evaluate["selected"]["model"], data_dir / "export/model.onnx"
    folder = folder_of_model(data_dir, selected, params["backbones"])
    return RunFacts(
        params=params,
        state=state,
        metrics=metrics,
        tables=_read_tables(metrics_dir),
        receipts=_read_receipts(data_dir / "download/receipts", sources),
        index=load_index(data_dir / "merge/index.csv"),
        samples=samples,
        excluded=load_excluded(data_dir / "merge/excluded.csv"),
        other_files={name: read_json(data_dir / "ingest" / name / "others.json") for name in sources},
        images=dict(zip(stored.ids, stored.packed(data_dir / "ingest"), strict=True)),
        quality=quality_by_id(image for name in sources for image in load_ingested_images(data_dir / "ingest" / name)),
        features=load_features(data_dir / "extract" / params["curate"]["backbone"], ids=samples.ids).without_tta,
        logits=load_logits_in(folder, ids=samples.ids, class_names=samples.class_names),
        exported=load_exported(model_path, threads=1),
        model_path=model_path,
        data_dir=data_dir,
        metrics_dir=metrics_dir,
    )


def _read_metrics(folder: Path, backbones: Sequence[str]) -> RunMetrics:
    names = ("summary", "merge", "curate", "label_errors", "ensemble", "study", "repeated_splits", "ood", "export")
    of_stages = {name: read_json(folder / f"{name}.json") for name in names}
    evaluate = read_json(
        folder / "evaluate.json", keys=("selected", "models", "exported", "classes", "prediction_sets")
    )
    train = {name: read_json(folder / "train" / f"{name}.json") for name in backbones}
    return RunMetrics(**of_stages, evaluate=evaluate, train=train)


def _read_tables(metrics_dir: Path) -> RunTables:
    names = ("confusion", "reliability", "risk_coverage", "curves", "study", "label_errors")
    return RunTables(**{name: read_csv(metrics_dir / f"{name}.csv") for name in names})


def _read_receipts(folder: Path, sources: Sequence[str]) -> dict[str, Receipt]:
    """Those that are there: a run of an older version, or outputs that were pulled in part, may lack some."""
    found = {name: read_receipt(folder / f"{name}.json") for name in sources}
    return {name: receipt for name, receipt in found.items() if receipt}
