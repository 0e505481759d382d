"""What a model does not know, on photographs: images of none of its classes, and sets that hold the class.

    python benchmarks/unknown.py --archives DIR [--splits 20] [--features DIR] [--json FILE]

DIR is as for benchmarks/backbones.py. The vehicles preset runs up to curate. OOD detectors are fitted to the train
images of each split, of three backbones together; they have seen no image of what they are to tell: landscapes and
streets of the scenes preset, the labels that vehicles ignores, generated noise, and each class in turn. Beside them
stand other scores of the same features and heads, those of pytorch-ood where it has them. Prediction sets are those of
the mean of two heads, beside LAC and APS of MAPIE, and RAPS. Needs `pip install pytorch-ood mapie`. Prints required
beside reached and exits 1 when a figure falls short. About six minutes.
"""

import io
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import torch
from mapie.classification import SplitConformalClassifier
from PIL import Image
from pytorch_ood.detector import KNN, RMD, Mahalanobis
from pytorch_ood.metrics import OODMetrics
from scipy.special import logsumexp
from sklearn.base import BaseEstimator, ClassifierMixin

from backbones import LITE0, LITE2, VARIANTS, Variant
from figures import Figure, at_least, at_most, conclude, make_parser, reported
from scratch import SCENES, VEHICLES, WEIGHTS, change_params, make_clone, read_params, read_preset, repro, require_files
from tandem.datasets.ingested import load_ingested
from tandem.evaluation.conformal import conformal_threshold, is_ood, ood_threshold, set_means, set_threshold
from tandem.evaluation.metrics import Predictions, log_probs, predict, softmax
from tandem.features.embedding import Compute
from tandem.features.reuse import extract_backbone
from tandem.features.settings import ExtractSettings
from tandem.ood.detector import fit_detector, joined_scores
from tandem.ood.held_out_class import held_out_class_scores, mean_over_classes
from tandem.ood.separation import auroc, fpr_at_tpr
from tandem.pipeline.params import section
from tandem.studies.repeated_splits import repeated_splits
from tandem.tables.index import load_excluded, load_index
from tandem.tables.samples import Samples, load_samples, save_samples
from tandem.tables.stored import PackedImage, load_stored
from tandem.training.heads import train_head
from tandem.training.settings import TrainSettings
from tandem.training.task import head_task
from tandem.types import Encoded

LARGEST = "Lite2 @352, bicubic, GeM"  # as in the preset
BACKBONES = ("MobileNetV2 @224", "Lite0 @224", LARGEST)
HEADS = ("MobileNetV2 @224", LARGEST)  # whose mean has the prediction sets
NUM_SPLITS_OF_PEERS = 5  # the first ones; a covariance of 1280 features takes a second
NUM_NOISE, NOISE_PX, BATCH_SIZE = 50, 224, 16
MIN_AUROC, COVERAGE, MAX_OFF, MAX_SIZE, FALSE_ALARMS = 0.98, 0.95, 0.015, 1.2, 0.05
Features = Mapping[str, np.ndarray]  # backbone -> (n, D)
Score = Callable[[np.ndarray], np.ndarray]  # (n, D) to (n,), higher for images of no class


@dataclass(frozen=True)
class Drawn:
    """An image in memory."""

    data: bytes
    name: str

    def read_bytes(self) -> bytes:
        """Its bytes."""
        return self.data

    def __str__(self) -> str:
        return self.name


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--archives", type=Path, required=True)
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--features", type=Path, help="a folder from which features are taken, or where they are kept")
    arguments = parser.parse_args()
    archives = require_files(arguments.archives, WEIGHTS, LITE0, LITE2, *VEHICLES.values(), *SCENES.values())
    with tempfile.TemporaryDirectory(prefix="tandem-unknown-") as work:
        folder = arguments.features or Path(work) / "features"
        if not (folder / "features.npz").is_file():
            vehicles, scenes = (Path(work) / name for name in ("vehicles", "scenes"))
            for clone, preset, sources, stage in (
                (vehicles, "vehicles", VEHICLES, "curate"),
                (scenes, "scenes", SCENES, "merge"),
            ):
                make_clone(clone, preset, archives, sources)
                change_params(clone, lambda values: values["backbones"].pop("resnet50"))
                repro(clone, stage)
            keep_features(vehicles, scenes, archives, folder)
        samples, found = load_samples(folder), dict(np.load(folder / "features.npz"))
    kinds = found.pop("kinds")
    numbers = on_splits(found, kinds, samples, read_preset("vehicles"), arguments.splits)
    conclude(figures_of(numbers), arguments, details={"on_splits": numbers})


