"""Backbones with ImageNet weights on the photographs: frozen features, a logistic head, twenty splits by group.

    python benchmarks/backbones.py --archives DIR [--splits 20] [--json FILE]

DIR is as for benchmarks/real_photos.py, and holds weights/tf_efficientnet_lite0-imagenet.pth and -lite2- of timm too.
The vehicles preset runs up to curate. Each backbone gets images of some size (after @), which it may scale down itself
(after >): that may cost no accuracy. Some end at an earlier layer, get images scaled by a bicubic filter, or are pooled
by GeM (after the comma). Top-1 accuracy on test of each and of means of probs, what the bicubic filter and GeM add, and
what the best mean adds to the best single one on the same splits. Prints required beside reached and exits 1 when a
figure falls short. About twelve minutes.
"""

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

import numpy as np

from figures import Figure, at_most, conclude, make_parser, reported
from scratch import VEHICLES, WEIGHTS, change_params, make_clone, read_params, repro, require_files
from tandem.evaluation.metrics import softmax
from tandem.features.embedding import Compute
from tandem.features.reuse import extract_backbone
from tandem.features.settings import BackboneSettings, ExtractSettings, Pooling, ProviderName
from tandem.files import sha256
from tandem.pipeline.params import section
from tandem.studies.repeated_splits import repeated_splits
from tandem.tables.samples import Samples, load_samples
from tandem.tables.stored import load_stored
from tandem.training.heads import train_head
from tandem.training.settings import TrainSettings
from tandem.training.task import head_task
from tandem.types import Interpolation

LITE0, LITE2 = (f"weights/tf_efficientnet_lite{number}-imagenet.pth" for number in (0, 2))
MAX_CHANGE = 0.005  # of top-1 accuracy, where a backbone scales images down itself
BATCH_SIZE = 16


class Variant(NamedTuple):
    """A backbone for images of size_px, which it scales down to own_px; both by the same interpolation.

    layer: at which it ends, if not at its last.
    """

    file: str
    architecture: str
    provider: ProviderName
    size_px: int
    own_px: int | None = None
    layer: str | None = None
    interpolation: Interpolation = "bilinear"
    pooling: Pooling = "average"

    def settings(self, archives: Path) -> BackboneSettings:
        """With the weights of its file."""
        path = archives / self.file
        return BackboneSettings(
            str(path),
            sha256(path),
            self.architecture,
            self.provider,
            size_px=self.own_px,
            interpolation=self.interpolation,
            layer=self.layer,
            pooling=self.pooling,
        )


VARIANTS = {
    "MobileNetV2 @224": Variant(WEIGHTS, "mobilenet_v2", "torchvision", 224),
    "MobileNetV2 @260>224": Variant(WEIGHTS, "mobilenet_v2", "torchvision", 260, 224),
    "Lite0 @224": Variant(LITE0, "tf_efficientnet_lite0", "timm", 224),
    "Lite0 @260>224": Variant(LITE0, "tf_efficientnet_lite0", "timm", 260, 224),
    "Lite2 @224": Variant(LITE2, "tf_efficientnet_lite2", "timm", 224),
    "Lite2 @260": Variant(LITE2, "tf_efficientnet_lite2", "timm", 260),
    "Lite2 @288": Variant(LITE2, "tf_efficientnet_lite2", "timm", 288),
    "MobileNetV2 @224, features.13": Variant(WEIGHTS, "mobilenet_v2", "torchvision", 224, layer="features.13"),
    "Lite0 @224, blocks.5": Variant(LITE0, "tf_efficientnet_lite0", "timm", 224, layer="blocks.5"),
    "Lite2 @288, blocks.5": Variant(LITE2, "tf_efficientnet_lite2", "timm", 288, layer="blocks.5"),
}
BICUBIC = ("MobileNetV2 @224", "Lite0 @224", "Lite0 @260>224", "Lite2 @224", "Lite2 @260", "Lite2 @288")
LARGER = {
    "Lite2 @352": VARIANTS["Lite2 @224"]._replace(size_px=352),
    "Lite2 @416": VARIANTS["Lite2 @224"]._replace(size_px=416),
    "Lite2 @352, blocks.5": VARIANTS["Lite2 @288, blocks.5"]._replace(size_px=352),
}
VARIANTS |= {
    f"{name}, bicubic": each._replace(interpolation="bicubic")
    for name, each in ({name: VARIANTS[name] for name in BICUBIC} | LARGER).items()
}
GEM = tuple(f"{name}, bicubic" for name in ("MobileNetV2 @224", "Lite0 @224", "Lite2 @260", "Lite2 @288", *LARGER))
VARIANTS |= {f"{name}, GeM": VARIANTS[name]._replace(pooling="gem") for name in GEM}
MEANS = (
    ("MobileNetV2 @224", "Lite0 @224"),
    ("MobileNetV2 @260>224", "Lite2 @260"),
    ("MobileNetV2 @224", "Lite2 @288"),
    ("MobileNetV2 @260>224", "Lite0 @260>224", "Lite2 @260"),
    ("Lite2 @288", "Lite2 @288, blocks.5"),
    ("MobileNetV2 @224, bicubic", "Lite2 @288, bicubic"),
    ("Lite0 @260>224, bicubic", "Lite2 @260, bicubic"),
    ("Lite2 @352, bicubic, GeM", "Lite2 @352, blocks.5, bicubic, GeM"),
    ("MobileNetV2 @224, bicubic, GeM", "Lite2 @352, bicubic, GeM", "Lite2 @352, blocks.5, bicubic, GeM"),
)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--archives", type=Path, required=True)
    parser.add_argument("--splits", type=int, default=20)
    arguments = parser.parse_args()
    archives = require_files(arguments.archives, WEIGHTS, LITE0, LITE2, *VEHICLES.values())
    with tempfile.TemporaryDirectory(prefix="tandem-backbones-") as work:
        clone = Path(work) / "clone"
        make_clone(clone, "vehicles", archives, VEHICLES)
        change_params(clone, lambda values: values["backbones"].pop("resnet50"))
        repro(clone, "curate")
        accuracies = accuracies_on_splits(clone, archives, arguments.splits)
    conclude(figures_of(accuracies), arguments, details={"top1_accuracy": accuracies})


