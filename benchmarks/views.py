"""What further TTA views of each image are worth.

    python benchmarks/views.py --archives DIR [--num-splits 10] [--json FILE]

DIR is as for benchmarks/scratch.py. The vehicles archives are curated once in a scratch clone, with ten views of each
image (extract.tta_views: 10); the head of the preset is then trained on the first k of them for each seed of the split,
and scored on its test images. Nothing is required: the table is what the default of one view was chosen by. About five
minutes on two idle cores.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from figures import Figure, conclude, make_parser, reported
from scoring import head_scores
from scratch import VEHICLES, WEIGHTS, change_params, make_clone, read_params, repro, require_files
from tandem.curation.settings import SplitFractions
from tandem.pipeline.params import section
from tandem.studies.repeated_splits import repeated_splits
from tandem.tables.features import load_features
from tandem.tables.samples import load_samples
from tandem.training.settings import TrainSettings

NUMBERS = (1, 2, 4, 8, 10)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--archives", type=Path, required=True)
    parser.add_argument("--num-splits", type=int, default=10)
    arguments = parser.parse_args()
    archives = require_files(arguments.archives, WEIGHTS, *VEHICLES.values())
    with tempfile.TemporaryDirectory(prefix="tandem-views-") as work:
        clone = Path(work) / "vehicles"
        make_clone(clone, "vehicles", archives, VEHICLES)
        change_params(clone, ask_for_views)
        repro(clone, "curate")
        figures = list(score_views(clone, arguments.num_splits))
    conclude(figures, arguments)


def ask_for_views(values: dict[str, Any]) -> None:
    values["extract"]["tta_views"] = max(NUMBERS)
    del values["backbones"]["resnet50"]


def score_views(clone: Path, num_splits: int) -> Iterator[Figure]:
    """Accuracy and log loss on so many splits, by the number of views."""
    samples, params = load_samples(clone / "data/curate"), read_params(clone)
    views = np.asarray(load_features(clone / "data/extract/mobilenet_v2", ids=samples.ids).tta_views)
    fractions = section(params, "curate.fractions", SplitFractions).by_split()
    splits = repeated_splits(samples, fractions=fractions, first_seed=0, num_splits=num_splits)
    settings = section(params, "train", TrainSettings)
    for number in NUMBERS:
        scores = [head_scores(views[:, :number], own, settings) for own in splits.values()]
        accuracies = [each["top1_accuracy"] for each in scores]
        yield reported(f"{number} views: top-1 accuracy, mean of {num_splits} splits", fmean(accuracies), ".4f")
        yield reported(f"{number} views: top-1 accuracy, standard deviation", stdev(accuracies))
        yield reported(f"{number} views: log loss, mean", fmean(each["log_loss"] for each in scores), ".4f")


if __name__ == "__main__":
    main()