def keep_features(vehicles: Path, scenes: Path, archives: Path, folder: Path) -> None:
    """Write the samples of the vehicles, and of all images features.npz: (N, D) a backbone, and `kinds` (N,)."""
    params, samples = read_params(vehicles), load_samples(vehicles / "data/curate")
    outside: dict[str, Sequence[Encoded]] = {
        "scenes": stored_images(scenes),
        **ignored_images(vehicles),
        **noise(),
    }
    images = [*stored_images(vehicles), *(each for of_kind in outside.values() for each in of_kind)]
    kinds = np.repeat(["vehicles", *outside], [len(samples), *map(len, outside.values())])
    features = {name: extracted(VARIANTS[name], images, archives, params) for name in BACKBONES}
    save_samples(samples, folder)
    arrays: dict[str, Any] = {"kinds": kinds, **features}
    np.savez(folder / "features.npz", **arrays)


def stored_images(clone: Path) -> list[PackedImage]:
    """Those of the clone's index, in its order."""
    return load_stored(clone / "data/merge/stored.csv").packed(clone / "data/ingest")


def ignored_images(clone: Path) -> dict[str, list[PackedImage]]:
    """Label that the preset ignores -> its images, less those that are under another label too."""
    known = set(load_index(clone / "data/merge/index.csv").ids)
    excluded = load_excluded(clone / "data/merge/excluded.csv")
    found: dict[str, dict[str, PackedImage]] = {}
    for source in sorted({each.source for each in excluded}):
        labels = {each.path: each.label for each in excluded if each.source == source}
        folder = clone / "data/ingest" / source
        ingested = load_ingested(folder)
        images = {each.id: each for each in ingested.images}
        for (path, _), each in ingested.found.items():
            if path in labels and each.id and each.id not in known:
                image, label = images[each.id], {"onibus": "bus"}.get(labels[path].lower(), labels[path].lower())
                found.setdefault(label, {})[each.id] = PackedImage(folder / image.shard, image.offset, image.num_bytes)
    return {label: list(of_label.values()) for label, of_label in sorted(found.items())}


def noise() -> dict[str, list[Encoded]]:
    """Pixels of random colors, smooth blots of them, and images of a single color."""
    rng, kinds = np.random.default_rng(0), {"noise": NOISE_PX, "blots": 6, "one color": 1}
    return {name: [_noise(rng, side, f"{name} {n}") for n in range(NUM_NOISE)] for name, side in kinds.items()}


def _noise(rng: np.random.Generator, side: int, name: str) -> Drawn:
    pixels, file = rng.integers(0, 256, (side, side, 3), dtype=np.uint8), io.BytesIO()
    Image.fromarray(pixels).resize((NOISE_PX, NOISE_PX), Image.Resampling.BICUBIC).save(file, "PNG")
    return Drawn(file.getvalue(), name)


def extracted(variant: Variant, images: Sequence[Encoded], archives: Path, params: Mapping[str, Any]) -> np.ndarray:
    """(N, D)."""
    settings = replace(section(params, "extract", ExtractSettings), size_px=variant.size_px)
    extraction = extract_backbone(
        variant.architecture,
        variant.settings(archives),
        replace(settings, interpolation=variant.interpolation),
        images,
        ids=list(map(str, range(len(images)))),
        compute=Compute("cpu", BATCH_SIZE, os.cpu_count() or 1),
        max_gb=0,
    )
    return np.concatenate(list(extraction.batches))[:, 0]


def on_splits(
    features: Features, kinds: np.ndarray, samples: Samples, params: Mapping[str, Any], num_splits: int
) -> dict[str, list[float]]:
    """Name of a number -> its values, one a split. features: of all images; the samples are the first of them."""
    train = replace(section(params, "train", TrainSettings), head="logistic", trainable_backbone_layers=0)
    found: dict[str, list[float]] = {}
    fractions = params["curate"]["fractions"]
    splits = repeated_splits(samples, fractions=fractions, first_seed=0, num_splits=num_splits).values()
    for number, split in enumerate(splits):
        names = BACKBONES if number < NUM_SPLITS_OF_PEERS else HEADS
        heads = {name: train_head(head_task(features[name][: len(samples)], split, train, name)).head for name in names}
        logits = {name: head.logits(features[name]) for name, head in heads.items()}
        numbers = ood_numbers(features, logits, kinds, split)
        for name, value in {**numbers, **set_numbers([logits[name] for name in HEADS], split)}.items():
            found.setdefault(name, []).append(value)
    return found


