"""What `tandem select` is worth: accuracy on test by the number of labels, beside images chosen at random.

    python benchmarks/selection_curve.py --archives DIR [--splits 40] [--json FILE]

DIR is as for benchmarks/real_photos.py. The vehicles and scenes presets run up to curate. Of each split by groups the
train images are a pool without labels: a few at random get theirs, a logistic head is fitted to them on the features of
curate.backbone, and then, round by round, each strategy says which images get theirs next:

    random
    least sure    those of the smallest margin between the two most probable classes
    k-center      the farthest from all that have a label, one after another (Sener & Savarese 2018)
    BADGE         k-means++ on gradients of the last layer (Ash et al. 2020)
    tandem select what the command does

C of the head is fixed. A strategy's gain is its mean accuracy over
the rounds less that of random choice from the same start on the same split; its 95 % interval is over splits, which
share images, and so a little narrow. Prints required beside reached and exits 1 when a figure falls short. About six
minutes.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from figures import Figure, above, at_least, conclude, make_parser, reported
from scratch import SCENES, VEHICLES, WEIGHTS, change_params, make_clone, repro, require_files
from tandem.evaluation.metrics import softmax
from tandem.monitoring.selection import diverse_batch, uncertainty_of
from tandem.studies.repeated_splits import repeated_splits
from tandem.tables.features import load_features
from tandem.tables.samples import Samples, load_samples
from tandem.training.fitting.logistic import fit_logistic

FRACTIONS = {"train": 0.7, "val": 0.05, "test": 0.25}
C = 0.01
NUM_ROUNDS = 5
MAX_LOSS = 0.005  # of mean accuracy, where a strategy gains nothing


class Set(NamedTuple):
    """A preset with its archives. step: labels at the start, and a round."""

    preset: str
    sources: Mapping[str, str]
    step: int


class Pool(NamedTuple):
    """Images without a label: features at length 1 (n, D), and probs (n, C). labeled: (m, D), of those with one."""

    features: np.ndarray
    probs: np.ndarray
    labeled: np.ndarray


SETS = (Set("vehicles", VEHICLES, 50), Set("scenes", SCENES, 25))
Strategy = Callable[[Pool, int, int], np.ndarray]  # pool, number, seed -> positions in the pool


def at_random(pool: Pool, number: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(len(pool.features))[:number]


def least_sure(pool: Pool, number: int, seed: int) -> np.ndarray:
    return np.argsort(-uncertainty_of(pool.probs), kind="stable")[:number]


def k_center(pool: Pool, number: int, seed: int) -> np.ndarray:
    nearest = np.min(2 - 2 * pool.features @ pool.labeled.T, axis=1)
    picked = list[int]()
    for _ in range(number):
        picked.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, 2 - 2 * pool.features @ pool.features[picked[-1]])
        nearest[picked] = -1
    return np.array(picked)


def badge(pool: Pool, number: int, seed: int) -> np.ndarray:
    errors = pool.probs - np.eye(pool.probs.shape[1])[pool.probs.argmax(axis=1)]
    gradients = (errors[:, :, None] * pool.features[:, None]).reshape(len(errors), -1)
    rng, picked = np.random.default_rng(seed), [int((gradients**2).sum(axis=1).argmax())]
    nearest = np.full(len(gradients), np.inf)
    while len(picked) < number:
        nearest = np.minimum(nearest, ((gradients - gradients[picked[-1]]) ** 2).sum(axis=1))
        nearest[picked] = 0
        picked.append(int(rng.choice(len(nearest), p=nearest / nearest.sum())))
    return np.array(picked)


def tandem_select(pool: Pool, number: int, seed: int) -> np.ndarray:
    return diverse_batch(pool.features, uncertainty_of(pool.probs), number=number, seed=seed)


STRATEGIES: Mapping[str, Strategy] = {
    "random": at_random,
    "least sure": least_sure,
    "k-center": k_center,
    "BADGE": badge,
    "tandem select": tandem_select,
}


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--archives", type=Path, required=True)
    parser.add_argument("--splits", type=int, default=40)
    arguments = parser.parse_args()
    needed = [name for each in SETS for name in each.sources.values()]
    archives = require_files(arguments.archives, WEIGHTS, *needed)
    curves = {each.preset: curves_of(each, archives, arguments.splits) for each in SETS}
    figures = [figure for each in SETS for figure in figures_of(each, curves[each.preset])]
    means = {
        name: {strategy: np.mean(each, axis=0).round(4).tolist() for strategy, each in of_set.items()}
        for name, of_set in curves.items()
    }
    labels = {each.preset: [each.step * (number + 1) for number in range(NUM_ROUNDS + 1)] for each in SETS}
    conclude(figures, arguments, details={"labels": labels, "top1_accuracy": means})


def curves_of(each: Set, archives: Path, num_splits: int) -> dict[str, list[list[float]]]:
    """Strategy -> for each split its accuracies, from the start on."""
    with tempfile.TemporaryDirectory(prefix="tandem-selection-") as work:
        clone = Path(work) / "clone"
        make_clone(clone, each.preset, archives, each.sources)
        change_params(clone, lambda values: values["backbones"].pop("resnet50"))
        repro(clone, "curate")
        samples = load_samples(clone / "data/curate")
        features = load_features(clone / "data/extract/mobilenet_v2", ids=samples.ids).without_tta.copy()
    splits = repeated_splits(samples, fractions=FRACTIONS, first_seed=0, num_splits=num_splits)
    with threadpool_limits(limits=1):
        return {
            name: [curve(choose, features, split, each.step, seed) for seed, split in splits.items()]
            for name, choose in STRATEGIES.items()
        }


def curve(choose: Strategy, features: np.ndarray, samples: Samples, step: int, seed: int) -> list[float]:
    """Top-1 accuracy on test at the start, and after each round."""
    units = features / np.linalg.norm(features, axis=1, keepdims=True)
    order = start_with_every_class(samples, seed)
    labeled, accuracies = order[:step], list[float]()
    for number in range(NUM_ROUNDS + 1):
        head = fit_logistic(features[labeled], samples.targets[labeled], C=C, balanced=True)
        test = samples.test
        accuracies.append(float((head.logits(features[test.rows]).argmax(axis=1) == test.targets).mean()))
        rest = np.setdiff1d(samples.train.rows, labeled)
        pool = Pool(units[rest], softmax(head.logits(features[rest])), units[labeled])
        labeled = np.concatenate([labeled, rest[choose(pool, step, seed * NUM_ROUNDS + number)]])
    return accuracies


def start_with_every_class(samples: Samples, seed: int) -> np.ndarray:
    """The rows of train at random, one of each class first."""
    train = samples.train
    order = np.random.default_rng(seed).permutation(len(train))
    _, first = np.unique(train.targets[order], return_index=True)
    return train.rows[np.concatenate([order[first], np.delete(order, first)])]


def figures_of(each: Set, curves: Mapping[str, Sequence[Sequence[float]]]) -> list[Figure]:
    figures = list[Figure]()
    for name, found in curves.items():
        if name == "random":
            continue
        gains = (np.array(found) - np.array(curves["random"]))[:, 1:].mean(axis=1)
        half = 1.96 * float(gains.std(ddof=1)) / len(gains) ** 0.5
        what, gain = f"{each.preset}: {name} less random, mean top-1 accuracy over rounds", float(gains.mean())
        figures.append(
            at_least(what, -MAX_LOSS, gain, "+.4f") if name == "tandem select" else reported(what, gain, "+.4f")
        )
        low = f"{each.preset}: {name}, lower limit of the interval"
        is_required = name == "tandem select" and each.preset == "scenes"
        figures.append(above(low, 0, gain - half, "+.4f") if is_required else reported(low, gain - half, "+.4f"))
        figures.append(reported(f"{each.preset}: {name}, upper limit of the interval", gain + half, "+.4f"))
    return figures


if __name__ == "__main__":
    main()
