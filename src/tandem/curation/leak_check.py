"""The leakage check: no image has a near duplicate in another split.

It shares no code with what found the near duplicates and made the splits (`tandem.curation.duplicates`, .links,
.groups, `tandem.tables.splits`): distances come from scikit-learn in float64 and bits are counted with XOR, so that a
mistake there is seen here. What must lie in one split: what curation linked, what a person called duplicates, the
frames of a video and the crops of an image, and all that is similar. Images of different things can be similar: such a
pair is excused where it was verified and rejected, if a second measure agrees (.disputed), or where a person said so;
images of one stem, which need no verification, where a person said so alone.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from sklearn.metrics import pairwise_distances_chunked

from tandem.curation.disputed import Disputed, find_disputed, require_undisputed
from tandem.curation.settings import CurateSettings, SimilarityThresholds
from tandem.errors import LeakageError
from tandem.tables.decisions import Decisions
from tandem.tables.index import Index

_ROUNDING = 1e-12  # of float64: equal features may lie this far apart
_MIN_SET_BITS = 96  # a flat image's hash means nothing; see tandem.images.hashing
_BLOCK = 256
_WORKING_MB = 64  # of distances at a time; scikit-learn's own 1024 takes as long
_SCENES = ("video:", "image:")

_Leaks = Iterable[tuple[int, int, str]]  # two rows and why they must lie in one split


@dataclass(frozen=True, eq=False)
class LeakReport:
    """similarities: (n,) each image's highest cosine to one of another split, in the order of the splits' rows.

    -1 where other splits are empty. disputed: pairs in two splits that verification and the second measure judge
    differently.
    """

    similarities: np.ndarray
    disputed: Disputed


def check_leakage(
    index: Index,
    rows: Mapping[str, np.ndarray],
    *,
    features: np.ndarray,
    hashes: np.ndarray,
    linked: np.ndarray,
    rejected: np.ndarray,
    decisions: Decisions,
    thumbnails_of: Callable[[Sequence[int]], np.ndarray],
    settings: CurateSettings,
) -> LeakReport:
    """What is similar across splits; raises LeakageError where a pair lies in two splits that must not.

    rows: split -> row numbers. features: (N, D). hashes: (N, 8, 32) packed bits; the first of the eight is of the
    upright image. linked: (L, 2) rows that curation joined. rejected: (R, 2) rows, smaller first, that were verified
    and show different things. thumbnails_of: n rows -> (n, 16, 16), as of thumbnails_reader.
    """
    split_of = np.full(len(index), "", dtype=object)
    for split, numbers in rows.items():
        split_of[numbers] = split
    duplicates, not_duplicates = (_rows_of(pairs, index) for pairs in (decisions.duplicates, decisions.not_duplicates))
    joined = [
        *((i, j, "curation linked them") for i, j in linked.tolist()),
        *((i, j, "a decision joins them") for i, j in duplicates.tolist()),
        *_scene_mates(index, split_of),
    ]
    _require_none(joined, index, split_of)

    decided = _keys(not_duplicates)
    similar, similarities = _similar(features, hashes, rows, settings.candidates.thresholds)
    _require_none(_unless(similar, np.concatenate([_keys(rejected), decided])), index, split_of)
    stem_mates = list(_similar_stem_mates(index, features, hashes, split_of, settings.same_stem))
    _require_none(_unless(stem_mates, decided), index, split_of)

    judged = rejected[_is_across(rejected, split_of) & ~np.isin(_keys(rejected), decided)]
    disputed = find_disputed(
        judged,
        features=features,
        hashes=hashes,
        thumbnails_of=thumbnails_of,
        min_similarity=settings.candidates.min_similarity,
    )
    require_undisputed(disputed, index.ids)
    return LeakReport(similarities, disputed)


def _require_none(pairs: _Leaks, index: Index, split_of: np.ndarray) -> None:
    """Raise LeakageError where one of the pairs lies in two splits; images in no split do not count."""
    leaks = {
        (min(i, j), max(i, j)): reason
        for i, j, reason in pairs
        if split_of[i] and split_of[j] and split_of[i] != split_of[j]
    }
    if leaks:
        (i, j), reason = next(iter(leaks.items()))
        raise LeakageError(
            f"{len(leaks)} pairs of near duplicates lie in two splits; the first: {index.ids[i]} in {split_of[i]} and "
            f"{index.ids[j]} in {split_of[j]} ({reason}). The groups do not hold what they must: run curate again, and "
            "report this if it stays"
        )


def _unless(pairs: list[tuple[int, int, str]], excused: np.ndarray) -> _Leaks:
    """Those of the pairs whose keys are not among these (K,)."""
    rows = np.array([pair[:2] for pair in pairs], dtype=np.int64).reshape(-1, 2)
    return (pair for pair, is_excused in zip(pairs, np.isin(_keys(rows), excused), strict=True) if not is_excused)


def _is_across(pairs: np.ndarray, split_of: np.ndarray) -> np.ndarray:
    """(P,) bool: whether pairs of rows (P, 2) lie in two splits."""
    one, other = split_of[pairs[:, 0]], split_of[pairs[:, 1]]
    return (one != "") & (other != "") & (one != other)


def _keys(pairs: np.ndarray) -> np.ndarray:
    """(P,) one number for each pair of rows (P, 2), whichever stands first."""
    return pairs.min(axis=1) * 2**32 + pairs.max(axis=1)


def _rows_of(pairs: Collection[tuple[str, str]], index: Index) -> np.ndarray:
    """(P, 2) rows of pairs of ids; without those of which an image is gone."""
    places = {id_: row for row, id_ in enumerate(index.ids)}
    present = [(places[one], places[other]) for one, other in pairs if one in places and other in places]
    return np.array(present, dtype=np.int64).reshape(-1, 2)


def _mates(index: Index, split_of: np.ndarray, kinds: tuple[str, ...]) -> Iterator[tuple[str, list[int]]]:
    """Each provenance key of these kinds that images of two splits share, and the rows of its images in splits."""
    sharing = defaultdict(list)
    for row in np.flatnonzero(split_of != "").tolist():
        for key in index.provenance_keys[row]:
            if key.startswith(kinds):
                sharing[key].append(row)
    for key, members in sharing.items():
        if len({split_of[row] for row in members}) > 1:
            yield key, members


def _scene_mates(index: Index, split_of: np.ndarray) -> _Leaks:
    for key, (first, *others) in _mates(index, split_of, _SCENES):
        yield from ((first, other, f"both are of {key}") for other in others)


def _similar_stem_mates(
    index: Index, features: np.ndarray, hashes: np.ndarray, split_of: np.ndarray, limits: SimilarityThresholds
) -> _Leaks:
    """Pairs in two splits that share a stem and are similar by the looser limits."""
    for key, members in _mates(index, split_of, ("stem:",)):
        splits = split_of[members]
        rows = {split: np.array(members)[splits == split] for split in sorted(set(splits))}
        found, _ = _similar(features, hashes, rows, limits)
        yield from ((i, j, f"both are of {key}, {reason}") for i, j, reason in found)


def _similar(
    features: np.ndarray, hashes: np.ndarray, rows: Mapping[str, np.ndarray], limits: SimilarityThresholds
) -> tuple[list[tuple[int, int, str]], np.ndarray]:
    """All pairs in two splits that are similar, and each image's highest cosine to another split."""
    highest = {split: np.full(len(numbers), -1.0) for split, numbers in rows.items()}
    found = []
    for one, other in combinations(rows, 2):
        for i, j, distance in _similar_hashes(hashes, rows[one], rows[other], limits.max_hash_distance):
            found.append((i, j, f"hash distance {distance} of 256 <= {limits.max_hash_distance}"))
        for start, cosines in _cosines(features[rows[one]], features[rows[other]]):
            part = slice(start, start + len(cosines))
            highest[one][part] = np.maximum(highest[one][part], cosines.max(axis=1))
            highest[other] = np.maximum(highest[other], cosines.max(axis=0))
            for i, j in np.argwhere(cosines >= limits.min_similarity - _ROUNDING).tolist():
                reason = f"cosine {cosines[i, j]:.4f} >= {limits.min_similarity}"
                found.append((int(rows[one][start + i]), int(rows[other][j]), reason))
    return found, np.concatenate(list(highest.values()))


