"""Features of one backbone on disk: written in a stream, read as a memory map."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import write_array_header_1_0

from tandem.errors import DataError
from tandem.files import atomic_dir, read_json, write_json, write_text
from tandem.tables.checks import reading, require_finite, require_unique


@dataclass(frozen=True)
class Features:
    """ids: N, unique. tta_views: (N, k, D) float32, pooled, not L2-normalised, finite. meta: how they were made.

    The first TTA view is the image itself.
    """

    ids: tuple[str, ...]
    tta_views: np.ndarray
    meta: dict[str, Any]

    def __post_init__(self) -> None:
        num_unique = len(set(self.ids))
        if self.tta_views.ndim != 3 or not num_unique == len(self.ids) == len(self.tta_views):
            raise DataError(
                f"features need the TTA views of one image per unique id; got {len(self.ids)} ids, {num_unique} of "
                f"them unique, and shape {self.tta_views.shape}; run the extract stage again"
            )
        if self.tta_views.dtype != np.float32 or 0 in self.tta_views.shape[1:]:
            raise DataError(
                f"features must be float32, of at least one TTA view and column; got {self.tta_views.dtype} of shape "
                f"{self.tta_views.shape}; run the extract stage again"
            )
        require_finite(self.tta_views, self.ids, what="features", stage="the extract stage")

    @property
    def without_tta(self) -> np.ndarray:
        """(N, D) the features of the images themselves."""
        return self.tta_views[:, 0]

    def require_ids(self, ids: Sequence[str]) -> None:
        """Raise DataError unless the features are those of `ids`, in that order."""
        if list(self.ids) != list(ids):
            raise DataError(
                f"features of {self.meta.get('backbone')} are of {len(self.ids)} images in another order or number "
                f"than the {len(ids)} of the index; run the extract stage again"
            )


def write_features(
    folder: Path, *, ids: Sequence[str], dim: int, batches: Iterable[np.ndarray], meta: Any, num_tta_views: int = 1
) -> None:
    """Write `folder` (features.npy, ids.txt, meta.json), whole or not at all, in the memory of one batch.

    batches: arrays (n, num_tta_views, dim) that add up to one entry an id, in the order of ids. Raises DataError if
    they do not, or hold a value that is not finite.
    """
    require_unique(ids, what="ids of features", stage="the merge stage")
    with atomic_dir(folder) as temporary:
        # written, not mapped: a full disk is then an OSError, and not a SIGBUS that nobody can catch
        with (temporary / "features.npy").open("wb") as file:
            shape = (len(ids), num_tta_views, dim)
            write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
            num_written = 0
            for batch in batches:
                _require_batch(batch, ids=ids, num_written=num_written, shape=(num_tta_views, dim))
                file.write(batch.astype("<f4").tobytes())
                num_written += len(batch)
        if num_written != len(ids):
            raise DataError(
                f"the backbone gave features of {num_written} images where there are {len(ids)}; run the stage again"
            )
        write_text(temporary / "ids.txt", "".join(f"{id_}\n" for id_ in ids))
        write_json(temporary / "meta.json", meta)


def _require_batch(batch: np.ndarray, *, ids: Sequence[str], num_written: int, shape: tuple[int, int]) -> None:
    """Raise DataError unless a batch is of this shape, finite, and of no more images than are still to come."""
    num_left = len(ids) - num_written
    if batch.shape[1:] != shape or len(batch) > num_left:
        raise DataError(
            f"the backbone gave a batch of shape {batch.shape} after {num_written} images; "
            f"at most {num_left} of {shape[0]} x {shape[1]} values are expected; run the stage again"
        )
    is_finite = np.isfinite(batch).all(axis=(1, 2))
    if not is_finite.all():
        raise DataError(
            f"the backbone gave a value that is not finite for image {ids[num_written + int(is_finite.argmin())]}; "
            "try extract.engine: reference, or a lower finetune.lr where layers are unfrozen"
        )


def load_features(folder: Path, *, ids: Sequence[str]) -> Features:
    """Read what write_features wrote; it stays on disk until used. DataError unless whole, finite and of `ids`."""
    with reading(folder / "ids.txt"):
        found = (folder / "ids.txt").read_text(encoding="utf-8").split()
    with reading(folder / "meta.json"):
        meta = dict(read_json(folder / "meta.json"))
    with reading(folder / "features.npy"):
        values = np.load(folder / "features.npy", mmap_mode="r")
    try:
        features = Features(tuple(found), values, meta)
        features.require_ids(ids)
    except DataError as error:
        raise DataError(f"{folder}: {error}") from error
    return features


def load_features_of(parent: Path, names: Iterable[str], *, ids: Sequence[str]) -> dict[str, np.ndarray]:
    """Backbone -> (N, k, D) TTA views of the folders `names` below `parent`, all of them of `ids`."""
    return {name: load_features(parent / name, ids=ids).tta_views for name in names}
