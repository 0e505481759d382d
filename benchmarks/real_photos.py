"""The whole pipeline on real photographs: what its models reach on twenty splits, and what a random split would claim.

    python benchmarks/real_photos.py --archives DIR [--splits 20] [--tuned 0] [--json FILE]

Each preset runs in a scratch clone of this project on the archives of DIR (see benchmarks/scratch.py), with ImageNet
weights of MobileNetV2 and EfficientNet-Lite0 and -Lite2; DIR holds weights/tf_efficientnet_lite0-imagenet.pth and
-lite2- beside the first. The backbones are frozen; all models are trained on every split, as the stage repeated_splits
does. With --tuned a fine-tuned MobileNetV2 then stands beside them, once for each of so many split seeds.

--size-px, --interpolation, --tta-views: of `extract`, 352, bicubic and 1 by default; MobileNetV2 and Lite0 scale images
down to 224 themselves, by what they were trained with: bilinear and bicubic.
Prints required beside reached and exits 1 when a figure falls short. About five minutes on two idle cores, and two or
three for each fine-tune.
"""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import mean
from typing import Any, get_args

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
)
from tandem.curation.settings import SplitFractions
from tandem.evaluation.report import model_folders
from tandem.evaluation.scores import best_on
from tandem.evaluation.settings import EvaluateSettings
from tandem.files import read_csv, read_json, sha256
from tandem.pipeline.params import section
from tandem.studies.repeated_splits import SplitResult, repeated_splits_summary
from tandem.tables.features import load_features
from tandem.tables.index import load_index
from tandem.tables.logits import load_logits_of
from tandem.tables.samples import Samples, load_samples
from tandem.training.settings import TrainSettings
from tandem.types import Interpolation

LITE0, LITE2 = (f"weights/tf_efficientnet_lite{number}-imagenet.pth" for number in (0, 2))
EARLY_LAYER = "blocks.5"  # of seven, "blocks.0" to "blocks.6"
POOLING = {"vehicles": "gem", "scenes": "average"}  # of the largest network: an object is a part of its image
SEEDS = (0, 1, 2, 3, 4)
MEMBERS = ("mobilenet_v2", "lite0", "lite0_early", "lite2", "lite2_early")
TUNED = "mobilenet_v2_tuned"
EVALUATE = EvaluateSettings(num_resamples=2000, max_error=0.05, set_coverage=0.95, num_splits=0, seed=0)
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
    parser.add_argument("--size-px", type=int, default=352)
    parser.add_argument("--interpolation", choices=get_args(Interpolation), default="bicubic")
    parser.add_argument("--tta-views", type=int, default=1)
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--tuned", type=int, default=0)
    arguments = parser.parse_args()
    archives = require_files(arguments.archives, WEIGHTS, LITE0, LITE2, *VEHICLES.values(), *SCENES.values())
    changes = {name: getattr(arguments, name) for name in ("size_px", "interpolation", "tta_views")}
    with tempfile.TemporaryDirectory(prefix="tandem-photos-") as work:
        figures = list[Figure]()
        for preset, sources in {"vehicles": VEHICLES, "scenes": SCENES}.items():
            clone = Path(work) / preset
            make_clone(clone, preset, archives, sources)
            change_params(clone, with_members(preset, archives, changes, arguments.splits))
            repro(clone, "evaluate")
            summary = read_json(clone / "metrics/repeated_splits.json")
            figures += [*required_scores(preset, summary), *all_scores(preset, summary)]
            figures += vehicles(clone, summary, arguments.tuned) if preset == "vehicles" else []
            figures.append(exactly(f"{preset}: near-duplicate pairs across splits", 0, num_cross_split_pairs(clone)))
    conclude(figures, arguments)


def with_members(
    preset: str, archives: Path, extract: Mapping[str, Any], num_splits: int
) -> Callable[[dict[str, Any]], None]:
    """A change of parameters: three frozen networks with ImageNet weights, two also as before their last blocks."""
    lite0 = {**lite(archives / LITE0, "tf_efficientnet_lite0"), "size_px": 224, "interpolation": "bicubic"}
    lite2 = {**lite(archives / LITE2, "tf_efficientnet_lite2"), "pooling": POOLING[preset]}

    def change(values: dict[str, Any]) -> None:
        values["backbones"] = {
            "mobilenet_v2": values["backbones"]["mobilenet_v2"] | {"size_px": 224},
            "lite0": lite0,
            "lite0_early": {**lite0, "layer": EARLY_LAYER},
            "lite2": lite2,
            "lite2_early": {**lite2, "layer": EARLY_LAYER},
        }
        values["extract"] |= extract
        values["train"]["trainable_backbone_layers"] = 0
        values["evaluate"]["num_splits"] = num_splits

    return change