def _cosines(one: np.ndarray, other: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """First row and cosines (b, n) of blocks of rows of features (m, D) with all of the others (n, D)."""
    if len(one) and len(other):
        start = 0
        double = one.astype(np.float64), other.astype(np.float64)
        for distances in pairwise_distances_chunked(*double, metric="cosine", working_memory=_WORKING_MB):
            yield start, 1 - distances
            start += len(distances)


def _similar_hashes(
    hashes: np.ndarray, one: np.ndarray, other: np.ndarray, max_hash_distance: int
) -> list[tuple[int, int, int]]:
    """(row, row, distance) of all pairs whose upright hash differs little from any orientation of the other's."""
    found: list[tuple[int, int, int]] = []
    hashes = np.ascontiguousarray(hashes).view(np.uint64)  # eight bytes at a time: (N, 8, 4)
    usable = np.bitwise_count(hashes).sum(axis=2) >= _MIN_SET_BITS
    one = one[usable[one, 0]]
    for orientation in range(hashes.shape[1]):
        turned = other[usable[other, orientation]]
        for start in range(0, len(one), _BLOCK):
            part = one[start : start + _BLOCK]
            distances = np.bitwise_count(hashes[part, 0][:, None] ^ hashes[turned, orientation]).sum(axis=2)
            i, j = np.nonzero(distances <= max_hash_distance)
            found += zip(part[i].tolist(), turned[j].tolist(), distances[i, j].tolist(), strict=True)
    return found
