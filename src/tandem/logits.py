"""Logits of one model for every picture, beside the ids and class names that give them meaning."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tandem.errors import DataError
from tandem.files import whole_file


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


def save_logits(logits: Logits, path: Path) -> None:
    """Write logits as .npz, whole or not at all."""
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, ids=np.array(logits.ids), class_names=np.array(logits.class_names), values=logits.values)


def load_logits(path: Path) -> Logits:
    """Read what save_logits wrote."""
    with np.load(path) as arrays:
        return Logits(tuple(arrays["ids"].tolist()), tuple(arrays["class_names"].tolist()), arrays["values"])


def load_all(paths: Mapping[str, Path], *, ids: Sequence[str], class_names: Sequence[str]) -> dict[str, np.ndarray]:
    """Model -> (N, C) values of these files; DataError unless all are of these ids and classes, in this order."""
    tables = {name: load_logits(path) for name, path in paths.items()}
    for name, table in tables.items():
        if table.ids != tuple(ids) or table.class_names != tuple(class_names):
            raise DataError(
                f"{paths[name]} holds logits of other pictures or classes; run the stage that wrote it again"
            )
    return {name: table.values for name, table in tables.items()}
