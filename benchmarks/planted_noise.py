"""Wrong labels planted in sets of images: are they found, and better than by cleanlab on the same probabilities?

    pip install --no-deps --target .tandem/tools/cleanlab cleanlab==2.9.0 termcolor tqdm pandas
    python benchmarks/planted_noise.py --archives DIR [--planted 1440] [--features DIR] [--json FILE]

DIR is as for benchmarks/backbones.py; --features keeps the sets' features in a folder for another run. Sets: the
vehicles and the scenes by MobileNetV2 and EfficientNet-Lite2, the vehicles' archives once more with buses and bicycles,
the generated sample by its random backbones, and scikit-learn's digits. Labels known to be wrong are left out. Then 2,
5, 10 and 20 % of the labels are replaced: by any other class (even), or by the class whose mean features are the most
similar (similar). The fewer labels a plant has, the more plants: each set, rate and kind has at least so many wrong
labels in all as --planted says, and 12 plants.

Average precision of all images, the likeliest wrong label first: of the stage's score, and of the three methods of
cleanlab's get_label_quality_scores on the out-of-fold probabilities of the stage's own probe. How probe and neighbors
are pooled is chosen on the other families of sets, each counted once, with other plants, and scored on the set that is
left out; what the stage has must be what all families together choose. Neighbors have at most a quarter: with half,
benchmarks/wrong_labels.py finds one real wrong label less. Required of each set and rate, over both kinds: more than
self_confidence, cleanlab's default, by the lower end of the 95 % interval over plants (Student's t). Reported: the same
of the best of the three methods there and by kind, and the F1 of find_label_issues beside that of as many labels at the
top of our list. Prints required beside reached and exits 1 when a figure falls short.

cleanlab is no dependency of the project: it is read from a folder of its own. Its wheel 2.9.0 states Apache-2.0.
"""

import math
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from itertools import product, repeat
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student
from sklearn.metrics import average_precision_score

from backbones import LITE2
from figures import Figure, above, conclude, exactly, make_parser, reported
from planted_sets import LabeledSet, kept_sets
from scratch import ROOT, SCENES, VEHICLES, WEIGHTS, require_files
from tandem.curation.label_errors.noise import PoolSettings
from tandem.curation.label_errors.scores import Evidence

RATES = (0.02, 0.05, 0.1, 0.2)
KINDS = ("even", "similar")
METHODS = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")
CANDIDATES = tuple(
    PoolSettings(*each) for each in product(((0.0,), (0.0, 0.25)), (20.0, 50.0), (0.0, 0.5), (0.75, 1.0))
)
CHOICE_SEEDS = range(1000, 1002)
MIN_PLANTS = 12
NUM_NEIGHBORS = 20
TOOL = ROOT / ".tandem/tools/cleanlab"


class Case(NamedTuple):
    """One plant of noise."""

    kind: str
    rate: float
    seed: int


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--archives", type=Path, required=True)
    parser.add_argument("--planted", type=int, default=1440, help="wrong labels of each set, rate and kind in all")
    parser.add_argument("--features", type=Path, help="folder where features are kept between runs")
    arguments = parser.parse_args()
    archives = require_files(arguments.archives, WEIGHTS, LITE2, *VEHICLES.values(), *SCENES.values())
    if not (TOOL / "cleanlab").is_dir():
        sys.exit(f"error: {TOOL} holds no cleanlab; install it as the top of this file says")
    sys.path.append(str(TOOL))  # behind the project's own packages
    with tempfile.TemporaryDirectory(prefix="tandem-noise-") as work:
        sets = kept_sets(archives, Path(work), arguments.features)
        figures, details = measured(sets, arguments.planted)
    conclude(figures, arguments, details=details)