def lite(path: Path, architecture: str) -> dict[str, Any]:
    return {"provider": "timm", "architecture": architecture, "weights": str(path), "sha256": sha256(path)}


def vehicles(clone: Path, summary: Mapping[str, Any], num_tuned: int) -> list[Figure]:
    """Known near duplicates, the study's finding, what a random split claims, and a fine-tuned member.

    summary: as metrics/repeated_splits.json holds it. num_tuned: splits with that member.
    """
    study, frozen = read_json(clone / "metrics/study.json"), summary["models"]["mobilenet_v2"]["top1_accuracy"]["mean"]
    claims = [random_split_accuracy(clone, seed) for seed in SEEDS]
    figures = [
        exactly("vehicles: known near duplicates found", len(KNOWN_PAIRS), num_known_pairs_grouped(clone)),
        reported("vehicles: study, log loss at the best pair", study["lowest"]["log_loss"]),
        reported("vehicles: study, log loss at the worst pair", study["highest"]["log_loss"]),
        reported("vehicles: study, spread over seeds", study["seed_spread"]),
        reported("vehicles: frozen MobileNetV2 by group, top-1 accuracy", frozen),
        reported("vehicles: the same on a random split (leaky)", mean(claims)),
    ]
    if num_tuned:
        change_params(clone, add_tuned)
        results = [run_split(clone, seed) for seed in range(num_tuned)]
        of_tuned: Any = repeated_splits_summary(results, settings=EVALUATE)
        for what, name in {"fine-tuned": TUNED, "frozen": "mobilenet_v2"}.items():
            accuracy = of_tuned["models"][name]["top1_accuracy"]["mean"]
            figures.append(reported(f"vehicles: {what} MobileNetV2 on {num_tuned} splits, top-1 accuracy", accuracy))
        selected = of_tuned["selected"]["top1_accuracy"]["mean"]
        figures.append(reported("vehicles: selected on these with it as a member", selected))
    return figures


def add_tuned(values: dict[str, Any]) -> None:
    """MobileNetV2 once more, by another name, with its last layer unfrozen."""
    values["backbones"][TUNED] = {"architecture": "mobilenet_v2", **values["backbones"]["mobilenet_v2"]}
    values["train"]["trainable_backbone_layers"] = {TUNED: 1}
    values["study"]["num_seeds"] = 1
    values["evaluate"]["num_splits"] = 0


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


def required_scores(preset: str, summary: Mapping[str, Any]) -> list[Figure]:
    """summary: as metrics/repeated_splits.json holds it."""
    singles = {name: summary["models"][name]["top1_accuracy"]["mean"] for name in MEMBERS}
    best, selected = max(singles, key=singles.__getitem__), summary["selected"]["top1_accuracy"]["mean"]
    if preset == "scenes":
        return [at_least("scenes: selected, top-1 accuracy", 0.90, selected)]
    gain, loss = (summary[name]["top1_accuracy"] for name in ("selected_minus_best_single", "student_minus_selected"))
    expected = summary["pooled"]["ece_expected_if_calibrated"]
    return [
        at_least(f"vehicles: best single, frozen ({best}), top-1 accuracy", 0.93, singles[best]),
        at_least("vehicles: selected, top-1 accuracy", 0.94, selected),
        reported("vehicles: selected minus best single", gain["value"], "+.4f"),
        above("vehicles: selected minus best single, 95 % interval over groups, low", 0, gain["low"], "+.4f"),
        reported("vehicles: selected minus best single, 95 % interval over groups, high", gain["high"], "+.4f"),
        reported("vehicles: student minus selected", loss["value"], "+.4f"),
        at_least("vehicles: student minus selected, 95 % interval over groups, low", -0.005, loss["low"], "+.4f"),
        reported("vehicles: student minus selected, 95 % interval over groups, high", loss["high"], "+.4f"),
        at_most("vehicles: ECE of what is selected, all splits pooled", 0.025, summary["pooled"]["ece"]["value"]),
        reported("vehicles: ECE expected if calibrated, mean", expected["mean"]),
        reported("vehicles: ECE expected if calibrated, 95 % of resamples below", expected["high"]),
    ]


def all_scores(preset: str, summary: Mapping[str, Any]) -> list[Figure]:
    """Over the seeds, of each model and of what would be selected: accuracy (mean, lowest, highest) and log loss."""
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
