"""A model of the results table as one ONNX file that says what it is."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tandem.evaluation.conformal import ood_threshold, set_threshold
from tandem.evaluation.metrics import log_probs, predict, softmax
from tandem.evaluation.scores import predictions_on, score
from tandem.evaluation.selective import threshold_for
from tandem.evaluation.settings import EvaluateSettings
from tandem.files import atomic_file, read_json, sha256
from tandem.inference.exported import BLANK, CARD, DIGEST, ModelCard, seal
from tandem.ood.detector import load_ood_scores
from tandem.ood.settings import OodSettings
from tandem.tables.logits import Logits, load_logits_in, save_logits
from tandem.tables.samples import Samples

if TYPE_CHECKING:
    import onnx

    from tandem.inference.classifier import TrainedModels
    from tandem.inference.parity import Parity

_SECTIONS = ("ingest", "backbones", "extract", "train", "ensemble")  # the others show in images and labels


@dataclass(frozen=True, eq=False)
class Exported:
    """model: its row in the results table. digest: sha256 of the file. parity: how its probs differ from others."""

    model: str
    digest: str
    parity: "Parity"


def export_model(
    model: str,
    trained: "TrainedModels",
    samples: Samples,
    path: Path,
    *,
    evaluate: EvaluateSettings,
    ood: OodSettings,
    provenance: Mapping[str, Any],
) -> Exported:
    """Write a model of the results table, whole or not at all, and hold the file against what was scored.

    evaluate, ood: by which thresholds are set on validation. Raises DataError for a name that is no model, and where
    the file's predictions are not those of torch in fp32; then nothing is written.
    """
    from tandem.inference.classifier import classifier_model, temperature_of  # and ONNX
    from tandem.inference.parity import check_exported

    logits = load_logits_in(trained.folder_of(model), ids=samples.ids, class_names=samples.class_names)
    scores = load_ood_scores([trained.detector_path(name) for name in trained.backbones_of(model)], ids=samples.ids)
    val, groups, test = predictions_on(samples.val, logits), samples.val.groups, samples.test.rows
    card = ModelCard(
        model=model,
        class_names=tuple(samples.class_names),
        size_px=trained.extract.size_px,
        resize=trained.extract.resize,
        interpolation=trained.extract.interpolation,
        tta_views=trained.extract.tta_views,
        temperature=temperature_of(model, trained),
        reject_threshold=threshold_for(val, max_error=evaluate.max_error),
        set_threshold=set_threshold(val, groups, coverage=evaluate.set_coverage),
        ood_threshold=ood_threshold(scores[samples.val.rows], groups, false_alarm_rate=ood.false_alarm_rate),
        provenance={**provenance, "val": score(val)},
        max_side_px=trained.max_side_px,
    )
    with atomic_file(path) as temporary:
        digest = write_model(classifier_model(model, trained), card, temporary)
        parity = check_exported(temporary, trained, scored=softmax(logits[test]), scored_ood=scores[test])
    return Exported(model, digest, parity)


def save_test_logits(exported: Exported, samples: Samples, path: Path) -> None:
    """Write what the file predicts of the test images, as a table of logits."""
    save_logits(Logits(samples.test.ids, samples.class_names, log_probs(exported.parity.probs)), path)


def export_summary(exported: Exported, samples: Samples) -> dict[str, Any]:
    """The scores of the file on test, and how its probs differ from those of other ways, for the metrics."""
    parity = exported.parity
    return {
        "model": exported.model,
        "sha256": exported.digest,
        **score(predict(log_probs(parity.probs), samples.test.targets)),
        "difference_to_fp32": asdict(parity.fp32),
        "difference_to_scored": asdict(parity.scored),
        "ood_score_difference": {"fp32": parity.ood_fp32, "scored": parity.ood_scored},
    }


def write_model(model: "onnx.ModelProto", card: ModelCard, path: Path) -> str:
    """Write a graph with what it says of itself, whole or not at all; its digest."""
    for key, value in {CARD: card.to_json(), DIGEST: BLANK}.items():
        model.metadata_props.add(key=key, value=value)
    return seal(model.SerializeToString(deterministic=True), path)


def provenance_of(params: Mapping[str, Any], data_dir: Path) -> dict[str, Any]:
    """What a model was made of: digests of its parameters, images and labels; licences of the sources; the code."""
    canonical = json.dumps({key: params[key] for key in _SECTIONS}, sort_keys=True)
    receipts = sorted((data_dir / "download/receipts").glob("*.json"))
    return {
        "params_sha256": hashlib.sha256(canonical.encode()).hexdigest(),
        "index_sha256": sha256(data_dir / "merge/index.csv"),
        "samples_sha256": sha256(data_dir / "curate/samples.csv"),
        "licences": {path.stem: read_json(path, keys=("licence",))["licence"] for path in receipts},
        "code": f"tandem {version('tandem')}",
    }
