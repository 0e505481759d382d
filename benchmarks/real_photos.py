"""The whole pipeline on real photographs: scores over five splits, and what a split by file would have claimed.

    python benchmarks/real_photos.py --archives DIR [--size-px 288] [--json FILE]

DIR holds the archives as the services serve them (kaggle/*.zip, roboflow/*.zip) and weights/mobilenet_v2-imagenet.pth.
Each preset runs in a scratch clone of this project, its sources replaced by the archives; ResNet-50 has random weights,
since DIR holds none. Three runs of vehicles:

1. the preset, all backbones frozen: the time of the whole run and of the study;
2. with a fine-tuned MobileNetV2 beside the frozen one, once for each of five split seeds: the scores;
3. with ResNet-50 trained from its random weights on the first split: its time, and its ensemble with MobileNetV2.

--size-px: extract.size_px of vehicles, if not the preset's. Prints required beside reached and exits 1 when a figure
falls short. About half an hour on two idle cores.
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from figures import Figure, conclude
from tandem.evaluation import report
from tandem.files import read_csv, read_json, sha256
from tandem.pipeline import params
from tandem.studies import repeated_splits
from tandem.studies.repeated_splits import SplitResult
from tandem.tables.features import load_features
from tandem.tables.index import Index, load_index
from tandem.tables.logits import load_logits_of
from tandem.tables.samples import Sample, Samples, load_samples
from tandem.tables.splits import assign_split
from tandem.training import heads

ROOT = Path(__file__).resolve().parents[1]
SEEDS = (0, 1, 2, 3, 4)
TUNED = "mobilenet_v2_tuned"
WEIGHTS = "weights/mobilenet_v2-imagenet.pth"
VEHICLES = {
    "vehicle_types": "kaggle/vehicle-type-recognition.zip",
    "car_bike": "kaggle/car-bike-dataset.zip",
    "openimages": "roboflow/vehicles-openimages.v1.yolov8.zip",
    "classificador": "kaggle/classificador-veiculos.zip",
    "vehicle_types_export": "roboflow/vehicle-type-recognition.v1.folder.zip",
}
SCENES = {"intel_scenes": "kaggle/intel-scenes-sample.zip"}
# Copies that the archives hold by nature, found by hash and by eye: parts of file names, one pair a line.
COPIES = (
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archives", type=Path, required=True)
    parser.add_argument("--size-px", type=int)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    archives = whole(arguments.archives, WEIGHTS, *VEHICLES.values(), *SCENES.values())
    figures = []
    with tempfile.TemporaryDirectory(prefix="tandem-photos-") as work:
        figures += vehicles(archives, Path(work) / "vehicles", arguments.size_px)
        figures += scenes(archives, Path(work) / "scenes")
    print(f"\n{platform.machine()}, {platform.system()}, Python {platform.python_version()}")
    conclude(figures, arguments.json)


def whole(archives: Path, *names: str) -> Path:
    """The folder as an absolute path; ends the program where it lacks one of these files."""
    archives = archives.resolve()
    if missing := [name for name in names if not (archives / name).is_file()]:
        sys.exit(f"error: {archives} lacks {', '.join(missing)}")
    return archives


def vehicles(archives: Path, clone: Path, size_px: int | None) -> list[Figure]:
    prepare(clone, "vehicles", archives, VEHICLES)
    if size_px:
        change(clone, lambda values: values["extract"].update(size_px=size_px))
    whole_s, study_s = timed(clone), timed(clone, "--single-item", "--force", "study")
    found = copies_found(clone)
    scratch = from_scratch(clone)
    change(clone, add_tuned)
    repeats, claims, leaks = [], [], 0
    for seed in SEEDS:
        repeats.append(repeat(clone, seed))
        claims.append(claimed_by_file_split(clone, seed))
        leaks += cross_split_pairs(clone)
    return [
        at_most("vehicles: whole run, all frozen, s", 360, whole_s),
        at_most("vehicles: study, 2 backbones + 4 ensembles x 4 pairs x 3 seeds, s", 60, study_s),
        Figure("vehicles: copies found", f"{len(COPIES)}", f"{found}", found, found == len(COPIES)),
        Figure("vehicles: near pairs across splits", "0", f"{leaks}", leaks, leaks == 0),
        *scored(repeats),
        Figure("vehicles: the frozen head, split by file (leaky)", None, f"{mean(claims):.3f}", mean(claims), True),
        *scratch,
    ]


def scenes(archives: Path, clone: Path) -> list[Figure]:
    prepare(clone, "scenes", archives, SCENES)
    repeats = [repeat(clone, seed) for seed in SEEDS]
    leaks = cross_split_pairs(clone)
    return [Figure("scenes: near pairs across splits", "0", f"{leaks}", leaks, leaks == 0), *told("scenes", repeats)]


def add_tuned(values: dict[str, Any]) -> None:
    """MobileNetV2 once more, by another name, with its last layer unfrozen."""
    values["backbones"][TUNED] = {"architecture": "mobilenet_v2", **values["backbones"]["mobilenet_v2"]}
    values["train"]["trainable_backbone_layers"] = {TUNED: 1}
    values["study"]["seeds"] = 1


def unfreeze_resnet50(values: dict[str, Any]) -> None:
    """ResNet-50 trained from its random weights: more epochs, a higher lr, and smaller images for the time's sake.

    Crops are not much smaller than the images that features are drawn of: a network from nothing knows no other size.
    """
    values["extract"]["size_px"] = 224
    values["train"]["trainable_backbone_layers"] = {"resnet50": 5}
    values["finetune"] |= {"lr": 0.001, "layer_decay": 1.0, "epochs": 16, "size_px": 160, "label_smoothing": 0.1}


def from_scratch(clone: Path) -> list[Figure]:
    """The third run; the parameters are left as they were before it."""
    before = read_params(clone)
    change(clone, unfreeze_resnet50)
    repro(clone, "curate")
    seconds = timed(clone, "finetune@resnet50")
    repro(clone, "evaluate")
    scores = read_json(clone / "metrics/evaluate.json")["models"]
    write_params(clone, before)
    alone, ensemble = (scores[name]["top1_accuracy"] for name in ("mobilenet_v2", "weighted"))
    return [
        at_most("vehicles: ResNet-50 trained from random weights, s", 900, seconds),
        told_one("vehicles: it alone, top-1 accuracy, 1 split", scores["resnet50"]["top1_accuracy"]),
        told_one("vehicles: MobileNetV2 on that split", alone),
        Figure("vehicles: weighted ensemble of both", ">= MobileNetV2", f"{ensemble:.3f}", ensemble, ensemble >= alone),
    ]


def repeat(clone: Path, seed: int) -> SplitResult:
    """All models of the pipeline on the split of one seed."""
    change(clone, lambda values: values["curate"].update(seed=seed))
    repro(clone, "evaluate")
    samples = load_samples(clone / "data/curate")
    singles, ensemble = list(read_params(clone)["backbones"]), read_json(clone / "data/ensemble/selected.json")
    folders = {name: clone / "data/train" / name for name in singles}
    folders |= {kind: clone / "data/ensemble" / kind for kind in ensemble["kinds"]}
    paths = {name: folder / "logits.npz" for name, folder in folders.items()}
    logits = load_logits_of(paths, ids=samples.ids, class_names=samples.class_names)
    single = report.best_on_val({name: logits[name] for name in singles}, samples)
    return SplitResult(seed, samples, logits, selected=ensemble["selected"], single=single)


def scored(repeats: Sequence[SplitResult]) -> list[Figure]:
    """What is required of the vehicles' scores, and all of them."""
    summary: Any = repeated_splits.repeated_splits_summary(
        repeats, settings=report.Settings(draws=2000, max_error=0.05, seed=0)
    )
    frozen, tuned = (summary["models"][name]["top1_accuracy"]["mean"] for name in ("mobilenet_v2", TUNED))
    gain, ece = summary["selected_minus_best_single"]["top1_accuracy"], summary["together"]["ece"]["value"]
    limits, chance = f"{gain['low']:+.3f} to {gain['high']:+.3f}", summary["together"]["ece_by_chance"]
    return [
        at_least("vehicles: frozen MobileNetV2, top-1 accuracy", 0.905, frozen),
        at_least("vehicles: fine-tuned MobileNetV2", 0.92, tuned),
        Figure("vehicles: fine-tuned minus frozen", "> 0", f"{tuned - frozen:+.4f}", tuned - frozen, tuned > frozen),
        Figure(
            "vehicles: selected minus best single", "> 0", f"{gain['value']:+.4f}", gain["value"], gain["value"] > 0
        ),
        Figure("  its 95 % interval over groups, p value", None, f"{limits}, {gain['p_value']:.2f}", gain["low"], True),
        at_most("vehicles: ECE of what is selected, all splits together", 0.03, ece),
        Figure("  by chance, if calibrated: mean, 95 %", None, f"{chance['mean']:.3f}, {chance['high']:.3f}", 0, True),
        *told("vehicles", repeats),
    ]