def accuracies_on_splits(clone: Path, archives: Path, num_splits: int) -> dict[str, list[float]]:
    """Of each variant and mean, one a split."""
    params, samples = read_params(clone), load_samples(clone / "data/curate")
    features = {name: extracted(each, clone, archives, params) for name, each in VARIANTS.items()}
    train = replace(section(params, "train", TrainSettings), head="logistic", trainable_backbone_layers=0)
    found: dict[str, list[float]] = {}
    fractions = params["curate"]["fractions"]
    for split in repeated_splits(samples, fractions=fractions, first_seed=0, num_splits=num_splits).values():
        probs = {name: test_probs(each, split, train, name) for name, each in features.items()}
        probs |= {" + ".join(names): np.mean([probs[name] for name in names], axis=0) for names in MEANS}
        for name, each in probs.items():
            found.setdefault(name, []).append(float((each.argmax(axis=1) == split.test.targets).mean()))
    return found


def extracted(variant: Variant, clone: Path, archives: Path, params: Mapping[str, Any]) -> np.ndarray:
    """(N, k, D)."""
    settings = section(params, "extract", ExtractSettings)
    settings = replace(settings, size_px=variant.size_px, interpolation=variant.interpolation)
    stored = load_stored(clone / "data/merge/stored.csv")
    extraction = extract_backbone(
        variant.architecture,
        variant.settings(archives),
        settings,
        stored.packed(clone / "data/ingest"),
        ids=stored.sha256,
        compute=Compute("cpu", BATCH_SIZE, os.cpu_count() or 1),
        max_gb=0,
    )
    return np.concatenate(list(extraction.batches))


def test_probs(features: np.ndarray, samples: Samples, train: TrainSettings, name: str) -> np.ndarray:
    """(n, C) of the split's test images."""
    return softmax(train_head(head_task(features, samples, train, name)).logits[samples.test.rows])


def figures_of(accuracies: Mapping[str, Sequence[float]]) -> list[Figure]:
    figures = list[Figure]()
    for name, each in sorted(accuracies.items(), key=lambda item: -fmean(item[1])):
        figures.append(reported(f"{name}: top-1 accuracy", fmean(each), ".4f"))
        figures.append(reported(f"{name}: its standard deviation over splits", stdev(each), ".4f"))
    for name in ("MobileNetV2", "Lite0"):
        change = fmean(accuracies[f"{name} @260>224"]) - fmean(accuracies[f"{name} @224"])
        figures.append(at_most(f"{name}: scaled down by itself, less top-1 accuracy", MAX_CHANGE, -change, ".4f"))
    for what, suffix, names in (("bicubic less bilinear", "bicubic", BICUBIC), ("GeM less the average", "GeM", GEM)):
        for name in names:
            gains = np.subtract(accuracies[f"{name}, {suffix}"], accuracies[name])
            figures.append(reported(f"{name}: {what}, top-1 accuracy", float(gains.mean()), ".4f"))
            figures.append(reported(f"{name}: {what}, its standard error over splits", standard_error(gains), ".4f"))
    best, single = (
        max(names, key=lambda name: fmean(accuracies[name])) for names in (map(" + ".join, MEANS), VARIANTS)
    )
    gains = np.subtract(accuracies[best], accuracies[single])
    figures.append(reported(f"{best} less {single}: top-1 accuracy", float(gains.mean()), ".4f"))
    figures.append(reported("its standard error over splits", standard_error(gains), ".4f"))
    return figures


def standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / len(values) ** 0.5)


if __name__ == "__main__":
    main()
