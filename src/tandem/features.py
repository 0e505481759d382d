"""Feature rows of one backbone on disk: written in a stream, read as a memory map."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import write_array_header_1_0

from tandem.errors import DataError
from tandem.files import read_json, whole_folder, write_json, write_text


@dataclass(frozen=True)
class Features:
    """ids: N, unique. x: (N, D) float32, pooled, not L2-normalised, finite. meta: how they were made."""

    ids: tuple[str, ...]
    x: np.ndarray
    meta: dict[str, Any]

    def __post_init__(self) -> None:
        num_unique = len(set(self.ids))
        if self.x.ndim != 2 or not num_unique == len(self.ids) == len(self.x):
            raise DataError(
                f"features need one row per unique id; got {len(self.ids)} ids, {num_unique} of them unique, "
                f"and shape {self.x.shape}; run the extract stage again"
            )

    def require_ids(self, ids: Sequence[str]) -> None:
        """Raise DataError unless the rows are those of `ids`, in that order."""
        if list(self.ids) != list(ids):
            raise DataError(
                f"features of {self.meta.get('backbone')} hold {len(self.ids)} pictures in another order or number "
                f"than the {len(ids)} of the index; run the extract stage again"
            )


def write_features(folder: Path, *, ids: Sequence[str], dim: int, batches: Iterable[np.ndarray], meta: Any) -> None:
    """Write `folder` (rows.npy, ids.txt, meta.json), whole or not at all, in the memory of one batch.

    batches: arrays (n, dim) that add up to one row an id, in the order of ids. Raises DataError if they do not, or
    hold a value that is not finite.
    """
    with whole_folder(folder) as temporary:
        # written, not mapped: a full disk is then an OSError, and not a SIGBUS that nobody can catch
        with (temporary / "rows.npy").open("wb") as file:
            write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (len(ids), dim)})
            done = 0
            for batch in batches:
                _require_rows(batch, dim=dim, done=done, ids=ids)
                file.write(batch.astype("<f4").tobytes())
                done += len(batch)
        if done != len(ids):
            raise DataError(f"the backbone gave {done} feature rows for {len(ids)} pictures")
        write_text(temporary / "ids.txt", "".join(f"{id_}\n" for id_ in ids))
        write_json(temporary / "meta.json", meta)


def _require_rows(batch: np.ndarray, *, dim: int, done: int, ids: Sequence[str]) -> None:
    room = len(ids) - done
    if batch.ndim != 2 or batch.shape[1] != dim or len(batch) > room:
        raise DataError(
            f"the backbone gave a batch of shape {batch.shape} after {done} rows; "
            f"at most {room} rows of {dim} values are expected"
        )
    finite = np.isfinite(batch).all(axis=1)
    if not finite.all():
        raise DataError(f"the backbone gave a value that is not finite for picture {ids[done + int(finite.argmin())]}")


def load_features(folder: Path, *, ids: Sequence[str]) -> Features:
    """Read what write_features wrote; rows stay on disk until used. DataError unless they are rows of `ids`."""
    found = (folder / "ids.txt").read_text(encoding="utf-8").split()
    features = Features(tuple(found), np.load(folder / "rows.npy", mmap_mode="r"), read_json(folder / "meta.json"))
    features.require_ids(ids)
    return features


def load_all(parent: Path, names: Iterable[str], *, ids: Sequence[str]) -> dict[str, np.ndarray]:
    """Backbone -> (N, D) rows of the folders `names` below `parent`, all of them rows of `ids`."""
    return {name: load_features(parent / name, ids=ids).x for name in names}
