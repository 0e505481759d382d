"""A project folder with what the stages before curate wrote, planted, and the stage scripts as modules to call."""

import importlib.util
import re
import sys
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image

from planted_images import DIM, png, similar_to, some_features, textured_image, write_images
from tandem.files import write_json
from tandem.images.hashing import dihedral_phashes
from tandem.tables.decisions import Decision, Decisions, save_decisions
from tandem.tables.features import write_features
from tandem.tables.index import ImageRecord, Index, Origin, save_index
from tandem.tables.samples import Samples, save_samples

Arrays = Mapping[str, np.ndarray]
ROOT = Path(__file__).parents[1]
CLASSES = ("car", "motorcycle", "truck")
SMALL = {  # of the parameters, for seconds less
    "lr: [0.01, 0.001]": "lr: [0.01]",
    "batch_size: [4, 8]": "batch_size: [8]",
    "num_seeds: 3": "num_seeds: 2",
    "num_resamples: 2000": "num_resamples: 200",
    "num_splits: 3": "num_splits: 1",
    "epochs: 15": "epochs: 2",
    "workers: 2": "workers: 1",
}
sys.path.append(str(ROOT / "stages"))  # where a script finds what it imports first
NUM_STRANGERS = 11  # images of a class that have nothing in common


def stage(name: str) -> ModuleType:
    """The script of a stage as a module; its main() runs in the current folder, as dvc runs it."""
    spec = importlib.util.spec_from_file_location(f"stage_{name}", ROOT / "stages" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def plant_images(folder: Path) -> None:
    """params.yaml and data/ of 33 strangers of three classes, and of each of them something that belongs to it.

    Of the first ten of a class, by turns: the same image at another size, a crop (the features of both are far apart),
    one of the same video, one of the same stem, one that a person called a duplicate. Of the last: one that the same
    camera took a second later.
    """
    images, features, keys, decisions = {}, {}, {}, []
    for number, label in enumerate(CLASSES):
        for row in range(NUM_STRANGERS):
            seed = 100 * number + row
            images[id_ := f"{label}{row:02}"] = image = textured_image(seed).resize((80, 60))
            features[id_] = some_features(seed)
            kind = ("copy", "crop", "video", "stem", "decided")[row % 5] if row < 10 else "shot"
            near = f"{label}{row:02}x"
            images[near] = textured_image(seed + 50).resize((80, 60))
            features[near] = similar_to(features[id_], {"copy": 0.999, "stem": 0.85}.get(kind, 0.5), seed=seed + 50)
            if kind == "copy":
                images[near] = image.resize((100, 75))
            elif kind == "crop":
                images[near] = textured_image(seed).crop((16, 10, 152, 114)).resize((90, 60))
            elif kind == "decided":
                decisions.append(Decision(id_, "duplicate", near))
            elif kind == "shot":
                for second, each in enumerate((id_, near)):
                    keys[each] = (f"captured:2024-05-01T10:1{number}:0{second} Canon / EOS 6D",)
            else:
                keys[id_] = keys[near] = (f"{kind}:snapshots/{id_}",)
    _write(folder, images, features, keys, decisions)


def plant_tables(folder: Path, samples: Samples, *, extracted: Arrays, tuned: Arrays) -> None:
    """params.yaml and data/ as curate and finetune leave it, of these samples. Arrays: backbone -> (N, k, D).

    The shorter side of the images is 100, 200 or 300 px in turn, of every other one the height.
    """

    def sides(row: int) -> tuple[int, ...]:
        return (100 + 100 * (row % 3), 400)[:: -1 if row % 2 else 1]

    _write_params(folder, {"num_neighbors: 5}": "num_neighbors: 1}", **SMALL})
    records = (
        ImageRecord(id_, label, f"{id_}.png", *sides(row), (), (Origin("drawn", f"{id_}.png", label),))
        for row, (id_, label) in enumerate(zip(samples.ids, samples.labels.tolist(), strict=True))
    )
    save_index(Index.of(records), folder / "data/merge/index.csv")
    save_samples(samples, folder / "data/curate")
    for stage_name, arrays in (("extract", extracted), ("finetune", tuned)):
        for name, features in arrays.items():
            given = {"dim": features.shape[2], "num_tta_views": features.shape[1], "meta": {"backbone": name}}
            write_features(folder / "data" / stage_name / name, ids=samples.ids, batches=[features], **given)


def _write_params(folder: Path, changes: Mapping[str, str]) -> None:
    """The project's own with some of its text replaced, and a seed of its own for each stage."""
    params = (ROOT / "params.yaml").read_text(encoding="utf-8")
    for old, new in changes.items():
        assert params.count(old) == 1, old
        params = params.replace(old, new)
    seeds = count(11)
    params = re.sub(r"(?<=\bseed: )0\b", lambda _: str(next(seeds)), params)  # a stage that ignores its seed takes 0
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(params, encoding="utf-8")


def _write(folder: Path, images: dict, features: dict, keys: dict, decisions: list[Decision]) -> None:
    merge, ids = folder / "data/merge", sorted(images)
    write_images(folder, {id_: png(image) for id_, image in images.items()})
    save_index(Index.of(_record(id_, images[id_], keys.get(id_, ())) for id_ in ids), merge / "index.csv")
    write_json(merge / "classes.json", list(CLASSES))
    np.save(merge / "hashes.npy", np.stack([dihedral_phashes(images[id_]) for id_ in ids]))
    batch = np.stack([features[id_] for id_ in ids])[:, None]
    meta = {"backbone": "mobilenet_v2"}
    write_features(folder / "data/extract/mobilenet_v2", ids=ids, dim=DIM, batches=[batch], meta=meta)
    save_decisions(Decisions(tuple(decisions)), folder / "data/review/decisions.csv")
    fractions = {"{train: 0.7, val: 0.15, test: 0.15}": "{train: 0.5, val: 0.25, test: 0.25}"}
    bursts = {"within_seconds: null": "within_seconds: 1.5"}
    _write_params(folder, {"num_neighbors: 5}": "num_neighbors: 1}", **fractions, **bursts})


def _record(id_: str, image: Image.Image, keys: tuple[str, ...]) -> ImageRecord:
    label = id_.rstrip("x0123456789")
    return ImageRecord(id_, label, f"{id_}.png", *image.size, keys, (Origin("snapshots", f"{label}/{id_}.png", label),))
