"""Decoded images of one size on disk, for trainings that see each image many times: a memory map of uint8."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.lib.format import write_array_header_1_0

from tandem.files import atomic_file


def cache_pixels(path: Path, batches: Iterable[np.ndarray], *, count: int, size_px: int) -> np.ndarray:
    """(count, size_px, size_px, 3) uint8, written to `path` in the memory of one batch and mapped from there."""
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        shape = (count, size_px, size_px, 3)
        write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for batch in batches:
            file.write(np.ascontiguousarray(batch).tobytes())
    return np.load(path, mmap_mode="r")
