"""The whole pipeline on real photographs: scores over five splits, and what a random split would have claimed.

    python benchmarks/real_photos.py --archives DIR [--size-px 288] [--json FILE]

Each preset runs in a scratch clone of this project on the archives of DIR (see benchmarks/scratch.py). Three runs of
vehicles:

1. the preset, all backbones frozen: the time of the whole run and of the study;
2. with a fine-tuned MobileNetV2 beside the frozen one, once for each of five split seeds: the scores;
3. with ResNet-50 trained from its random weights on the first split: its time, and its ensemble with MobileNetV2.

--size-px: extract.size_px of vehicles, if not the preset's. Prints required beside reached and exits 1 when a figure
falls short. About half an hour on two idle cores.
"""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from figures import Figure, above, at_least, at_most, conclude, exactly, make_parser, reported
from scoring import head_scores
from scratch import (
    SCENES,
    VEHICLES,
    WEIGHTS,
    change_params,
    make_clone,
    random_split,
    read_params,
    repro,
    require_files,
    write_params,
)
from tandem.curation.settings import SplitFractions
from tandem.evaluation.report import model_folders
from tandem.evaluation.scores import best_on
from tandem.evaluation.settings import EvaluateSettings
from tandem.files import read_csv, read_json
from tandem.pipeline.params import section
from tandem.studies.repeated_splits import SplitResult, repeated_splits_summary
from tandem.tables.features import load_features
from tandem.tables.index import load_index
from tandem.tables.logits import load_logits_of
from tandem.tables.samples import Samples, load_samples
from tandem.training.settings import TrainSettings

SEEDS = (0, 1, 2, 3, 4)
TUNED = "mobilenet_v2_tuned"
EVALUATE = EvaluateSettings(num_resamples=2000, max_error=0.05, num_splits=0, seed=0)
# Near duplicates that the archives hold by nature, found by hash and by eye: parts of file names, one pair a line.
KNOWN_PAIRS = (
    ("Test/motorcycle/Image_94.", "Train/motorcycle/Image_55."),
    ("Test/motorcycle/Image_99.", "Train/motorcycle/Image_70."),
    ("Test/Car/Image_91.", "Train/Car/Image_21."),
    ("Test/Car/Image_98.", "Train/Car/Image_62."),
    ("Test/motorcycle/Image_93.", "Train/motorcycle/Image_62."),
    ("rf.f1c3ad88", "Train/Car/Image_9."),
    ("rf.0746c1ff", "Train/Truck/Image_9."),
    ("rf.6c770fd2", "Train/Truck/Image_10."),
    ("rf.89ee855f", "Train/motorcycle/Image_10."),
    ("rf.325430a9", "Train/Car/Image_11."),
    ("rf.99e6416e", "Train/motorcycle/Image_11."),
)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--archives", type=Path, required=True)
    parser.add_argument("--size-px", type=int)
    arguments = parser.parse_args()
    archives = require_files(arguments.archives, WEIGHTS, *VEHICLES.values(), *SCENES.values())
    with tempfile.TemporaryDirectory(prefix="tandem-photos-") as work:
        figures = vehicles(archives, Path(work) / "vehicles", arguments.size_px)
        figures += scenes(archives, Path(work) / "scenes")
    conclude(figures, arguments)


def vehicles(archives: Path, clone: Path, size_px: int | None) -> list[Figure]:
    make_clone(clone, "vehicles", archives, VEHICLES)
    if size_px:
        change_params(clone, lambda values: values["extract"].update(size_px=size_px))
    whole_s, study_s = timed(clone), timed(clone, "--single-item", "--force", "study")
    num_found = num_known_pairs_grouped(clone)
    scratch = from_scratch(clone)
    change_params(clone, add_tuned)
    results, claims, num_leaks = list[SplitResult](), list[float](), 0
    for seed in SEEDS:
        results.append(run_split(clone, seed))
        claims.append(random_split_accuracy(clone, seed))
        num_leaks += num_cross_split_pairs(clone)
    return [
        at_most("vehicles: whole run, all frozen, s", 360, whole_s, ".0f"),
        at_most("vehicles: study, 2 backbones + 4 ensembles x 4 pairs x 3 seeds, s", 60, study_s, ".0f"),
        exactly("vehicles: known near duplicates found", len(KNOWN_PAIRS), num_found),
        exactly("vehicles: near-duplicate pairs across splits", 0, num_leaks),
        *required_scores(results),
        *all_scores("vehicles", results),
        reported("vehicles: mobilenet_v2 on a random split (leaky), top-1 accuracy", mean(claims)),
        *scratch,
    ]


