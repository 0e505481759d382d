"""Which files the two synthetic sources hold: scene, encoding and path of each, faults included.

Both sources of one seed share scenes, so a plan of both is needed to know the duplicates that cross from one to the
other. Nothing is rendered here.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, get_args

import numpy as np

from tandem.sources.settings import SampleStyle
from tandem.sources.synthetic.encode import PLAIN_QUALITY, FileSpec, Form
from tandem.sources.synthetic.folders import KAGGLE, ROBOFLOW, ClassName
from tandem.sources.synthetic.scenes import Scene

CORRUPT_FORMS = ("truncated", "not_an_image", "empty")
_NUM_SCENES = {"kaggle": 122, "roboflow": 42, "Bus": 40, "bicicleta": 12}
_FIRST_OWN = {"kaggle": 0, "roboflow": 500, "mislabeled": 900}  # of the scene numbers that only one source has
_NUM_EXACT, _NUM_REENCODED, _NUM_RESIZED = 3, 4, 4  # duplicates across the sources, per class
_NUM_VERSIONS = 3  # of each image in the Roboflow style
_FORMS: tuple[Form, ...] = ("RGBA", "RGBA", "P", "P transparent", "CMYK", "CMYK", "I;16", "exif", "exif", "exif")
_FAULTS: dict[str, tuple[Form, ...]] = {
    "Car": ("truncated", "not_an_image"),
    "Truck": ("truncated", "empty"),
    "motorcycle": ("truncated", "not_an_image"),
    "carro": ("truncated",),
    "moto": ("not_an_image",),
}
_WRONG: tuple[tuple[str, ClassName], ...] = (
    ("Car", "truck"), ("Car", "motorcycle"), ("Truck", "car"), ("Truck", "car"),
    ("motorcycle", "car"), ("motorcycle", "truck"),
)  # fmt: skip
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class PlannedFile(NamedTuple):
    """One file. path: "<style>/<path within the source>". label: the class that its folder stands for."""

    path: str
    label: ClassName
    stem: str
    scene: Scene
    spec: FileSpec


def plan(seed: int) -> dict[SampleStyle, list[PlannedFile]]:
    """The files of both sources in order of path."""
    files = {"kaggle": _kaggle(seed), "roboflow": _roboflow(seed)}
    return {style: sorted(files[style]) for style in get_args(SampleStyle)}


def _kaggle(seed: int) -> Iterator[PlannedFile]:
    rng = np.random.default_rng([seed, 1])
    for folder, label in KAGGLE.items():
        entries = [*_kaggle_scenes(folder, label), *_kaggle_extras(folder, label)]
        for number, index in enumerate(rng.permutation(len(entries)), 1):
            scene, spec = entries[index]
            stem = f"Image_{number}"
            path = f"kaggle/vehicles/{folder}/{stem}{_extension(spec.form, rng)}"
            yield PlannedFile(path, label, stem, scene, spec)


def _kaggle_scenes(folder: str, label: ClassName) -> Iterator[tuple[Scene, FileSpec]]:
    num_crossing = _NUM_EXACT + _NUM_REENCODED + _NUM_RESIZED
    for number in range(_NUM_SCENES.get(folder, _NUM_SCENES["kaggle"])):
        as_png = number >= num_crossing + len(_FORMS) and number % 12 == 0
        has_form = label != "bus" and num_crossing <= number < num_crossing + len(_FORMS)
        form: Form = _FORMS[number - num_crossing] if has_form else "PNG" if as_png else "JPEG"
        yield Scene(label, number), FileSpec(form)


def _kaggle_extras(folder: str, label: ClassName) -> Iterator[tuple[Scene, FileSpec]]:
    last = _NUM_SCENES.get(folder, _NUM_SCENES["kaggle"]) - 1
    for number in (last, last - 1):
        if label != "bus":
            yield Scene(label, number), _kaggle_spec(number)
    yield from _corrupt(folder, label)
    for number, (wrong, true_class) in enumerate(_WRONG):
        if wrong == folder:
            yield Scene(true_class, _FIRST_OWN["mislabeled"] + number), FileSpec()
    if folder == "Truck":  # bytes that are in Car, too
        yield Scene("car", last - 2), _kaggle_spec(last - 2)
    if folder == "Car":  # bytes that are in motorcycle, too
        yield Scene("motorcycle", last - 2), _kaggle_spec(last - 2)


def _kaggle_spec(number: int) -> FileSpec:
    return FileSpec("PNG" if number % 12 == 0 else "JPEG")


def _corrupt(folder: str, label: ClassName) -> Iterator[tuple[Scene, FileSpec]]:
    for number, fault in enumerate(_FAULTS.get(folder, ())):
        yield Scene(label, _FIRST_OWN["mislabeled"] + 50 + number), FileSpec(fault)


def _extension(form: Form, rng: np.random.Generator) -> str:
    """Mostly the right one; sometimes another spelling or another format's."""
    if form in ("truncated", "not_an_image", "empty"):
        return ".jpg"
    if form in ("PNG", "RGBA", "P", "P transparent", "I;16"):
        return str(rng.choice([".png", ".jpg"], p=[0.8, 0.2]))
    return str(rng.choice([".jpg", ".jpeg", ".JPG", ".png"], p=[0.85, 0.06, 0.06, 0.03]))


