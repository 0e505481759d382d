"""From an index and one backbone's features to groups, splits and what is left out.

Three kinds of links join pictures. Near duplicates: features or perceptual hashes within the thresholds, or, among the
nearest by either, pictures whose pixels agree once one is laid over the other (tandem.alignment).
Stems: pictures that Roboflow exported from one source image carry one stem, but a stem is no identity
(uploads called `Image_9` exist in many sets), so a stem joins two pictures only inside one source and class
and only where their pixels agree by the looser hint thresholds. Videos and parents of crops: frames of one
clip and crops of one picture share a scene whatever their pixels say, so they always join.
The first two make copies; all three make groups, and a group never lies in two splits.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from tqdm import tqdm

from tandem.alignment import Sketch, correlation
from tandem.duplicates import Pairs, components, near_pairs, nearest_pairs, unique_pairs
from tandem.errors import DataError
from tandem.files import write_csv
from tandem.hashes import NUM_ORIENTATIONS, as_signs, similarity_of_bits
from tandem.records import Index, Record
from tandem.samples import SPLITS, Sample, Samples
from tandem.splits import require_every_class, split_of

_BY_HASH = 2  # a hash that is not near says little: only its very nearest are looked at
Draw = Callable[..., str]  # splits.split_of with its fractions and seed


@dataclass(frozen=True)
class Nearness:
    """When two pictures show the same. similarity: least cosine of features. hash_bits: most differing bits of 256."""

    similarity: float
    hash_bits: int


@dataclass(frozen=True)
class Aligned:
    """Each picture is laid over the `neighbours` nearest to it; a copy's pixels correlate by `correlation` or more."""

    neighbours: int
    correlation: float


@dataclass(frozen=True)
class Settings:
    """duplicate, aligned: when two pictures are copies. hint: when two pictures of one stem are.

    copies: keep "one" picture of a set of copies (the largest), or all "together" in one split.
    fractions: share of the groups in each split.
    """

    duplicate: Nearness
    aligned: Aligned
    hint: Nearness
    copies: Literal["one", "together"]
    fractions: Mapping[str, float]
    seed: int

    @classmethod
    def from_params(cls, section: Mapping[str, Any]) -> Self:
        """From `curate` of the parameters, without its backbone."""
        values = {key: value for key, value in section.items() if key != "backbone"}
        parts: dict[str, Callable[..., Any]] = {"duplicate": Nearness, "aligned": Aligned, "hint": Nearness}
        return cls(**{**values, **{key: part(**values[key]) for key, part in parts.items()}})


@dataclass(frozen=True)
class Curated:
    """pairs: the near duplicates, by row of the index. counts: flat numbers for the metrics."""

    samples: Samples
    pairs: Pairs
    counts: dict[str, object]


def curate(
    index: Index,
    *,
    x: np.ndarray,
    hashes: np.ndarray,
    sketch_of: Callable[[int], Sketch],
    class_names: Sequence[str],
    settings: Settings,
) -> Curated:
    """Group, choose and split. x: (N, D) features, hashes: (N, 8, 32), sketch_of: row -> Sketch, in the index's order.

    Copies under several classes are all left out. Raises LeakySplit when a class is missing from a split.
    """
    records = index.records
    if not len(records) == len(x) == len(hashes):
        raise DataError(
            f"{len(records)} pictures need as many features and hashes; got {len(x)} and {len(hashes)}; "
            "run the merge and extract stages again"
        )
    near = find_duplicates(x, hashes, nearness=settings.duplicate)
    pairs = with_aligned(near, x, hashes, sketch_of, aligned=settings.aligned)
    stems = _stem_links(records, x, hashes, settings.hint)
    copy_of = _joined(np.arange(len(records)), np.concatenate([_as_links(pairs), stems]))
    group_of = _joined(copy_of, _scene_links(records))
    notes = _notes(records, copy_of, settings.copies)
    draw = partial(split_of, fractions=settings.fractions, seed=settings.seed)
    samples = Samples(tuple(class_names), tuple(_samples(records, group_of, notes, draw)))
    splits = [sample.split for sample in samples.samples]
    require_every_class([record.label for record in records], splits, class_names=class_names)
    found = {"near_duplicate_pairs": len(pairs), "found_by_alignment": len(pairs) - len(near)}
    counts = {**found, "stem_links": len(stems), **_counts(samples, copy_of)}
    return Curated(samples, pairs, {**counts, **leaks_by_file(records, copy_of, draw)})


