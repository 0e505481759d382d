"""Which candidates are near duplicates: one image is aligned with the other, and their pixels are correlated.

What decides is one number, the correlation of the pixels once one image lies over the other (.alignment). It is kept by
the bytes of both images, so that a pair that was verified before, whatever its labels were, costs no decode.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from tandem.cache.once import Stream, compute_once
from tandem.cache.recipe import circumstances
from tandem.cluster.local import LOCAL
from tandem.cluster.work import Computation, Executor, Facts, Share, Started, Work, in_batches
from tandem.curation.duplicates.alignment import Keypoints, correlation, correlation_unaligned
from tandem.curation.duplicates.candidates import Candidates
from tandem.curation.duplicates.pairs import Pairs
from tandem.files import write_csv

_MIN_SAVED = 0.5  # a correlation below says nothing, and there are very many
_PAIRS_A_BATCH = 128
_PART = 250_000  # pairs at a time: some 100 MB of ids
_CODE = ("curation/duplicates/alignment.py", "curation/duplicates/verify.py")  # of the package: what correlates
_LIBRARIES = ("opencv-python-headless", "opencv-python", "numpy", "pillow")
_COLUMNS = ("first", "second", "similarity", "correlation")


@dataclass(frozen=True)
class ScoredPairs:
    """pairs: P of them. correlation: (P,) of their pixels, in [-1, 1]."""

    pairs: Pairs
    correlation: np.ndarray

    def __len__(self) -> int:
        return len(self.pairs)

    def where(self, mask: np.ndarray) -> "ScoredPairs":
        """The pairs that a mask (P,) selects."""
        return ScoredPairs(self.pairs.where(mask), self.correlation[mask])


def verify_candidates(
    candidates: Candidates,
    keypoints_of: Callable[[int], Keypoints],
    sha256: Sequence[str],
    *,
    max_gb: float,
    executor: Executor = LOCAL,
) -> ScoredPairs:
    """All candidates with their correlation. keypoints_of: row number -> Keypoints, called for pairs that are new.

    sha256: of each image's bytes, by which correlations are kept. max_gb: of all stores together, see compute_once.
    Similar images are also compared unaligned, in all orientations: some have no keypoints to align them by. executor:
    where new pairs are compared.
    """
    work, values = Verification(), [np.zeros(0)]
    facts, computation = executor.facts(work), executor.compute(work)
    for start in range(0, len(candidates.pairs), _PART):
        part = slice(start, start + _PART)
        pairs = list(zip(candidates.pairs.rows[part].tolist(), candidates.is_similar[part].tolist(), strict=True))
        values.append(_correlations(pairs, keypoints_of, sha256, max_gb, computation=computation, facts=facts))
    return ScoredPairs(candidates.pairs, np.concatenate(values))


def save_pairs(scored: ScoredPairs, ids: Sequence[str], path: Path) -> None:
    """Write pairs as CSV: both ids, the cosine of their features and the correlation of their pixels.

    Pairs that hardly correlate (below 0.5) are not written: they are very many, and tell nothing.
    """
    saved = scored.where(scored.correlation >= _MIN_SAVED)
    columns = (saved.pairs.first, saved.pairs.second, saved.pairs.similarity, saved.correlation)
    values = zip(*(column.tolist() for column in columns), strict=True)
    rows = [dict(zip(_COLUMNS, (ids[i], ids[j], *rest), strict=True)) for i, j, *rest in values]
    write_csv(path, rows, columns=_COLUMNS)


@dataclass(frozen=True)
class Verification(Work[tuple[Keypoints, Keypoints, bool], float]):
    """Of the keypoints of two images, and whether the images are similar, the correlation of the pixels."""

    @property
    def title(self) -> str:
        """Of the progress bar."""
        return "verify candidates"

    @property
    def share(self) -> Share:
        """A core."""
        return Share(1)

    @property
    def needs_folder(self) -> bool:
        """All that it needs is in the items."""
        return False

    def facts(self) -> Facts:
        """Of this machine."""
        return {"value": "correlation", **circumstances(_CODE, _LIBRARIES)}

    def start(self) -> Started[tuple[Keypoints, Keypoints, bool], float]:
        """Nothing to load."""
        return Started({}, lambda pairs: (_correlation(one, other, is_similar=same) for one, other, same in pairs))

    def batches(
        self, items: Sequence[tuple[Keypoints, Keypoints, bool]], num_batches: int
    ) -> Iterator[Sequence[tuple[Keypoints, Keypoints, bool]]]:
        """Of pairs with some 65 KB an image."""
        return in_batches(items, num_batches, at_most=_PAIRS_A_BATCH)


@dataclass(frozen=True)
class _AskedPairs(Sequence[tuple[Keypoints, Keypoints, bool]]):
    """Pairs of rows as pairs of their keypoints, which are read when they are asked for."""

    pairs: Sequence[tuple[list[int], bool]]
    keypoints_of: Callable[[int], Keypoints]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [self[each] for each in range(*at.indices(len(self)))]
        (i, j), is_similar = self.pairs[at]
        return self.keypoints_of(i), self.keypoints_of(j), is_similar


def _correlations(
    pairs: list[tuple[list[int], bool]],
    keypoints_of: Callable[[int], Keypoints],
    sha256: Sequence[str],
    max_gb: float,
    *,
    computation: Computation[tuple[Keypoints, Keypoints, bool], float],
    facts: Facts,
) -> np.ndarray:
    """Of pairs of rows, and whether they are similar."""
    with threadpool_limits(limits=1):  # products this small wait for a second core several times as long as they take
        return compute_once(
            [_id_of_pair(sha256[i], sha256[j], is_similar=is_similar) for (i, j), is_similar in pairs],
            Stream(lambda missing: computation.rows(_AskedPairs([pairs[at] for at in missing], keypoints_of))),
            recipe=facts,
            shape=(),
            dtype="<f8",
            max_gb=max_gb,
            desc="verify candidates",
        )


def _id_of_pair(one: str, other: str, *, is_similar: bool) -> str:
    """For the store. The first is warped onto the second, so their order is part of it."""
    return hashlib.blake2b(f"{one} {other} {is_similar}".encode(), digest_size=16).hexdigest()


def _correlation(one: Keypoints, other: Keypoints, *, is_similar: bool) -> float:
    aligned = correlation(one, other)
    return max(aligned, correlation_unaligned(one, other)) if is_similar else aligned