def scenes(archives: Path, clone: Path) -> list[Figure]:
    make_clone(clone, "scenes", archives, SCENES)
    results = [run_split(clone, seed) for seed in SEEDS]
    num_leaks = num_cross_split_pairs(clone)
    return [exactly("scenes: near-duplicate pairs across splits", 0, num_leaks), *all_scores("scenes", results)]


def add_tuned(values: dict[str, Any]) -> None:
    """MobileNetV2 once more, by another name, with its last layer unfrozen."""
    values["backbones"][TUNED] = {"architecture": "mobilenet_v2", **values["backbones"]["mobilenet_v2"]}
    values["train"]["trainable_backbone_layers"] = {TUNED: 1}
    values["study"]["num_seeds"] = 1


def unfreeze_resnet50(values: dict[str, Any]) -> None:
    """ResNet-50 trained from its random weights: more epochs, a higher lr, and smaller images for the time's sake.

    Crops are not much smaller than the images that features are extracted from: such a network knows no other size.
    """
    values["extract"]["size_px"] = 224
    values["train"]["trainable_backbone_layers"] = {"resnet50": 5}
    values["finetune"] |= {"lr": 0.001, "layer_decay": 1.0, "epochs": 16, "size_px": 160, "label_smoothing": 0.1}


def from_scratch(clone: Path) -> list[Figure]:
    """The third run; the parameters are left as they were before it."""
    before = read_params(clone)
    change_params(clone, unfreeze_resnet50)
    repro(clone, "curate")
    seconds = timed(clone, "finetune@resnet50")
    repro(clone, "evaluate")
    scores = read_json(clone / "metrics/evaluate.json")["models"]
    write_params(clone, before)
    resnet50, mobilenet, ensemble = (scores[name]["top1_accuracy"] for name in ("resnet50", "mobilenet_v2", "weighted"))
    return [
        at_most("vehicles: ResNet-50 trained from random weights, s", 900, seconds, ".0f"),
        reported("vehicles: ResNet-50 from random weights, top-1 accuracy, 1 split", resnet50),
        reported("vehicles: MobileNetV2 on that split, top-1 accuracy", mobilenet),
        at_least("vehicles: weighted ensemble of both, not below MobileNetV2", mobilenet, ensemble),
    ]


def run_split(clone: Path, seed: int) -> SplitResult:
    """All models of the pipeline on the split of one seed."""
    change_params(clone, lambda values: values["curate"].update(seed=seed))
    repro(clone, "evaluate")
    samples = load_samples(clone / "data/curate")
    singles, ensemble = list(read_params(clone)["backbones"]), read_json(clone / "data/ensemble/selected.json")
    folders = model_folders({clone / "data/train": singles, clone / "data/ensemble": ensemble["kinds"]})
    logits = load_logits_of(folders, ids=samples.ids, class_names=samples.class_names)
    single = best_on(samples.val, {name: logits[name] for name in singles})
    return SplitResult(seed, samples, logits, selected=ensemble["selected"], single=single)


