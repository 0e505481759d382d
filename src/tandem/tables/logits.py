"""Logits of one model for every image, beside the ids and class names that give them meaning."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tandem.errors import DataError
from tandem.files import atomic_file, load_arrays, reading
from tandem.tables.checks import require_finite, require_unique


@dataclass(frozen=True)
class Logits:
    """ids: N. class_names: C. values: (N, C) float32; softmax over the last axis gives probs."""

    ids: tuple[str, ...]
    class_names: tuple[str, ...]
    values: np.ndarray

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.ids), len(self.class_names)):
            raise DataError(
                f"logits of shape {self.values.shape} for {len(self.ids)} ids and {len(self.class_names)} classes"
            )
        _require_values(self.values, self.ids, self.class_names)


def save_logits(logits: Logits, path: Path) -> None:
    """Write logits as .npz, whole or not at all."""
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, ids=np.array(logits.ids), class_names=np.array(logits.class_names), values=logits.values)


def load_logits(path: Path) -> Logits:
    """Read what save_logits wrote. Raises DamagedFileError."""
    ids, class_names, values = load_arrays(path, ("ids", "class_names", "values"))
    with reading(path):
        return Logits(tuple(ids.tolist()), tuple(class_names.tolist()), values)


def save_model_library(
    library: Mapping[str, np.ndarray], *, ids: Sequence[str], class_names: Sequence[str], path: Path
) -> None:
    """Write the logits (N, C) of many models of the same images as one .npz, whole or not at all."""
    values = np.stack([np.asarray(logits, np.float32) for logits in library.values()])
    _require_library(list(library), values, ids, class_names)
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file, ids=np.array(ids), class_names=np.array(class_names), models=np.array(list(library)), values=values
        )


def load_model_library(path: Path, *, ids: Sequence[str], class_names: Sequence[str]) -> dict[str, np.ndarray]:
    """Model -> (N, C) of what save_model_library wrote; DamagedFileError unless of these ids and classes."""
    found_ids, found_names, models, values = load_arrays(path, ("ids", "class_names", "models", "values"))
    with reading(path):
        _require_same(found_ids.tolist(), found_names.tolist(), ids=ids, class_names=class_names)
        _require_library(models.tolist(), values, ids, class_names)
        return dict(zip(models.tolist(), values, strict=True))


def load_logits_of(
    folders: Mapping[str, Path], *, ids: Sequence[str], class_names: Sequence[str], stem: str = "logits"
) -> dict[str, np.ndarray]:
    """Model -> (N, C) of its folder, as load_logits_in reads it."""
    return {
        name: load_logits_in(folder, ids=ids, class_names=class_names, stem=stem) for name, folder in folders.items()
    }


def folder_of_model(data_dir: Path, model: str, backbones: Collection[str]) -> Path:
    """Where a model's logits lie, and what was trained: beside the heads of backbones, or the ensembles."""
    return data_dir / ("train" if model in backbones else "ensemble") / model


def load_logits_in(folder: Path, *, ids: Sequence[str], class_names: Sequence[str], stem: str = "logits") -> np.ndarray:
    """(N, C) of <stem>.npz in a folder; DamagedFileError unless of these ids and classes, in this order."""
    path = folder / f"{stem}.npz"
    table = load_logits(path)
    with reading(path):
        _require_same(table.ids, table.class_names, ids=ids, class_names=class_names)
    return table.values


def _require_same(
    found_ids: Sequence[str], found_names: Sequence[str], *, ids: Sequence[str], class_names: Sequence[str]
) -> None:
    if list(found_ids) != list(ids) or list(found_names) != list(class_names):
        raise DataError("the logits are of other images or classes")


def _require_values(values: np.ndarray, ids: Sequence[str], class_names: Sequence[str]) -> None:
    """Raise DataError unless logits (N, C) are finite float32, and ids and class names unique."""
    require_unique(ids, what="ids of logits")
    require_unique(class_names, what="class names of logits")
    if values.dtype != np.float32:
        raise DataError(f"logits must be float32, not {values.dtype}")
    require_finite(values, ids, what="logits", advice="a lower lr keeps them finite")


def _require_library(models: Sequence[str], values: np.ndarray, ids: Sequence[str], class_names: Sequence[str]) -> None:
    """Raise DataError unless there are logits (M, N, C) of each model, all as those of one."""
    require_unique(models, what="models of a library")
    if values.shape != (len(models), len(ids), len(class_names)):
        raise DataError(
            f"logits of shape {values.shape} for {len(models)} models, {len(ids)} ids and {len(class_names)} classes"
        )
    for of_model in values:
        _require_values(of_model, ids, class_names)
