"""What a temperature fitted on a hundred validation images is worth: ours beside maximum likelihood and none at all.

    python benchmarks/calibration.py --archives DIR [--splits 20] [--json FILE]

DIR is as for benchmarks/backbones.py. Logistic heads on frozen features of MobileNetV2 (224 px) and EfficientNet-Lite2
(288 px) on vehicles and scenes, and the mean of their probs, on splits by group: log loss on test. Logits times 2.5
stand for an overconfident model. A temperature of ours may nowhere be worse than the better one of the two others by
more than a tenth, and must be better than each on average (the geometric mean) for the logits as they are. Prints
required beside reached and exits 1 when a figure falls short. About three minutes.
"""

import math
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean

import numpy as np

from backbones import LITE0, LITE2, VARIANTS, extracted
from figures import Figure, at_most, conclude, make_parser, reported
from scratch import SCENES, VEHICLES, WEIGHTS, change_params, make_clone, read_params, repro, require_files
from tandem.evaluation.calibration import fit_temperature
from tandem.evaluation.metrics import log_loss, log_probs, predict, softmax
from tandem.pipeline.params import section
from tandem.studies.repeated_splits import repeated_splits
from tandem.tables.samples import Samples, load_samples
from tandem.training.heads import fit_logistic_head
from tandem.training.settings import TrainSettings
from tandem.training.task import head_task

MEMBERS = ("MobileNetV2 @224", "Lite2 @288")
FACTORS = (1.0, 2.5)
MAX_EXCESS = 1.1
Temperature = Callable[[np.ndarray, np.ndarray], float]


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--archives", type=Path, required=True)
    parser.add_argument("--splits", type=int, default=20)
    arguments = parser.parse_args()
    archives = require_files(arguments.archives, WEIGHTS, LITE0, LITE2, *VEHICLES.values(), *SCENES.values())
    losses = dict[str, dict[str, float]]()
    with tempfile.TemporaryDirectory(prefix="tandem-calibration-") as work:
        for preset, sources in {"vehicles": VEHICLES, "scenes": SCENES}.items():
            clone = Path(work) / preset
            make_clone(clone, preset, archives, sources)
            change_params(clone, lambda values: values["backbones"].pop("resnet50"))
            repro(clone, "curate")
            losses |= losses_of(preset, clone, archives, arguments.splits)
    conclude(figures_of(losses), arguments, details={"log_loss": losses})


def max_likelihood(logits: np.ndarray, targets: np.ndarray) -> float:
    """The temperature of the lowest log loss, of a fine grid."""
    tried = np.geomspace(0.2, 20, 400)
    return float(tried[np.argmin([log_loss(predict(logits / each, targets)) for each in tried])])


TEMPERATURES: Mapping[str, Temperature] = {
    "none": lambda _logits, _targets: 1.0,
    "maximum likelihood": max_likelihood,
    "ours": fit_temperature,
}


def losses_of(preset: str, clone: Path, archives: Path, num_splits: int) -> dict[str, dict[str, float]]:
    """Model -> temperature -> mean log loss on test."""
    params, samples = read_params(clone), load_samples(clone / "data/curate")
    features = {name: extracted(VARIANTS[name], clone, archives, params) for name in MEMBERS}
    train, fractions = section(params, "train", TrainSettings), params["curate"]["fractions"]
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for split in repeated_splits(samples, fractions=fractions, first_seed=0, num_splits=num_splits).values():
        heads = {
            name: fit_logistic_head(head_task(each, split, train, name))[0].head for name, each in features.items()
        }
        raw = {name: head.logits(features[name]) for name, head in heads.items()}
        for factor in FACTORS:
            for how, temperature in TEMPERATURES.items():
                calibrated = {name: scaled(factor * each, split, temperature) for name, each in raw.items()}
                mean = log_probs(np.mean([softmax(each) for each in calibrated.values()], axis=0))
                for name, each in {**calibrated, "mean": scaled(mean, split, temperature)}.items():
                    loss = log_loss(predict(each[split.test.rows], split.test.targets))
                    found[f"{preset}, {name}, logits x {factor:g}"][how].append(loss)
    return {model: {how: fmean(each) for how, each in losses.items()} for model, losses in found.items()}


def scaled(logits: np.ndarray, split: Samples, temperature: Temperature) -> np.ndarray:
    return logits / temperature(logits[split.val.rows], split.val.targets)


def figures_of(losses: Mapping[str, Mapping[str, float]]) -> list[Figure]:
    figures = list[Figure]()
    for model, by in losses.items():
        for how in ("none", "maximum likelihood"):
            figures.append(reported(f"{model}: log loss, {how}", by[how], ".4f"))
        best = min(by["none"], by["maximum likelihood"])
        figures.append(at_most(f"{model}: log loss, ours", MAX_EXCESS * best, by["ours"], ".4f"))
    for factor in FACTORS:
        end = f"logits x {factor:g}"
        for how in ("none", "maximum likelihood"):
            ratios = [by["ours"] / by[how] for model, by in losses.items() if model.endswith(end)]
            mean, what = math.exp(fmean(map(math.log, ratios))), f"log loss of ours over that of {how}, {end}"
            figures.append(at_most(what, 1, mean, ".4f") if factor == 1 else reported(what, mean, ".4f"))
    return figures


if __name__ == "__main__":
    main()