def _roboflow(seed: int) -> Iterator[PlannedFile]:
    rng = np.random.default_rng([seed, 2])
    for folder, label in ROBOFLOW.items():
        sets = [*_roboflow_scenes(folder, label), *_roboflow_extras(folder, label)]
        for number, (scene, specs) in enumerate(sets):
            yield from _exported(folder, _stem(folder, number, rng), scene, specs, rng)


def _roboflow_scenes(folder: str, label: ClassName) -> Iterator[tuple[Scene, list[FileSpec]]]:
    """The first scenes are also in the other source: same bytes, other quality, other size."""
    for number in range(_NUM_SCENES.get(folder, _NUM_SCENES["roboflow"])):
        kind = number if label != "bicycle" else _NUM_SCENES["roboflow"]
        plain, first = FileSpec(quality=PLAIN_QUALITY), 0
        if _NUM_EXACT <= kind < _NUM_EXACT + _NUM_REENCODED:
            plain = FileSpec(quality=(45, 60, 72, 80)[number % 4])
        elif _NUM_EXACT <= kind < _NUM_EXACT + _NUM_REENCODED + _NUM_RESIZED:
            plain = FileSpec(scale=(0.6, 0.75, 1.3, 1.6)[number % 4])
        elif kind >= _NUM_EXACT:
            first = _FIRST_OWN["roboflow"]
        augmented = [FileSpec(augmented=version) for version in range(1, _NUM_VERSIONS)]
        yield Scene(label, first + number), [plain, *augmented]


def _roboflow_extras(folder: str, label: ClassName) -> Iterator[tuple[Scene, list[FileSpec]]]:
    for scene, spec in _corrupt(folder, label):
        yield scene, [spec]
    if folder == "Caminhao":  # a car's bytes, called a car in the other source; and a motorcycle called a lorry
        yield Scene("car", _NUM_SCENES["kaggle"] - 4), [_kaggle_spec(_NUM_SCENES["kaggle"] - 4)]
        yield Scene("motorcycle", _FIRST_OWN["mislabeled"]), [FileSpec(), FileSpec(augmented=1), FileSpec(augmented=2)]
    if label != "bicycle":  # a byte duplicate of a version that is there already
        yield Scene(label, _FIRST_OWN["roboflow"] + 20), [FileSpec()]


def _stem(folder: str, number: int, rng: np.random.Generator) -> str:
    """Image_9 stands for an image in each of two classes; IMG_0030 for two images of one class."""
    if folder in ("carro", "Caminhao") and number == 12:
        return "Image_9"
    if folder == "moto" and number in (30, 31):
        return "IMG_0030"
    prefix = ("IMG_", "foto-", "veiculo_")[number % 3]
    return f"{prefix}{folder.lower()[:3]}{number:03d}{int(rng.integers(100)):02d}"


def _exported(
    folder: str, stem: str, scene: Scene, specs: Sequence[FileSpec], rng: np.random.Generator
) -> Iterator[PlannedFile]:
    for spec in specs:
        part = rng.choice(["train", "valid", "test"], p=[0.6, 0.25, 0.15])
        path = f"roboflow/{part}/{folder}/{stem}_jpg.rf.{_rf_id(rng)}.jpg"
        yield PlannedFile(path, ROBOFLOW[folder], stem, scene, spec)


def _rf_id(rng: np.random.Generator) -> str:
    if rng.random() < 0.2:
        return "".join(_BASE62[index] for index in rng.integers(0, 62, 20))
    return rng.bytes(16).hex()


def readable_files(files: Mapping[SampleStyle, Sequence[PlannedFile]]) -> list[PlannedFile]:
    """The files of both sources that are not corrupt."""
    return [file for style in files.values() for file in style if file.spec.form not in CORRUPT_FORMS]
