"""The leakage check: no image has a near duplicate in another split.

It shares no code with what found the near duplicates and made the splits (`tandem.curation.duplicates`, .links,
.groups, `tandem.tables.splits`): distances come from scikit-learn in float64 and bits are counted with XOR, so that a
mistake there is seen here. What must lie in one split: what curation linked, what a person called duplicates, the
crops of an image, the frames of a video and the images of a burst where curate.bursts binds them, and all that is
similar. Images of different things can be similar: such a
pair is excused where it was verified and rejected, if a second measure agrees (.disputed), or where a person said so;
images of one stem, which need no verification, where a person said so alone.

Of more than COMPARED_TO images those pairs alone are compared that methods of its own bring together (.across), and the
search may have missed a few of them: these are judged by the second measure, too. Where they are more than the search's
recall explains, or one is as near as a copy, the check fails.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np

from tandem.curation.across.bit_keys import near_hashes
from tandem.curation.across.buckets import near_cosines
from tandem.curation.across.exact import Similar, compare_all, cosine_reason, hash_reason
from tandem.curation.disputed import Disputed, find_disputed, require_undisputed
from tandem.curation.settings import BurstSettings, CurateSettings, SimilarityThresholds
from tandem.errors import LeakageError
from tandem.tables.captures import CAPTURED, FIRST_YEAR, MAX_A_SECOND
from tandem.tables.decisions import Decisions
from tandem.tables.index import Index

COMPARED_TO = 25_000  # images in splits, all of which are compared
_MAX_MISSED, _MISSED_FRACTION = 3, 0.05  # similar pairs that an approximate search may have missed
_SCENES = ("video:", "image:")
_CROPS = _SCENES[1:]

_Leak = tuple[int, int, str]  # two rows and why they must lie in one split
_Leaks = Iterable[_Leak]


@dataclass(frozen=True, eq=False)
class LeakReport:
    """similarities: (n,) each image's highest cosine to one of another split, in the order of the splits' rows.

    -1 where other splits are empty. disputed: pairs in two splits that verification and the second measure judge
    differently. num_missed: similar pairs in two splits that the approximate search did not find; None where it is
    exact.
    """

    similarities: np.ndarray
    disputed: Disputed
    num_missed: int | None = None


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
    _require_none(_joined(index, split_of, linked, duplicates, settings.bursts), index, split_of)

    decided = _keys(not_duplicates)
    is_exact = sum(map(len, rows.values())) <= COMPARED_TO
    find_similar = compare_all if is_exact else _compare_near
    similar, similarities = find_similar(features, hashes, rows, settings.candidates.thresholds)
    unknown = list(_unless(similar, np.concatenate([_keys(rejected), decided])))
    if is_exact or len(unknown) > max(_MAX_MISSED, _MISSED_FRACTION * (len(linked) + len(similar))):
        _require_none(unknown, index, split_of)
    stem_mates = list(_similar_stem_mates(index, features, hashes, split_of, settings.same_stem))
    _require_none(_unless(stem_mates, decided), index, split_of)

    excused = rejected[_is_across(rejected, split_of) & ~np.isin(_keys(rejected), decided)]
    missed = np.unique(np.array([pair[:2] for pair in unknown], dtype=np.int64).reshape(-1, 2), axis=0)
    judged = np.concatenate([excused, missed]) if len(missed) else excused
    disputed = find_disputed(
        judged,
        features=features,
        hashes=hashes,
        thumbnails_of=thumbnails_of,
        min_similarity=settings.candidates.min_similarity,
    )
    require_undisputed(disputed, index.ids)
    return LeakReport(similarities, disputed, None if is_exact else len(missed))


def _joined(
    index: Index, split_of: np.ndarray, linked: np.ndarray, duplicates: np.ndarray, bursts: BurstSettings
) -> Iterator[_Leak]:
    """What must lie in one split whatever it looks like. linked, duplicates: pairs of rows."""
    yield from ((i, j, "curation linked them") for i, j in linked.tolist())
    yield from ((i, j, "a decision joins them") for i, j in duplicates.tolist())
    yield from _scene_mates(index, split_of, _SCENES if bursts.by_name else _CROPS)
    if bursts.within_seconds is not None:
        yield from _taken_together(index, split_of, bursts.within_seconds)


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


def _scene_mates(index: Index, split_of: np.ndarray, kinds: tuple[str, ...]) -> _Leaks:
    for key, (first, *others) in _mates(index, split_of, kinds):
        yield from ((first, other, f"both are of {key}") for other in others)


def _taken_together(index: Index, split_of: np.ndarray, within_seconds: float) -> _Leaks:
    """Pairs in two splits that one camera took within so many seconds; of more than two images some of the pairs.

    Where any two images lie so near, so do two that follow each other in time and lie in two splits.
    """
    for taken in _believed_times(index).values():
        for (before, i), (after, j) in pairwise((time, row) for time, row in sorted(taken) if split_of[row]):
            if (after - before).total_seconds() <= within_seconds:
                yield i, j, f"one camera took both within {within_seconds:g} s"


def _believed_times(index: Index) -> dict[tuple[str, bool], list[tuple[datetime, int]]]:
    """Camera, and whether its times state an offset -> when it took which rows; without times that cannot be."""
    taken = defaultdict(list)
    for row, keys in enumerate(index.provenance_keys):
        for key in keys:
            if key.startswith(CAPTURED):
                text, camera = key[len(CAPTURED) :].split(" ", maxsplit=1)
                time = datetime.fromisoformat(text)
                taken[camera, time.utcoffset() is not None].append((time, row))
    for of_camera in taken.values():
        crowd = Counter(time.replace(microsecond=0) for time, _ in of_camera)
        of_camera[:] = [
            (time, row)
            for time, row in of_camera
            if time.year >= FIRST_YEAR
            and f"{time:%m-%d %H:%M:%S}" != "01-01 00:00:00"
            and crowd[time.replace(microsecond=0)] <= MAX_A_SECOND
        ]
    return taken


def _similar_stem_mates(
    index: Index, features: np.ndarray, hashes: np.ndarray, split_of: np.ndarray, limits: SimilarityThresholds
) -> _Leaks:
    """Pairs in two splits that share a stem and are similar by the looser limits."""
    for key, members in _mates(index, split_of, ("stem:",)):
        splits = split_of[members]
        rows = {split: np.array(members)[splits == split] for split in sorted(set(splits))}
        found, _ = compare_all(features, hashes, rows, limits)
        yield from ((i, j, f"both are of {key}, {reason}") for i, j, reason in found)


def _compare_near(
    features: np.ndarray, hashes: np.ndarray, rows: Mapping[str, np.ndarray], limits: SimilarityThresholds
) -> tuple[Similar, np.ndarray]:
    """As compare_all, of the pairs alone that lie near to one center or have equal bits."""
    by_hash, distances = near_hashes(hashes, rows, limits.max_hash_distance)
    by_features, cosines, highest = near_cosines(features, rows, limits.min_similarity)
    found = [(i, j, hash_reason(n, limits)) for (i, j), n in zip(by_hash.tolist(), distances.tolist(), strict=True)]
    for (i, j), cosine in zip(by_features.tolist(), cosines.tolist(), strict=True):
        found.append((i, j, cosine_reason(cosine, limits)))
    return found, highest