def told(preset: str, repeats: Sequence[SplitResult]) -> list[Figure]:
    """Mean and range over the seeds of each model's test accuracy, and of what would be selected."""
    rows = repeated_splits.split_scores(repeats)
    figures = []
    for model in [*repeats[0].logits, "selected"]:
        own = [row for row in rows if row.model == model or (model == "selected" and row.is_selected)]
        values = [row.top1_accuracy for row in own]
        text = f"{mean(values):.3f} ({min(values):.2f}-{max(values):.2f}), {mean(row.log_loss for row in own):.3f}"
        figures.append(Figure(f"{preset}: {model} top-1 accuracy, log loss", None, text, mean(values), True))
    return figures


def told_one(what: str, value: float) -> Figure:
    return Figure(what, None, f"{value:.3f}", value, True)


def at_most(what: str, limit: float, value: float) -> Figure:
    return Figure(what, f"<= {limit:g}", f"{value:.3f}" if limit < 1 else f"{value:.0f}", value, value <= limit)


def at_least(what: str, limit: float, value: float) -> Figure:
    return Figure(what, f">= {limit:g}", f"{value:.3f}", value, value >= limit)


def timed(clone: Path, *arguments: str) -> float:
    """Wall seconds of `dvc repro` with these arguments."""
    started = time.perf_counter()
    repro(clone, *arguments)
    return time.perf_counter() - started