def save_pairs(curated: Curated, path: Path) -> None:
    """Write the near duplicates as CSV: both ids and the cosine of their features."""
    ids, pairs = curated.samples.ids, curated.pairs
    rows = zip(pairs.first.tolist(), pairs.second.tolist(), pairs.similarity.tolist(), strict=True)
    table = [{"first": ids[i], "second": ids[j], "similarity": similarity} for i, j, similarity in rows]
    write_csv(path, ["first", "second", "similarity"], table)


def find_duplicates(x: np.ndarray, hashes: np.ndarray, *, nearness: Nearness) -> Pairs:
    """All pairs that are near by features or by hash in any orientation; similarity is the cosine of the features."""
    by_features = near_pairs(x, min_similarity=nearness.similarity)
    signs = [as_signs(hashes[:, orientation]) for orientation in range(NUM_ORIENTATIONS)]
    by_hash = near_pairs(signs[0], others=signs[1:], min_similarity=similarity_of_bits(nearness.hash_bits))
    first = np.concatenate([by_features.first, by_hash.first])
    second = np.concatenate([by_features.second, by_hash.second])
    return unique_pairs(first, second, _cosines(x, first, second))


def with_aligned(
    near: Pairs, x: np.ndarray, hashes: np.ndarray, sketch_of: Callable[[int], Sketch], *, aligned: Aligned
) -> Pairs:
    """`near`, and the pairs of nearest pictures, by features or by hash in any orientation, that lie on one another."""
    signs = [as_signs(hashes[:, orientation]) for orientation in range(NUM_ORIENTATIONS)]
    by_hash = nearest_pairs(signs[0], views=signs[1:], k=min(_BY_HASH, aligned.neighbours))
    candidates = np.unique(np.concatenate([nearest_pairs(x, k=aligned.neighbours), by_hash]), axis=0)
    known = set(zip(near.first.tolist(), near.second.tolist(), strict=True))
    found = [
        (i, j)
        for i, j in tqdm(candidates.tolist(), "lay pictures over one another", unit="pair", disable=None)
        if (i, j) not in known and correlation(sketch_of(i), sketch_of(j)) >= aligned.correlation
    ]
    first, second = np.array(found, dtype=np.int64).reshape(-1, 2).T
    similarity = np.concatenate([near.similarity, _cosines(x, first, second)])
    return unique_pairs(np.concatenate([near.first, first]), np.concatenate([near.second, second]), similarity)


def leaks_by_file(records: Sequence[Record], copy_of: np.ndarray, draw: Draw) -> dict[str, object]:
    """What the usual split, by file, would have leaked: pairs of copies apart, and test files with a copy in train."""
    files: dict[int, set[str]] = defaultdict(set)
    for record, copies in zip(records, copy_of.tolist(), strict=True):
        files[copies].update(f"{origin.source}/{origin.path}" for origin in record.origins)
    drawn = [Counter(draw(name) for name in names) for names in files.values()]
    pairs = sum(counts[one] * counts[other] for counts in drawn for one, other in combinations(SPLITS, 2))
    tested = sum(counts["test"] for counts in drawn if counts["train"])
    return {"pairs_leaked_by_file_split": pairs, "test_files_leaked_by_file_split": tested}


