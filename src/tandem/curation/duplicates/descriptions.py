"""The keypoints of images, described once in the life of each, here or on the nodes of a cluster.

Tested in tests/curation/test_alignment.py.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tandem.cache.once import Stream, computed_one_by_one
from tandem.cache.recipe import circumstances
from tandem.cluster.local import LocalExecutor
from tandem.cluster.work import Executor, Facts, Share, Started, Work
from tandem.curation.duplicates.alignment import KEPT_BYTES, Keypoints, packed_keypoints, unpacked_keypoints
from tandem.types import Encoded

_CODE = ("curation/duplicates/alignment.py",)  # of which grays and keypoints come
_LIBRARIES = ("opencv-python-headless", "opencv-python", "numpy", "pillow")
_CACHE_SIZE = 4096  # images whose keypoints are kept in memory, some 65 KB each
_IMAGES_A_BATCH = 256
_HERE = LocalExecutor()


@contextmanager
def keypoints_reader(
    images: Sequence[Encoded], sha256: Sequence[str], *, max_gb: float, executor: Executor = _HERE
) -> Iterator[Callable[[int], Keypoints]]:
    """Row number -> the keypoints of `images[row]`; those of the last images stay in memory (260 MB).

    sha256: of each image's bytes, by which its gray and keypoints are kept, so that it is decoded and described once in
    its life. max_gb: of all stores together, see computed_one_by_one. executor: where images are described.
    """
    work = Description()
    computation = executor.compute(work)
    with computed_one_by_one(
        sha256,
        Stream(lambda rows: computation.rows([images[row] for row in rows])),
        recipe=executor.facts(work),
        dtype="|u1",
        row_bytes=KEPT_BYTES,
        max_gb=max_gb,
        desc="keypoints",
    ) as kept_of:

        @lru_cache(_CACHE_SIZE)
        def read(row: int) -> Keypoints:
            return unpacked_keypoints(kept_of(row))

        yield read


@dataclass(frozen=True)
class Description(Work[Encoded, np.ndarray]):
    """Of an encoded image: its gray and its keypoints, packed, (n,) uint8."""

    @property
    def title(self) -> str:
        """Of the progress bar."""
        return "keypoints"

    @property
    def share(self) -> Share:
        """A core."""
        return Share(1)

    def facts(self) -> Facts:
        """Of this machine."""
        return {"value": "keypoints", **circumstances(_CODE, _LIBRARIES)}

    def start(self) -> Started[Encoded, np.ndarray]:
        """Nothing to load."""
        return Started({}, lambda images: (packed_keypoints(image.read_bytes()) for image in images))

    def batches(self, items: Sequence[Encoded], num_batches: int) -> Iterator[Sequence[Encoded]]:
        """Of images with some 30 KB each."""
        size = max(1, min(_IMAGES_A_BATCH, len(items) // num_batches))
        return (items[at : at + size] for at in range(0, len(items), size))