def required_scores(results: Sequence[SplitResult]) -> list[Figure]:
    """What is required of the vehicles' scores."""
    summary: Any = repeated_splits_summary(results, settings=EVALUATE)
    frozen, tuned = (summary["models"][name]["top1_accuracy"]["mean"] for name in ("mobilenet_v2", TUNED))
    gain, ece = summary["selected_minus_best_single"]["top1_accuracy"], summary["pooled"]["ece"]["value"]
    expected = summary["pooled"]["ece_expected_if_calibrated"]
    return [
        at_least("vehicles: frozen MobileNetV2, top-1 accuracy", 0.905, frozen),
        at_least("vehicles: fine-tuned MobileNetV2", 0.92, tuned),
        above("vehicles: fine-tuned minus frozen", 0, tuned - frozen, "+.4f"),
        above("vehicles: selected minus best single", 0, gain["value"], "+.4f"),
        reported("vehicles: selected minus best single, 95 % interval over groups, low", gain["low"], "+.4f"),
        reported("vehicles: selected minus best single, 95 % interval over groups, high", gain["high"], "+.4f"),
        reported("vehicles: selected minus best single, p value", gain["p_value"], ".2f"),
        at_most("vehicles: ECE of what is selected, all splits pooled", 0.03, ece),
        reported("vehicles: ECE expected if calibrated, mean", expected["mean"]),
        reported("vehicles: ECE expected if calibrated, 95 % of resamples below", expected["high"]),
    ]


def all_scores(preset: str, results: Sequence[SplitResult]) -> list[Figure]:
    """Over the seeds, of each model and of what would be selected: accuracy (mean, lowest, highest) and log loss."""
    summary: Any = repeated_splits_summary(results, settings=EVALUATE)
    spreads = {**summary["models"], "selected": summary["selected"]}
    return [
        figure
        for model, spread in spreads.items()
        for figure in (
            reported(f"{preset}: {model}, top-1 accuracy", spread["top1_accuracy"]["mean"]),
            reported(f"{preset}: {model}, top-1 accuracy, lowest of a split", spread["top1_accuracy"]["low"]),
            reported(f"{preset}: {model}, top-1 accuracy, highest of a split", spread["top1_accuracy"]["high"]),
            reported(f"{preset}: {model}, log loss", spread["log_loss"]["mean"]),
        )
    ]


def timed(clone: Path, *arguments: str) -> float:
    """Wall seconds of `dvc repro` with these arguments."""
    started = time.perf_counter()
    repro(clone, *arguments)
    return time.perf_counter() - started


def num_known_pairs_grouped(clone: Path) -> int:
    """How many of KNOWN_PAIRS lie in one group."""
    index, samples = load_index(clone / "data/merge/index.csv"), load_samples(clone / "data/curate")
    group_of = dict(zip(samples.ids, samples.groups.tolist(), strict=True))
    groups = {name: group_of[id_] for id_, files in zip(index.ids, index.found_in, strict=True) for name in files}

    def groups_of(part: str) -> set[str]:
        return {group for name, group in groups.items() if part in name}

    return sum(len(groups_of(one) | groups_of(other)) == 1 for one, other in KNOWN_PAIRS)


def num_cross_split_pairs(clone: Path) -> int:
    """Near-duplicate pairs of which both images are used, in two splits."""
    samples = load_samples(clone / "data/curate")
    split_of = dict(zip(samples.ids, samples.splits.tolist(), strict=True))
    pairs = read_csv(clone / "data/curate/near_duplicates.csv")
    splits = [(split_of[pair["first"]], split_of[pair["second"]]) for pair in pairs]
    return sum(one != other for one, other in splits if one and other)


def random_split_accuracy(clone: Path, seed: int) -> float:
    """Test accuracy of the same head on the same features when each file is its own group, duplicates too."""
    params, index = read_params(clone), load_index(clone / "data/merge/index.csv")
    features = load_features(clone / "data/extract/mobilenet_v2", ids=index.ids).without_tta
    fractions = section(params, "curate.fractions", SplitFractions).by_split()
    rows, entries = random_split(index, fractions, seed)
    samples = Samples.of(tuple(params["labels"]["classes"]), entries)
    return head_scores(features[rows], samples, section(params, "train", TrainSettings))["top1_accuracy"]


if __name__ == "__main__":
    main()