def _joined(of: np.ndarray, links: np.ndarray) -> np.ndarray:
    """Components of the components `of` (N,) under further links (L, 2): each row's smallest connected row."""
    rows = np.arange(len(of))
    return components(len(of), first=np.concatenate([of, links[:, 0]]), second=np.concatenate([rows, links[:, 1]]))


def _as_links(pairs: Pairs) -> np.ndarray:
    return np.stack([pairs.first, pairs.second], axis=1)


def _stem_links(records: Sequence[Record], x: np.ndarray, hashes: np.ndarray, hint: Nearness) -> np.ndarray:
    """(L, 2) row pairs that share a stem and agree by their pixels."""
    links = [np.zeros((0, 2), dtype=np.int64)]
    for rows in _sharing(records, "stem:"):
        found = find_duplicates(x[rows], hashes[rows], nearness=hint)
        links.append(np.stack([rows[found.first], rows[found.second]], axis=1))
    return np.concatenate(links)


def _scene_links(records: Sequence[Record]) -> np.ndarray:
    """(L, 2) row pairs that chain the frames of a clip or the crops of a picture."""
    links = [np.zeros((0, 2), dtype=np.int64)]
    links += [np.stack([rows[:-1], rows[1:]], axis=1) for rows in _sharing(records, "video:", "picture:")]
    return np.concatenate(links)


def _sharing(records: Sequence[Record], *kinds: str) -> Iterable[np.ndarray]:
    """Row numbers of the records that share a hint of these kinds, for each hint that two or more have."""
    rows = defaultdict(list)
    for row, record in enumerate(records):
        for hint in record.hints:
            if hint.startswith(kinds):
                rows[hint].append(row)
    return [np.array(shared) for _, shared in sorted(rows.items()) if len(shared) > 1]


def _notes(records: Sequence[Record], copy_of: np.ndarray, copies: str) -> list[str]:
    """Why each record is left out, or ""."""
    members = defaultdict(list)
    for record, first in zip(records, copy_of.tolist(), strict=True):
        members[first].append(record)
    notes = {}
    for group in members.values():
        class_names = sorted({record.label for record in group})
        best = max(group, key=lambda record: (record.width * record.height, record.id))
        for record in group:
            if len(class_names) > 1:
                notes[record.id] = f"conflict: copies are labelled {' and '.join(class_names)}"
            elif copies == "one" and record is not best:
                notes[record.id] = f"copy of {best.id}"
    return [notes.get(record.id, "") for record in records]


def _samples(records: Sequence[Record], group_of: np.ndarray, notes: Sequence[str], draw: Draw) -> Iterable[Sample]:
    # records are sorted by id, so a group's smallest row has its smallest id, which names the group
    for record, first, note in zip(records, group_of.tolist(), notes, strict=True):
        group = records[first].id
        yield Sample(record.id, record.label, record.source, group, "" if note else draw(group), note)


def _counts(samples: Samples, copy_of: np.ndarray) -> dict[str, object]:
    kept = [sample for sample in samples.samples if sample.split]
    by_split = {split: Counter(sample.label for sample in kept if sample.split == split) for split in SPLITS}
    return {
        "pictures": len(samples.samples),
        "used": len(kept),
        "copies_left_out": sum(sample.note.startswith("copy") for sample in samples.samples),
        "conflicts_left_out": sum(sample.note.startswith("conflict") for sample in samples.samples),
        "groups": len({sample.group for sample in samples.samples}),
        "largest_group": max(Counter(sample.group for sample in samples.samples).values()),
        "sets_of_copies": int((np.bincount(copy_of) > 1).sum()),
        "splits": {split: {name: counter[name] for name in samples.class_names} for split, counter in by_split.items()},
    }


def _cosines(x: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    one, other = np.asarray(x[first], dtype=np.float32), np.asarray(x[second], dtype=np.float32)
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.einsum("nd,nd->n", one, other) / np.where(norms > 0, norms, 1)
