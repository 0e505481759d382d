"""Sets of images with features of several backbones, in whose labels benchmarks/planted_noise.py plants noise."""

import json
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from sklearn.datasets import load_digits

from backbones import VARIANTS, extracted
from scratch import SCENES, VEHICLES, archive_sources, change_params, make_clone, read_params, repro
from tandem.tables.features import load_features_of
from tandem.tables.index import Index, load_index
from tandem.tables.samples import Samples, load_samples
from wrong_labels import STYLES, WRONG

BACKBONES = ("MobileNetV2 @224", "Lite2 @224")
KINDS_LABELS = {
    "classes": {
        "car": ["carro"],
        "motorcycle": ["moto"],
        "truck": ["caminhão"],
        "bus": ["ônibus"],
        "bicycle": ["bicicleta"],
    },
    "ignore": ["ambulance"],  # 13 images
    "by_source": {"car_bike": {"classes": {"motorcycle": ["bike"]}, "ignore": []}},
}


@dataclass(frozen=True)
class LabeledSet:
    """features: of each backbone, (n, D). targets, groups: (n,). family: sets with images in common."""

    family: str
    features: tuple[np.ndarray, ...]
    targets: np.ndarray
    groups: np.ndarray
    num_classes: int


def kept_sets(archives: Path, work: Path, kept: Path | None) -> dict[str, LabeledSet]:
    """Those of load_sets, which are read from a folder if it holds them, and else written there."""
    if kept is None:
        return load_sets(archives, work)
    if not kept.is_dir():
        kept.mkdir(parents=True)
        for name, each in load_sets(archives, work).items():
            arrays = {f"features{number}": values for number, values in enumerate(each.features)}
            arrays |= {"targets": each.targets, "groups": each.groups}
            arrays |= {"family": np.array(each.family), "num_classes": np.array(each.num_classes)}
            np.savez(kept / f"{name}.npz", allow_pickle=False, **arrays)
    return {path.stem: read_set(path) for path in sorted(kept.glob("*.npz"))}


def read_set(path: Path) -> LabeledSet:
    with np.load(path) as file:
        features = tuple(file[name] for name in sorted(file.files) if name.startswith("features"))
        return LabeledSet(str(file["family"]), features, file["targets"], file["groups"], int(file["num_classes"]))


def load_sets(archives: Path, work: Path) -> dict[str, LabeledSet]:
    """All sets by name, without labels that are known to be wrong; clones are made below `work`."""

    def with_archives(name: str, preset: str, originals: Mapping[str, str], **changes: Any) -> Path:
        clone = work / name
        make_clone(clone, preset, archives, originals)
        change_params(clone, lambda values: values["backbones"].pop("resnet50"))
        change_params(clone, lambda values: values.update(changes))
        return clone

    vehicles = with_archives("vehicles", "vehicles", VEHICLES)
    kinds = with_archives("kinds", "vehicles", VEHICLES, labels=KINDS_LABELS)
    scenes = with_archives("scenes", "scenes", SCENES)
    digits = with_archives("digits", "scenes", SCENES, **digit_params(work))
    for clone in (vehicles, kinds, scenes):
        repro(clone, "curate")
    repro(digits, "merge")
    sample = work / "sample"
    make_clone(sample, "sample", Path(), {})
    repro(sample, "curate", "extract@resnet50")
    return {
        "vehicles": curated(vehicles, archives, "vehicles", is_seen_wrong),
        "vehicles, 5 classes": curated(kinds, archives, "vehicles", is_seen_wrong),
        "scenes": curated(scenes, archives, "scenes", lambda _: False),
        "sample": generated(sample),
        "digits": all_images(digits, archives),
    }


def digit_params(work: Path) -> dict[str, Any]:
    """Sources and labels: scikit-learn's 1797 digits of 8 x 8 px, as PNG files of 64 x 64 px."""
    digits = load_digits()
    with zipfile.ZipFile(work / "digits.zip", "w") as archive:
        for number, (image, target) in enumerate(zip(digits.images, digits.target, strict=True)):
            gray = cv2.resize((image * 15.9).astype(np.uint8), (64, 64), interpolation=cv2.INTER_CUBIC)
            archive.writestr(f"digits/{target}/{number}.png", cv2.imencode(".png", gray)[1].tobytes())
    labels = {"classes": {str(digit): [] for digit in range(10)}, "ignore": [], "by_source": {}}
    return {"sources": archive_sources({}, work, {"digits": "digits.zip"}), "labels": labels}


def curated(clone: Path, archives: Path, family: str, is_wrong: Callable[[tuple[str, ...]], bool]) -> LabeledSet:
    """The images that are used."""
    samples, index = load_samples(clone / "data/curate"), load_index(clone / "data/merge/index.csv")
    features = [extracted(VARIANTS[name], clone, archives, read_params(clone))[:, 0] for name in BACKBONES]
    return without(family, samples, index, features, is_wrong)


def generated(clone: Path) -> LabeledSet:
    """The sample, by the random backbones of its preset."""
    samples, index = load_samples(clone / "data/curate"), load_index(clone / "data/merge/index.csv")
    backbones = load_features_of(clone / "data/extract", read_params(clone)["backbones"], ids=samples.ids)
    planted = set[str]()
    for source, style in STYLES.items():
        with tarfile.open(clone / f"data/download/files/{source}/files-00000.tar") as tar:
            truth = json.load(tar.extractfile("truth.json"))["mislabelled"]  # type: ignore[arg-type]
        planted |= {path.replace(f"{style}/", f"{source}/", 1) for path in truth}
    features = [each[:, 0] for each in backbones.values()]
    return without("sample", samples, index, features, lambda files: bool(planted.intersection(files)))


def all_images(clone: Path, archives: Path) -> LabeledSet:
    """Digits: none is a near duplicate of another by the eye, and each is its own group."""
    index = load_index(clone / "data/merge/index.csv")
    names, targets = np.unique(index.labels, return_inverse=True)
    features = tuple(extracted(VARIANTS[name], clone, archives, read_params(clone))[:, 0] for name in BACKBONES)
    return LabeledSet("digits", features, targets, np.arange(len(targets)), len(names))


def without(
    family: str,
    samples: Samples,
    index: Index,
    features: list[np.ndarray],
    is_wrong: Callable[[tuple[str, ...]], bool],
) -> LabeledSet:
    """The images that are used, but for those whose files have a label that is known to be wrong."""
    is_kept = np.array([not is_wrong(tuple(files)) for files in index.found_in]) & (samples.splits != "")
    groups = np.unique(samples.groups[is_kept], return_inverse=True)[1]
    kept = tuple(np.asarray(each[is_kept], dtype=np.float32) for each in features)
    return LabeledSet(family, kept, samples.targets[is_kept], groups, len(samples.class_names))


def is_seen_wrong(files: tuple[str, ...]) -> bool:
    """Whether an image's label was seen to be wrong, or like nothing of its class."""
    return any(name.startswith("vehicle_types/") and part in name for name in files for part in WRONG)
