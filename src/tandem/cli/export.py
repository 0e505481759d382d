"""The command `tandem export`: a trained model as one file, from what the last run wrote."""

import hashlib
import json
import os
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import typer

from tandem.errors import DataError
from tandem.evaluation.scores import predictions_on, score
from tandem.evaluation.selective import threshold_for
from tandem.evaluation.settings import EvaluateSettings
from tandem.features.settings import BackboneSettings, ExtractSettings
from tandem.files import read_json, sha256
from tandem.inference.classifier import TrainedModels, load_classifier
from tandem.inference.export import export_classifier
from tandem.inference.exported import ModelCard
from tandem.pipeline import lock
from tandem.pipeline.params import read_params, section, sections
from tandem.tables.logits import load_logits_of
from tandem.tables.samples import load_samples
from tandem.training.settings import EnsembleSettings, TrainSettings

_DATA = Path("data")


def export_model(model: str | None, output: Path) -> None:
    """Write the model of this name, by default the selected one.

    Raises DataError where nothing was trained, or by other parameters.
    """
    _require_writable(output)
    params = _params_of_run()
    samples = load_samples(_DATA / "curate")
    trained = TrainedModels(
        backbones=sections(params, "backbones", BackboneSettings),
        extract=section(params, "extract", ExtractSettings),
        train=section(params, "train", TrainSettings),
        ensemble=section(params, "ensemble", EnsembleSettings),
        class_names=samples.class_names,
        features_dir=_DATA / "finetune",
        train_dir=_DATA / "train",
        study_dir=_DATA / "study",
        ensemble_dir=_DATA / "ensemble",
    )
    name = model or str(read_json(_DATA / "ensemble/selected.json")["selected"])
    classifier = load_classifier(name, trained)
    logits = load_logits_of({name: trained.folder_of(name)}, ids=samples.ids, class_names=samples.class_names)
    val = predictions_on(samples.val, logits[name])
    card = ModelCard(
        model=name,
        class_names=samples.class_names,
        size_px=trained.extract.size_px,
        resize=trained.extract.resize,
        tta_views=trained.extract.tta_views,
        reject_threshold=threshold_for(val, max_error=section(params, "evaluate", EvaluateSettings).max_error),
        provenance={**_provenance(params), "val": score(val)},
    )
    digest = export_classifier(classifier, card, output)
    typer.echo(
        f"{name} is in {output}: {output.stat().st_size / 1e6:.1f} MB, sha256 {digest}\n"
        f"tandem predict --model {output} PATH...   # files or folders of images"
    )


def _require_writable(output: Path) -> None:
    """Raises DataError, before anything is computed, where no file can be written."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"no file can be written at {output}: {error}; name another place") from None
    if output.is_dir() or not os.access(output.parent, os.W_OK):
        reason = "that is a folder" if output.is_dir() else f"{output.parent} cannot be written to"
        raise DataError(f"no file can be written at {output}: {reason}; name another place")


def _params_of_run() -> dict[str, Any]:
    """The parameters, which are to be those of the last run: they say how to read what that wrote."""
    if not (_DATA / "ensemble/selected.json").is_file():
        raise DataError("nothing was trained in this folder yet; run `dvc repro` in the project's folder")
    params = read_params()
    changed = lock.changed_params(lock.read_lock(Path("dvc.lock")), params)
    if changed:
        keys = ", ".join(change.key for change in changed)
        raise DataError(f"params.yaml differs from the last run in {keys}; run `dvc repro`, or take the change back")
    return params


def _provenance(params: Mapping[str, Any]) -> dict[str, Any]:
    """What the model was made of: digests of parameters, images and labels; licences of the sources; the code."""
    receipts = {path.stem: read_json(path) for path in sorted((_DATA / "download/receipts").glob("*.json"))}
    canonical = json.dumps({key: value for key, value in params.items() if key != "runtime"}, sort_keys=True)
    return {
        "params_sha256": hashlib.sha256(canonical.encode()).hexdigest(),
        "index_sha256": sha256(_DATA / "merge/index.csv"),
        "samples_sha256": sha256(_DATA / "curate/samples.csv"),
        "licences": {name: receipt["licence"] for name, receipt in receipts.items() if name in params["sources"]},
        "code": f"tandem {version('tandem')}",
    }
