"""The recipe that this project began from, with its faults: what it claims, and what each fault does to the claim.

    python benchmarks/seed_recipe.py --archives DIR [--epochs 15] [--num-splits 3] [--json FILE]

DIR is as for benchmarks/scratch.py. The vehicles archives are curated once in a scratch clone, and MobileNetV2 with a
new last layer is trained as the recipe has it (benchmarks/recipe.py), once a seed of the split: with all faults,
without one at a time, without any, and with each alone, since faults hide one another; beside it the project's own head
on the same group-aware split. A training serves every line that differs only in what is scored. About fifteen minutes
on two idle cores.

A claim is the recipe's accuracy on its own test set at the epoch that it chooses. The honest figure is that of the same
training on the group-aware split, tested on correctly prepared images at the epoch that is best on validation; of the
faults only a drifting backbone changes it, since the others bend the measurement and not the model.

Prints required beside reached and exits 1 when a figure falls short.
"""

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import mean

import numpy as np

from figures import Figure, at_least, conclude, make_parser, reported
from recipe import SIZE_PX, Curve, Part, Task, train_all
from scoring import head_scores
from scratch import VEHICLES, WEIGHTS, images_of, make_clone, random_split, read_params, repro, require_files
from tandem.curation.settings import SplitFractions
from tandem.images.transforms import load_transformed
from tandem.pipeline.params import section
from tandem.studies.repeated_splits import reassign_splits
from tandem.tables.features import load_features
from tandem.tables.index import load_index
from tandem.tables.samples import SPLITS, Samples, load_samples
from tandem.training.settings import TrainSettings
from tandem.types import Encoded

RAW = "test images not normalized"
DRIFT = "frozen backbone in train mode"
RANDOM_SPLIT = "random split, duplicates and all"
ON_TEST = "epoch chosen on the test set"
FAULTS = (RAW, DRIFT, RANDOM_SPLIT, ON_TEST)

POINTS = 100  # in an accuracy of 1
MIN_ACCURACY = 0.88  # of our own head


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--archives", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--num-splits", type=int, default=3)
    arguments = parser.parse_args()
    archives = require_files(arguments.archives, WEIGHTS, *VEHICLES.values())
    with tempfile.TemporaryDirectory(prefix="tandem-recipe-") as work:
        clone = Path(work) / "vehicles"
        make_clone(clone, "vehicles", archives, VEHICLES)
        repro(clone, "curate")
        seeds = range(arguments.num_splits)
        figures = compare(clone, archives / WEIGHTS, epochs=arguments.epochs, seeds=seeds)
    conclude(figures, arguments)


def compare(clone: Path, weights: Path, *, epochs: int, seeds: Iterable[int]) -> list[Figure]:
    """The recipe's claims and our own figure on the curated images of the clone."""
    index, samples = load_index(clone / "data/merge/index.csv"), load_samples(clone / "data/curate")
    params = read_params(clone)
    settings = section(params, "train", TrainSettings)
    fractions = section(params, "curate.fractions", SplitFractions).by_split()
    features = load_features(clone / "data/extract/mobilenet_v2", ids=samples.ids).without_tta
    pixels = decode_all(images_of(clone))
    tasks: dict[tuple[int, bool], Task] = {}
    ours = []
    for seed in seeds:
        group_aware = reassign_splits(samples, fractions=fractions, seed=seed)
        rows, files = random_split(index, fractions, seed)
        parts = {
            True: parts_of(rows, Samples.of(samples.class_names, files)),
            False: parts_of(range(len(samples)), group_aware),
        }
        tasks |= {(seed, is_random): Task(weights, pixels, parts[is_random], epochs, seed) for is_random in parts}
        ours.append(head_scores(features, group_aware, settings)["top1_accuracy"])
    return claim_figures(train_all(tasks), ours)


def decode_all(images: Sequence[Encoded]) -> np.ndarray:
    """(N, SIZE_PX, SIZE_PX, 3) uint8, squashed."""
    load = partial(load_transformed, size_px=SIZE_PX, resize="squash", interpolation="bilinear")
    return np.concatenate([load(image.read_bytes()) for image in images])


def parts_of(rows: Sequence[int], samples: Samples) -> dict[str, Part]:
    """Split -> its images. rows: of the images, in the order of samples."""
    return {split: Part(np.asarray(rows)[samples.split(split).rows], samples.split(split).targets) for split in SPLITS}


def claim_figures(curves: Mapping[tuple[int, bool, bool], Curve], ours: Sequence[float]) -> list[Figure]:
    """curves: (seed, drifts, is a random split) -> curve. ours: accuracies of our own head, one a seed."""
    seeds = sorted({seed for seed, _, _ in curves})

    def claims(*faults: str) -> list[float]:
        drifts, is_random = DRIFT in faults, RANDOM_SPLIT in faults
        return [claim(curves[seed, drifts, is_random], faults) for seed in seeds]

    all_faults, no_faults = claims(*FAULTS), claims()
    figures = accuracy_figures("recipe, all faults: claimed top-1 accuracy", all_faults)
    for fault in FAULTS:
        without = claims(*(other for other in FAULTS if other != fault))
        figures += accuracy_figures(f"recipe without: {fault}", without)
        figures += effect_figures(f"effect beside the others of: {fault}", all_faults, without)
    figures += accuracy_figures("recipe, no faults: claimed top-1 accuracy", no_faults)
    figures += effect_figures("effect of all faults", all_faults, no_faults)
    for fault in FAULTS:
        alone = claims(fault)
        figures += accuracy_figures(f"recipe with only: {fault}", alone)
        figures += effect_figures(f"effect alone of: {fault}", alone, no_faults)
    figures += accuracy_figures("honest: recipe on a drifting backbone", claims(DRIFT))
    figures += accuracy_figures("honest: recipe on a frozen backbone", no_faults)
    _, lowest, highest = accuracy_figures("honest: ours", ours)
    return [*figures, lowest, highest, at_least("honest: ours", MIN_ACCURACY, mean(ours))]


def claim(curve: Curve, faults: Sequence[str]) -> float:
    """Test accuracy at the chosen epoch, the first of several, with or without RAW and ON_TEST."""
    is_normalized, split = RAW not in faults, "test" if ON_TEST in faults else "val"
    return max(curve, key=lambda epoch: epoch[split, is_normalized])["test", is_normalized]


def accuracy_figures(what: str, values: Sequence[float], form: str = ".3f") -> list[Figure]:
    """Mean, lowest and highest over the seeds."""
    return [
        reported(what, mean(values), form),
        reported(f"{what}, lowest of a split", min(values), form),
        reported(f"{what}, highest of a split", max(values), form),
    ]


def effect_figures(what: str, faulty: Sequence[float], without: Sequence[float]) -> list[Figure]:
    """What the claim with the fault has over the one without."""
    points = [POINTS * (one - other) for one, other in zip(faulty, without, strict=True)]
    return accuracy_figures(f"{what}, points", points, "+.1f")


if __name__ == "__main__":
    main()