def measured(sets: Mapping[str, LabeledSet], num_wrong: int) -> tuple[list[Figure], dict[str, object]]:
    """Figures, and the average precisions of all cases, ours and cleanlab's by default. num_wrong: see --planted."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        tried = dict(zip(sets, pool.map(candidates_on, sets.values()), strict=True))
        families = {name: each.family for name, each in sets.items()}
        taken = CANDIDATES.index(PoolSettings())
        figures = [exactly("pool settings that all sets choose, by number", taken, best_of(tried, families))]
        chosen = {
            name: best_of({other: tried[other] for other in sets if families[other] != families[name]}, families)
            for name in sets
        }
        settings = [CANDIDATES[chosen[name]] for name in sets]
        scored = pool.map(scores_on, sets.values(), settings, repeat(num_wrong))
        details: dict[str, object] = {"candidates": [str(each) for each in CANDIDATES]}
        for name, scores in zip(sets, scored, strict=True):
            figures.append(reported(f"{name}: pool settings that the other sets choose, by number", chosen[name], "d"))
            figures += figures_of(name, scores)
            details[name] = {
                f"{rate:.0%}": {column: np.round(columns[column], 4).tolist() for column in ("ours", METHODS[0])}
                for rate, columns in scores.items()
            }
    return figures, details


def best_of(tried: Mapping[str, np.ndarray], families: Mapping[str, str]) -> int:
    """The candidate with the highest mean over families of sets. tried: set -> (candidates, cases)."""
    means = dict[str, list[np.ndarray]]()
    for name, each in tried.items():
        means.setdefault(families[name], []).append(each.mean(axis=1))
    return int(np.mean([np.mean(each, axis=0) for each in means.values()], axis=0).argmax())


def candidates_on(images: LabeledSet) -> np.ndarray:
    """(candidates, cases) average precisions."""
    evidence, columns = Evidence.of(images.features, images.groups), []
    for case in (Case(*each) for each in product(KINDS, RATES, CHOICE_SEEDS)):
        targets, is_wrong = planted(images, case)
        opinions = evidence.ask(targets, num_classes=images.num_classes, num_neighbors=NUM_NEIGHBORS)
        odds = [evidence.weigh(opinions, settings).log_odds for settings in CANDIDATES]
        columns.append([average_precision_score(is_wrong, each) for each in odds])
    return np.array(columns).T


def scores_on(images: LabeledSet, settings: PoolSettings, num_wrong: int) -> dict[float, dict[str, np.ndarray]]:
    """Rate -> column -> (kinds, plants)."""
    evidence, scores = Evidence.of(images.features, images.groups), dict[float, dict[str, np.ndarray]]()
    for rate in RATES:
        num_plants = max(MIN_PLANTS, math.ceil(num_wrong / (rate * len(images.targets))))
        columns: dict[str, list[float]] = {}
        for kind, seed in product(KINDS, range(num_plants)):
            for column, value in scores_of(images, evidence, settings, Case(kind, rate, seed)).items():
                columns.setdefault(column, []).append(value)
        scores[rate] = {column: np.reshape(values, (len(KINDS), num_plants)) for column, values in columns.items()}
    return scores


def scores_of(images: LabeledSet, evidence: Evidence, settings: PoolSettings, case: Case) -> dict[str, float]:
    """Average precision of ours and of cleanlab's methods, and F1 of the labels that cleanlab finds and of as many."""
    find_label_issues = import_module("cleanlab.filter").find_label_issues
    get_label_quality_scores = import_module("cleanlab.rank").get_label_quality_scores
    targets, is_wrong = planted(images, case)
    opinions = evidence.ask(targets, num_classes=images.num_classes, num_neighbors=NUM_NEIGHBORS)
    odds = evidence.weigh(opinions, settings).log_odds
    probs = evidence.probe_probs(opinions)
    found = find_label_issues(targets, probs, n_jobs=1)
    first = np.zeros(len(odds), dtype=bool)
    first[np.argsort(-odds, kind="stable")[: found.sum()]] = True
    quality = {each: get_label_quality_scores(targets, probs, method=each) for each in METHODS}
    return {
        "ours": average_precision_score(is_wrong, odds),
        **{each: average_precision_score(is_wrong, -quality[each]) for each in METHODS},
        "F1 of find_label_issues": f1_score(is_wrong, found),
        "F1 of as many of ours": f1_score(is_wrong, first),
    }


def f1_score(is_wrong: np.ndarray, is_found: np.ndarray) -> float:
    return float(2 * (is_wrong & is_found).sum() / max(is_wrong.sum() + is_found.sum(), 1))


def planted(images: LabeledSet, case: Case) -> tuple[np.ndarray, np.ndarray]:
    """(n,) labels with noise, and (n,) whether each is wrong."""
    rng = np.random.default_rng((case.seed, round(100 * case.rate), KINDS.index(case.kind)))
    num_images = len(images.targets)
    rows = rng.choice(num_images, max(1, round(case.rate * num_images)), replace=False)
    targets, num_classes = images.targets.copy(), images.num_classes
    if case.kind == "even":
        targets[rows] = (targets[rows] + rng.integers(1, num_classes, len(rows))) % num_classes
    else:
        targets[rows] = most_similar(images)[targets[rows]]
    return targets, targets != images.targets


def most_similar(images: LabeledSet) -> np.ndarray:
    """(C,) the other class whose mean features, less that of all, have the highest cosine, summed over backbones."""
    total = np.zeros((images.num_classes, images.num_classes))
    for features in images.features:
        centered = features - features.mean(axis=0)
        means = np.stack([centered[images.targets == each].mean(axis=0) for each in range(images.num_classes)])
        unit = means / np.linalg.norm(means, axis=1, keepdims=True)
        total += unit @ unit.T
    np.fill_diagonal(total, -np.inf)
    return total.argmax(axis=1)


def figures_of(name: str, scores: Mapping[float, Mapping[str, np.ndarray]]) -> list[Figure]:
    figures = list[Figure]()
    for rate, columns in scores.items():
        what = f"{name}, {rate:.0%} wrong"
        means = {column: float(values.mean()) for column, values in columns.items()}
        best = max(METHODS, key=means.__getitem__)
        gains = {each: columns["ours"] - columns[each] for each in (METHODS[0], best)}
        low, high = interval(gains[METHODS[0]])
        figures += [
            reported(f"{what}: average precision", means["ours"]),
            reported(f"{what}: that of cleanlab, {METHODS[0]}", means[METHODS[0]]),
            above(f"{what}: ours less its, 95 % interval, low", 0, low, ".4f"),
            reported(f"{what}: ours less its, 95 % interval, high", high, ".4f"),
            *(
                reported(f"{what}, {kind}: ours less its", float(gains[METHODS[0]][row].mean()), ".4f")
                for row, kind in enumerate(KINDS)
            ),
            reported(f"{what}: plants of each kind", columns["ours"].shape[1], "d"),
        ]
        low, high = interval(gains[best])
        figures += [
            reported(f"{what}: its best method, {best}", means[best]),
            reported(f"{what}: ours less the best, 95 % interval, low", low, ".4f"),
            reported(f"{what}: ours less the best, 95 % interval, high", high, ".4f"),
            *(reported(f"{what}: {each}", means[each]) for each in columns if each.startswith("F1")),
        ]
    return figures


def interval(values: np.ndarray) -> tuple[float, float]:
    """Of the mean over kinds (kinds, plants), 95 %."""
    of_plants = values.mean(axis=0)
    half = float(student.ppf(0.975, len(of_plants) - 1) * of_plants.std(ddof=1) / len(of_plants) ** 0.5)
    return float(of_plants.mean()) - half, float(of_plants.mean()) + half


if __name__ == "__main__":
    main()