def ood_numbers(features: Features, logits: Features, kinds: np.ndarray, samples: Samples) -> dict[str, float]:
    """Of one split. logits: backbone -> (N, C) of its head."""
    in_train = {name: fit_detector(each[: len(samples)], samples.train) for name, each in features.items()}
    distances = {name: detector.distances(features[name]) for name, detector in in_train.items()}
    scores, val, test = joined_scores(list(distances.values())), samples.val, samples.test
    inside = scores[test.rows]
    threshold = ood_threshold(scores[val.rows], val.groups, false_alarm_rate=FALSE_ALARMS)
    numbers = {"flagged: vehicles": float(is_ood(inside, threshold).mean())}
    for kind in dict.fromkeys(kinds[len(samples) :].tolist()):
        outside = scores[kinds == kind]
        numbers[f"AUROC: {kind}"] = auroc(inside, outside)
        numbers[f"FPR95: {kind}"] = fpr_at_tpr(inside, outside)
        numbers[f"flagged: {kind}"] = float(is_ood(outside, threshold).mean())
    of_samples = {name: each[: len(samples)] for name, each in distances.items()}
    held_out = mean_over_classes(held_out_class_scores(of_samples, samples, false_alarm_rate=FALSE_ALARMS))
    numbers |= {f"held-out class: {name}": value for name, value in held_out.items()}
    numbers["difference to pytorch-ood"] = _difference_of_metrics(inside, scores[kinds == "scenes"])
    others = {f"{name} alone": each.min(axis=1) for name, each in distances.items()}
    others |= peers(features, logits, samples) if len(logits) == len(features) else {}
    for name, each in others.items():
        numbers[f"AUROC, {name}: scenes"] = auroc(each[test.rows], each[kinds == "scenes"])
        numbers[f"AUROC, {name}: bus"] = auroc(each[test.rows], each[kinds == "bus"])
    return numbers


def peers(features: Features, logits: Features, samples: Samples) -> dict[str, np.ndarray]:
    """Other scores -> (N,) of all images; of backbones, the mean of what is standardized on validation."""
    train, val = samples.train, samples.val
    probs = np.mean([softmax(each) for each in logits.values()], axis=0)
    found = {"highest prob": -probs.max(axis=1)}
    ways: dict[str, Callable[[str], np.ndarray]] = {"energy": lambda name: -logsumexp(logits[name], axis=1)}
    for way, detector in {
        "10-NN": lambda: KNN(None, k=10),
        "Mahalanobis": lambda: Mahalanobis(None),
        "relative Mahalanobis": lambda: RMD(None),
    }.items():
        for is_normalized in (False, True) if way != "10-NN" else (True,):
            label = f"{way}, features of length 1" if is_normalized else way
            ways[label] = lambda name, detector=detector, is_normalized=is_normalized: _by_pytorch_ood(  # type: ignore[misc]
                detector(), features[name], train.rows, train.targets, is_normalized=is_normalized
            )
    for way, score in ways.items():
        parts = [score(name) for name in features]
        found[way] = np.mean([(each - each[val.rows].mean()) / each[val.rows].std() for each in parts], axis=0)
    return found


def _by_pytorch_ood(
    detector: Any, features: np.ndarray, rows: np.ndarray, targets: np.ndarray, *, is_normalized: bool
) -> np.ndarray:
    values = torch.from_numpy(features.astype(np.float32))
    values = torch.nn.functional.normalize(values) if is_normalized else values
    detector.fit_features(values[rows], torch.from_numpy(targets))
    scores: np.ndarray = detector.predict_features(values).numpy().astype(np.float64)
    return scores


def _difference_of_metrics(inside: np.ndarray, outside: np.ndarray) -> float:
    """Between AUROC and FPR at 95 % TPR here and those of pytorch-ood, the larger one."""
    metrics = OODMetrics()
    targets = np.repeat([0, -1], [len(inside), len(outside)])
    metrics.update(torch.from_numpy(np.concatenate([inside, outside])), torch.from_numpy(targets))
    theirs = {name: float(value) for name, value in metrics.compute().items()}
    return max(abs(theirs["AUROC"] - auroc(inside, outside)), abs(theirs["FPR95TPR"] - fpr_at_tpr(inside, outside)))


