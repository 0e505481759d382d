"""Logits of one model for every image, beside the ids and class names that give them meaning."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tandem.errors import DataError
from tandem.files import atomic_file
from tandem.tables.checks import THE_WRITER, reading, require_finite, require_unique


@dataclass(frozen=True)
class Logits:
    """ids: N. class_names: C. values: (N, C) float32; softmax over the last axis gives probs."""

    ids: tuple[str, ...]
    class_names: tuple[str, ...]
    values: np.ndarray

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.ids), len(self.class_names)):
            raise DataError(
                f"logits of shape {self.values.shape} for {len(self.ids)} ids and {len(self.class_names)} classes; "
                "run the stage that wrote them again"
            )
        _require_values(self.values, self.ids, self.class_names)


def save_logits(logits: Logits, path: Path) -> None:
    """Write logits as .npz, whole or not at all."""
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, ids=np.array(logits.ids), class_names=np.array(logits.class_names), values=logits.values)


def load_logits(path: Path) -> Logits:
    """Read what save_logits wrote. Raises DataError, with the path, for what is no such table."""
    try:
        with reading(path), path.open("rb") as file, np.load(file) as arrays:
            return Logits(_names(arrays["ids"]), _names(arrays["class_names"]), arrays["values"])
    except DataError as error:
        raise _about(path, error) from error


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
    """Model -> (N, C) of what save_model_library wrote; DataError unless of these ids and classes, in this order."""
    try:
        with reading(path), path.open("rb") as file, np.load(file) as arrays:
            models, values = _names(arrays["models"]), arrays["values"]
            _require(path, _names(arrays["ids"]), _names(arrays["class_names"]), ids=ids, class_names=class_names)
        _require_library(models, values, ids, class_names)
    except DataError as error:
        raise _about(path, error) from error
    return dict(zip(models, values, strict=True))


def load_logits_of(
    folders: Mapping[str, Path], *, ids: Sequence[str], class_names: Sequence[str], stem: str = "logits"
) -> dict[str, np.ndarray]:
    """Model -> (N, C) of its folder, as load_logits_in reads it."""
    return {
        name: load_logits_in(folder, ids=ids, class_names=class_names, stem=stem) for name, folder in folders.items()
    }


def load_logits_in(folder: Path, *, ids: Sequence[str], class_names: Sequence[str], stem: str = "logits") -> np.ndarray:
    """(N, C) of <stem>.npz in a folder; DataError unless of these ids and classes, in this order."""
    path = folder / f"{stem}.npz"
    table = load_logits(path)
    _require(path, table.ids, table.class_names, ids=ids, class_names=class_names)
    return table.values


def _require(
    path: Path,
    found_ids: Sequence[str],
    found_names: Sequence[str],
    *,
    ids: Sequence[str],
    class_names: Sequence[str],
) -> None:
    if list(found_ids) != list(ids) or list(found_names) != list(class_names):
        raise DataError(f"{path} holds logits of other images or classes; run the stage that wrote it again")


def _require_values(values: np.ndarray, ids: Sequence[str], class_names: Sequence[str]) -> None:
    """Raise DataError unless logits (N, C) are finite float32, and ids and class names unique."""
    require_unique(ids, what="ids of logits")
    require_unique(class_names, what="class names of logits")
    if values.dtype != np.float32:
        raise DataError(f"logits must be float32, not {values.dtype}; run {THE_WRITER} again")
    require_finite(values, ids, what="logits", stage=f"{THE_WRITER} (a lower lr keeps them finite)")


def _require_library(models: Sequence[str], values: np.ndarray, ids: Sequence[str], class_names: Sequence[str]) -> None:
    """Raise DataError unless there are logits (M, N, C) of each model, all as those of one."""
    require_unique(models, what="models of a library")
    if values.shape != (len(models), len(ids), len(class_names)):
        raise DataError(
            f"logits of shape {values.shape} for {len(models)} models, {len(ids)} ids and {len(class_names)} classes; "
            "run the stage that wrote them again"
        )
    for of_model in values:
        _require_values(of_model, ids, class_names)


def _names(array: np.ndarray) -> tuple[str, ...]:
    return tuple(array.astype(np.str_).tolist())


def _about(path: Path, error: DataError) -> DataError:
    """The error with the path, if it has none yet."""
    return error if str(path) in str(error) else DataError(f"{path}: {error}")
