"""The whole pipeline on real photographs, and what a split by file would have claimed.

    python benchmarks/real_photos.py --archives DIR [--json FILE]

DIR holds the archives as the services serve them (kaggle/*.zip, roboflow/*.zip) and weights/mobilenet_v2-imagenet.pth.
Each preset runs in a scratch clone of this project, its sources replaced by the archives; ResNet-50 has random weights,
since DIR holds none. Prints required beside reached and exits 1 when a figure falls short.
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from figures import Figure, conclude
from tandem import params, training
from tandem.features import load_features
from tandem.files import read_csv, read_json, sha256
from tandem.records import Index, load_index
from tandem.samples import Sample, Samples, load_samples
from tandem.splits import split_of

ROOT = Path(__file__).resolve().parents[1]
SEEDS = (0, 1, 2)
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
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    archives = whole(arguments.archives, WEIGHTS, *VEHICLES.values(), *SCENES.values())
    figures = []
    with tempfile.TemporaryDirectory(prefix="tandem-photos-") as work:
        figures += vehicles(archives, Path(work) / "vehicles")
        figures += scenes(archives, Path(work) / "scenes")
    print(f"\n{platform.machine()}, {platform.system()}, Python {platform.python_version()}")
    conclude(figures, arguments.json)


def whole(archives: Path, *names: str) -> Path:
    """The folder as an absolute path; ends the program where it lacks one of these files."""
    archives = archives.resolve()
    if missing := [name for name in names if not (archives / name).is_file()]:
        sys.exit(f"error: {archives} lacks {', '.join(missing)}")
    return archives


def vehicles(archives: Path, clone: Path) -> list[Figure]:
    prepare(clone, "vehicles", archives, VEHICLES)
    started = time.perf_counter()
    repro(clone)
    seconds = time.perf_counter() - started
    scores, claims, leaks = [], [], []
    for seed in SEEDS:
        set_seed(clone, seed)
        repro(clone, "evaluate")
        scores.append(read_json(clone / "metrics/evaluate.json")["models"])
        claims.append(claimed_by_file_split(clone, seed))
        leaks.append(cross_split_pairs(clone))
    found = copies_found(clone)
    honest = mean(score["mobilenet_v2"]["top1_accuracy"] for score in scores)
    figures = [
        Figure("vehicles: whole run, s", "<= 360", f"{seconds:.0f}", seconds, seconds <= 360),
        Figure("vehicles: copies found", f"{len(COPIES)}", f"{found}", found, found == len(COPIES)),
        Figure("vehicles: near pairs across splits", "0", f"{sum(leaks)}", sum(leaks), sum(leaks) == 0),
        Figure(
            "vehicles: MobileNetV2 top-1 accuracy, 3 split seeds", ">= 0.88", f"{honest:.3f}", honest, honest >= 0.88
        ),
    ]
    figures += told("vehicles", scores)
    figures.append(
        Figure("vehicles: the same head, split by file (leaky)", None, f"{mean(claims):.3f}", mean(claims), True)
    )
    return figures


def scenes(archives: Path, clone: Path) -> list[Figure]:
    prepare(clone, "scenes", archives, SCENES)
    scores = []
    for seed in SEEDS:
        set_seed(clone, seed)
        repro(clone, "evaluate")
        scores.append(read_json(clone / "metrics/evaluate.json")["models"])
    leaks = cross_split_pairs(clone)
    return [Figure("scenes: near pairs across splits", "0", f"{leaks}", leaks, leaks == 0), *told("scenes", scores)]


def told(preset: str, scores: Sequence[Mapping[str, Mapping[str, float]]]) -> list[Figure]:
    """Mean and range of each model's test accuracy over the seeds."""
    figures = []
    for model in scores[0]:
        values = [score[model]["top1_accuracy"] for score in scores]
        text = f"{mean(values):.3f} ({min(values):.2f}-{max(values):.2f})"
        figures.append(Figure(f"{preset}: {model} top-1 accuracy", None, text, mean(values), True))
    return figures


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
    write_params(clone, values)


def set_seed(clone: Path, seed: int) -> None:
    values = read_params(clone)
    values["curate"]["seed"] = seed
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
    table = Samples(tuple(values["labels"]["classes"]), tuple(samples))
    settings = training.Settings.from_params(values["train"])
    trained = training.train(np.asarray(x)[rows], table, settings=settings, name="split by file")
    predicted = trained.logits[table.rows("test")].argmax(axis=1)
    return float((predicted == table.targets("test")).mean())


def by_file(index: Index, fractions: Mapping[str, float], seed: int) -> tuple[list[int], list[Sample]]:
    """One sample a file, each its own group: the row of its features, and the sample."""
    rows, samples = [], []
    for row, record in enumerate(index.records):
        for origin in record.origins:
            name = f"{origin.source}/{origin.path}"
            split = split_of(name, fractions=fractions, seed=seed)
            rows.append(row)
            samples.append(Sample(name, record.label, origin.source, name, split))
    return rows, samples


if __name__ == "__main__":
    main()
