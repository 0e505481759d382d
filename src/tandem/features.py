"""Feature rows of one backbone on disk: written in a stream, read as a memory map."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap

from tandem.errors import DataError
from tandem.files import read_json, whole_folder, write_json, write_text


@dataclass(frozen=True)
class Features:
    """ids: N, unique. x: (N, D) float32, pooled, not L2-normalised, finite. meta: how they were made."""

    ids: tuple[str, ...]
    x: np.ndarray
    meta: dict[str, Any]

    def __post_init__(self) -> None:
        if self.x.ndim != 2 or len(self.ids) != len(self.x) or len(set(self.ids)) != len(self.ids):
            raise DataError(f"features need one row per unique id; got {len(self.ids)} ids and shape {self.x.shape}")

    def require_ids(self, ids: Sequence[str]) -> None:
        """Raise DataError unless the rows are those of `ids`, in that order."""
        if list(self.ids) != list(ids):
            raise DataError(
                f"features of {self.meta.get('backbone')} hold {len(self.ids)} pictures in another order or number "
                f"than the {len(ids)} of the index; run the extract stage again"
            )


def write_features(folder: Path, *, ids: Sequence[str], dim: int, batches: Iterable[np.ndarray], meta: Any) -> None:
    """Write `folder` (rows.npy, ids.txt, meta.json), whole or not at all, in the memory of one batch.

    batches: arrays (n, dim) that add up to one row an id, in the order of ids.
    """
    with whole_folder(folder) as temporary:
        rows = open_memmap(temporary / "rows.npy", mode="w+", dtype=np.float32, shape=(len(ids), dim))
        done = 0
        for batch in batches:
            if not np.isfinite(batch).all():
                raise DataError(
                    f"the backbone gave a value that is not finite among pictures {done} to {done + len(batch)}"
                )
            rows[done : done + len(batch)] = batch
            done += len(batch)
        rows.flush()
        if done != len(ids):
            raise DataError(f"{done} feature rows for {len(ids)} pictures")
        write_text(temporary / "ids.txt", "".join(f"{id_}\n" for id_ in ids))
        write_json(temporary / "meta.json", meta)


def load_features(folder: Path) -> Features:
    """Read what write_features wrote; rows stay on disk until they are used."""
    ids = (folder / "ids.txt").read_text(encoding="utf-8").split()
    return Features(tuple(ids), np.load(folder / "rows.npy", mmap_mode="r"), read_json(folder / "meta.json"))


def load_all(parent: Path, names: Iterable[str], *, ids: Sequence[str]) -> dict[str, np.ndarray]:
    """Backbone -> (N, D) rows of the folders `names` below `parent`; DataError unless all are rows of `ids`."""
    tables = {name: load_features(parent / name) for name in names}
    for table in tables.values():
        table.require_ids(ids)
    return {name: table.x for name, table in tables.items()}
