"""Scratch clones of this working tree, in which presets run on archives of photographs from a folder.

The folder, DIR in the commands, holds the archives as the services serve them (kaggle/*.zip, roboflow/*.zip) and
weights/mobilenet_v2-imagenet.pth. ResNet-50 has random weights in the clones, since DIR holds none.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tandem.files import sha256
from tandem.pipeline import params
from tandem.tables.index import Index
from tandem.tables.samples import Sample
from tandem.tables.splits import assign_split
from tandem.tables.stored import PackedImage, load_stored

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = "weights/mobilenet_v2-imagenet.pth"
VEHICLES = {
    "vehicle_types": "kaggle/vehicle-type-recognition.zip",
    "car_bike": "kaggle/car-bike-dataset.zip",
    "openimages": "roboflow/vehicles-openimages.v1.yolov8.zip",
    "classificador": "kaggle/classificador-veiculos.zip",
    "vehicle_types_export": "roboflow/vehicle-type-recognition.v1.folder.zip",
}
SCENES = {"intel_scenes": "kaggle/intel-scenes-sample.zip"}


def require_files(folder: Path, *names: str) -> Path:
    """The folder as an absolute path; ends the program where it lacks one of these files."""
    folder = folder.resolve()
    if missing := [name for name in names if not (folder / name).is_file()]:
        sys.exit(f"error: {folder} lacks {', '.join(missing)}")
    return folder


def make_clone(clone: Path, preset: str, archives: Path, sources: Mapping[str, str]) -> None:
    """A clone of this working tree with the preset's sources replaced by archives; without any, as it is."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file() and name != "dvc.lock":
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, clone / name)
    subprocess.run(["git", "init", "--quiet"], cwd=clone, check=True)
    if not sources:
        return
    values = read_preset(preset)
    values["sources"] = archive_sources(values["sources"], archives, sources)
    mobilenet = {"weights": str(archives / WEIGHTS), "sha256": sha256(archives / WEIGHTS)}
    values["backbones"] = {
        name: {**values["backbones"][name], **weights}
        for name, weights in {"mobilenet_v2": mobilenet, "resnet50": {"weights": "random"}}.items()
    }
    values["evaluate"]["num_splits"] = 0  # benchmarks repeat splits by whole runs
    write_params(clone, values)


def archive_sources(preset: Mapping[str, Any], archives: Path, sources: Mapping[str, str]) -> dict[str, Any]:
    """`sources` of the parameters with an archive for each name; boxes are read as the preset's source has it."""
    return {
        name: {
            "kind": "archive",
            "archive": {"path": str(archives / path), "sha256": sha256(archives / path)},
            "format": "auto",
            **({"boxes": preset[name]["boxes"]} if "boxes" in preset.get(name, {}) else {}),
        }
        for name, path in sources.items()
    }


def read_preset(name: str) -> dict[str, Any]:
    """The parameters of presets/<name>.yaml."""
    return params.read_params(ROOT / f"presets/{name}.yaml")


def read_params(clone: Path) -> dict[str, Any]:
    """The parameters of the clone."""
    return params.read_params(clone / "params.yaml")


def write_params(clone: Path, values: Mapping[str, Any]) -> None:
    """Replace the parameters of the clone."""
    with (clone / "params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(values, file)


def change_params(clone: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the clone's parameters in place."""
    values = read_params(clone)
    change(values)
    write_params(clone, values)


def repro(clone: Path, *targets: str) -> None:
    """`dvc repro` in the clone."""
    run(clone, sys.executable, "-m", "dvc", "repro", "--quiet", *targets)


def run(clone: Path, *command: str, environment: Mapping[str, str] | None = None) -> str:
    """What the command printed; ends the program where it fails. Runs with this Python and the clone's own code.

    environment: variables besides.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    variables = {**os.environ, "PATH": path, "PYTHONPATH": str(clone / "src"), **(environment or {})}
    done = subprocess.run(command, cwd=clone, env=variables, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"error: {' '.join(command)} failed; see above")
    return done.stdout


def random_split(index: Index, fractions: Mapping[str, float], seed: int) -> tuple[list[int], list[Sample]]:
    """One sample a file, duplicates too, each its own group: the row of its features, and the sample."""
    rows, samples = list[int](), list[Sample]()
    for row, files in enumerate(index.found_in):
        for name in files:
            split = assign_split(name, fractions=fractions, seed=seed)
            rows.append(row)
            samples.append(Sample(name, str(index.labels[row]), name.partition("/")[0], name, split))
    return rows, samples


def images_of(clone: Path) -> Sequence[PackedImage]:
    """The clone's images, in the order of its index."""
    return load_stored(clone / "data/merge/stored.csv").packed(clone / "data/ingest")