def prepare(clone: Path, preset: str, archives: Path, sources: Mapping[str, str]) -> None:
    """A scratch clone of this working tree with the preset's sources replaced by archives; without any, as it is."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file() and name != "dvc.lock":
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, clone / name)
    subprocess.run(["git", "init", "--quiet"], cwd=clone, check=True)
    if not sources:
        return
    values = params.read_params(clone / f"presets/{preset}.yaml")
    boxes = {name: {"boxes": source["boxes"]} for name, source in values["sources"].items() if "boxes" in source}
    values["sources"] = {
        name: {
            "kind": "archive",
            "archive": {"path": str(archives / path), "sha256": sha256(archives / path)},
            "format": "auto",
            **boxes.get(name, {}),
        }
        for name, path in sources.items()
    }
    mobilenet = {"weights": str(archives / WEIGHTS), "sha256": sha256(archives / WEIGHTS)}
    values["backbones"] = {"mobilenet_v2": mobilenet, "resnet50": {"weights": "random"}}
    values["evaluate"]["seeds"] = 0  # the splits are drawn here, by whole runs
    write_params(clone, values)


def change(clone: Path, how: Callable[[dict[str, Any]], None]) -> None:
    """Change the clone's parameters in place."""
    values = read_params(clone)
    how(values)
    write_params(clone, values)


def read_params(clone: Path) -> dict[str, Any]:
    return params.read_params(clone / "params.yaml")


def write_params(clone: Path, values: Mapping[str, Any]) -> None:
    with (clone / "params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(values, file)


def repro(clone: Path, *targets: str) -> None:
    """`dvc repro` with this Python and the clone's own code."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(clone / "src")}
    command = [sys.executable, "-m", "dvc", "repro", "--quiet", *targets]
    subprocess.run(command, cwd=clone, env=environment, check=True)


def copies_found(clone: Path) -> int:
    """How many of COPIES lie in one group."""
    index, samples = load_index(clone / "data/merge/index.csv"), load_samples(clone / "data/curate")
    group = {sample.id: sample.group for sample in samples.samples}
    groups = {
        f"{origin.source}/{origin.path}": group[record.id] for record in index.records for origin in record.origins
    }

    def group_of(part: str) -> set[str]:
        return {found for name, found in groups.items() if part in name}

    return sum(len(group_of(one) | group_of(other)) == 1 for one, other in COPIES)


def cross_split_pairs(clone: Path) -> int:
    split = {sample.id: sample.split for sample in load_samples(clone / "data/curate").samples}
    pairs = [(split[row["first"]], split[row["second"]]) for row in read_csv(clone / "data/curate/pairs.csv")]
    return sum(one != other for one, other in pairs if one and other)


def claimed_by_file_split(clone: Path, seed: int) -> float:
    """Test accuracy of the same head on the same features when each file is drawn on its own, copies and all."""
    values = read_params(clone)
    index = load_index(clone / "data/merge/index.csv")
    x = load_features(clone / "data/extract/mobilenet_v2", ids=index.ids).x
    rows, samples = by_file(index, values["curate"]["fractions"], seed)
    table = Samples.of(tuple(values["labels"]["classes"]), tuple(samples))
    settings = heads.TrainSettings.from_params(values["train"])
    trained = heads.train_head(np.asarray(x)[rows], table, settings=settings, name="split by file")
    predicted = trained.logits[table.test.rows].argmax(axis=1)
    return float((predicted == table.test.targets).mean())


def by_file(index: Index, fractions: Mapping[str, float], seed: int) -> tuple[list[int], list[Sample]]:
    """One sample a file, each its own group: the row of its features, and the sample."""
    rows, samples = [], []
    for row, record in enumerate(index.records):
        for origin in record.origins:
            name = f"{origin.source}/{origin.path}"
            split = assign_split(name, fractions=fractions, seed=seed)
            rows.append(row)
            samples.append(Sample(name, record.label, origin.source, name, split))
    return rows, samples


if __name__ == "__main__":
    main()
