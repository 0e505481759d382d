"""What further views of each image are worth, and what they cost.

    python benchmarks/views.py --archives DIR [--seeds 10] [--json FILE]

DIR holds the vehicles archives (kaggle/*.zip, roboflow/*.zip) and weights/mobilenet_v2-imagenet.pth. They are curated
once in a scratch clone, with ten views of each image (extract.views: 10); the head of the preset is then trained on
the first k of them for each seed of the split, and scored on its test images. Nothing is required: the table is what
the default of one view was chosen by. About five minutes on two idle cores.
"""

import argparse
import tempfile
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

import real_photos
from figures import Figure, conclude
from tandem.evaluation.scores import score
from tandem.studies.repeated_splits import repeated_splits
from tandem.tables.features import load_features
from tandem.tables.samples import load_samples
from tandem.training import heads

NUMBERS = (1, 2, 4, 8, 10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archives", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=10, help="of the split: 0, 1, ...")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    archives = real_photos.whole(arguments.archives, real_photos.WEIGHTS, *real_photos.VEHICLES.values())
    with tempfile.TemporaryDirectory(prefix="tandem-views-") as work:
        clone = Path(work) / "vehicles"
        real_photos.prepare(clone, "vehicles", archives, real_photos.VEHICLES)
        real_photos.change(clone, ten_views)
        real_photos.repro(clone, "curate")
        conclude(list(figures(clone, arguments.seeds)), arguments.json)


def ten_views(values: dict[str, Any]) -> None:
    values["extract"]["views"] = max(NUMBERS)
    del values["backbones"]["resnet50"]


def figures(clone: Path, seeds: int) -> Iterable[Figure]:
    samples, values = load_samples(clone / "data/curate"), real_photos.read_params(clone)
    views = np.asarray(load_features(clone / "data/extract/mobilenet_v2", ids=samples.ids).views)
    drawn = repeated_splits(samples, fractions=values["curate"]["fractions"], first=0, seeds=seeds)
    settings = heads.TrainSettings.from_params(values["train"])
    for number in NUMBERS:
        scores = []
        for own in drawn.values():
            trained = heads.train_head(views[:, :number], own, settings=settings, name=f"{number} views")
            scores.append(score(trained.logits, own, split="test"))
        accuracies = [each["top1_accuracy"] for each in scores]
        text = f"{fmean(accuracies):.4f} +- {stdev(accuracies):.3f}, {fmean(each['log_loss'] for each in scores):.4f}"
        yield Figure(f"{number} views: top-1 accuracy, log loss, {seeds} splits", None, text, fmean(accuracies), True)


if __name__ == "__main__":
    main()