class _Given(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier whose features are its probs, for MAPIE."""

    def fit(self, probs: np.ndarray, targets: np.ndarray) -> "_Given":
        """Nothing is fitted."""
        self.classes_, self.is_fitted_ = np.arange(probs.shape[1]), True
        return self

    def predict_proba(self, probs: np.ndarray) -> np.ndarray:
        """As they are."""
        return probs

    def predict(self, probs: np.ndarray) -> np.ndarray:
        """The most probable class."""
        classes: np.ndarray = probs.argmax(axis=1)
        return classes


def set_numbers(logits: Sequence[np.ndarray], samples: Samples) -> dict[str, float]:
    """Coverage and mean size of the sets of one split, ours and MAPIE's. logits: (N, C) of each head."""
    mean = log_probs(np.mean([softmax(each) for each in logits], axis=0))
    val, test = (predict(mean[split.rows], split.targets) for split in (samples.val, samples.test))
    threshold = set_threshold(val, samples.val.groups, coverage=COVERAGE)
    ours = set_means(test, samples.test.groups, threshold=threshold)
    numbers = {f"sets: {name}": value for name, value in ours.items()}
    numbers["top-1 accuracy"] = float(test.is_right.mean())
    plain = np.quantile(val.probs[np.arange(len(val)), val.targets], 1 - COVERAGE, method="lower")
    numbers["sets without the correction: coverage"] = set_means(test, samples.test.groups, threshold=plain)["coverage"]
    found = {f"{way} of MAPIE": _sets_of_mapie(val, test, way.lower()) for way in ("LAC", "APS")}
    val_scores, test_scores = (_raps_scores(each.probs, np.random.default_rng(n)) for n, each in enumerate((val, test)))
    of_targets = val_scores[np.arange(len(val)), val.targets]
    found["RAPS"] = test_scores <= conformal_threshold(of_targets, samples.val.groups, coverage=COVERAGE)
    for way, sets in found.items():
        numbers[f"sets, {way}: coverage"] = float(sets[np.arange(len(test)), test.targets].mean())
        numbers[f"sets, {way}: mean_size"] = float(sets.sum(axis=1).mean())
    return numbers


def _sets_of_mapie(val: Predictions, test: Predictions, way: str) -> np.ndarray:
    """(n, C) bool of test."""
    mapie = SplitConformalClassifier(
        _Given().fit(val.probs, val.targets), confidence_level=COVERAGE, conformity_score=way, random_state=0
    ).conformalize(val.probs, val.targets)
    sets: np.ndarray = mapie.predict_set(test.probs)[1][:, :, 0]
    return sets


def _raps_scores(probs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n, C) randomized scores of RAPS (Angelopoulos et al. 2021), a penalty of 0.1 from the second class on."""
    order = (-probs).argsort(axis=1)
    ordered = np.take_along_axis(probs, order, axis=1)
    scores = ordered.cumsum(axis=1) - rng.random((len(probs), 1)) * ordered + 0.1 * np.arange(probs.shape[1])
    found = np.empty_like(scores)
    np.put_along_axis(found, order, scores, axis=1)
    return found


def figures_of(found: Mapping[str, Sequence[float]]) -> list[Figure]:
    """Means over splits."""
    means = {name: fmean(values) for name, values in found.items()}
    required: dict[str, Callable[[str, float], Figure]] = {
        "AUROC: scenes": lambda name, value: at_least(name, MIN_AUROC, value, ".4f"),
        "difference to pytorch-ood": lambda name, value: at_most(name, 1e-3, value, ".1e"),
        "sets: mean_size": lambda name, value: at_most(name, MAX_SIZE, value, ".4f"),
    }
    figures = [required.get(name, _reported)(name, value) for name, value in means.items()]
    off = abs(means["sets: coverage"] - COVERAGE)
    figures.append(at_most("sets: coverage, off what was wanted by", MAX_OFF, off, ".4f"))
    if len(found["sets: coverage"]) > 1:
        figures.append(reported("sets: standard deviation of coverage over splits", stdev(found["sets: coverage"])))
    return figures


def _reported(name: str, value: float) -> Figure:
    return reported(name, value, ".4f")


if __name__ == "__main__":
    main()
