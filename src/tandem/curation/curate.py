"""From an index and one backbone's features to groups, splits and what is left out.

Three kinds of links join images. Copies: candidates whose pixels agree (tandem.curation.duplicates.find), and what a person decided.
Stems: images that Roboflow exported from one source image carry one stem, but a stem is no identity
(uploads called `Image_9` exist in many sets), so a stem joins two images only inside one source and class
and only where they are near by the looser hint thresholds. Videos and parents of crops: frames of one
clip and crops of one image share a scene whatever their pixels say, so they always join.
The first two make copies; all three make groups, and a group never lies in two splits.

A person's decisions (tandem.tables.decisions) go before all else. A class or a drop holds for all copies of the image.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from tandem.curation import groups, naive_split
from tandem.curation.duplicates.alignment import Keypoints
from tandem.curation.duplicates.find import (
    ScoredPairs,
    save_pairs,
    similar_pairs,
    verify_candidates,
)
from tandem.curation.duplicates.search import components
from tandem.curation.duplicates.threshold import histogram
from tandem.curation.naive_split import AssignSplit
from tandem.curation.settings import CurateSettings, SimilarityThresholds
from tandem.errors import DataError
from tandem.files import atomic_dir
from tandem.tables.decisions import Decisions
from tandem.tables.index import ImageRecord, Index
from tandem.tables.samples import SPLITS, Sample, Samples, save_samples
from tandem.tables.splits import assign_split, require_every_class

_MAX_GROUPS_LISTED = 20  # groups in the metrics


@dataclass(frozen=True)
class Curated:
    """near_duplicates, rejected: the candidates that are, and those that are not, by row of the index. counts: for the metrics."""

    samples: Samples
    near_duplicates: ScoredPairs
    rejected: ScoredPairs
    counts: dict[str, object]


def curate(
    index: Index,
    *,
    features: np.ndarray,
    hashes: np.ndarray,
    keypoints_of: Callable[[int], Keypoints],
    class_names: Sequence[str],
    settings: CurateSettings,
    decisions: Decisions,
) -> Curated:
    """Group, choose and split. features: (N, D), hashes: (N, 8, 32), sketch_of: row -> Sketch, in the index's order.

    Copies under several classes are all left out. Raises LeakySplit when a class is missing from a split.
    """
    num_images, records = len(index.records), index.records
    if not num_images == len(features) == len(hashes):
        raise DataError(
            f"{num_images} images need as many features and hashes; got {len(features)} and {len(hashes)}; "
            "run the merge and extract stages again"
        )
    row_of = {id_: row for row, id_ in enumerate(index.ids)}
    not_duplicates = _pairs_of(decisions.not_duplicates, row_of)
    scored = verify_candidates(features, hashes, keypoints_of, candidates=settings.candidates)
    is_rejected = (scored.correlation < settings.min_correlation) | _is_among(
        scored.pairs.rows, not_duplicates, num_images
    )
    near_duplicates, rejected = scored.where(~is_rejected), scored.where(is_rejected)
    same_stem = _same_stem_pairs(records, features, hashes, settings.same_stem)
    same_stem = same_stem[~_is_among(same_stem, not_duplicates, num_images)]
    links = np.concatenate([near_duplicates.pairs.rows, same_stem, _pairs_of(decisions.duplicates, row_of)])
    strengths = np.concatenate([near_duplicates.correlation, np.ones(len(links) - len(near_duplicates.correlation))])
    duplicate_of = _merge_components(np.arange(num_images), links)
    group_of = _merge_components(duplicate_of, _same_scene_pairs(records))
    records = tuple(_relabeled(records, duplicate_of, decisions.labels))
    reasons = _exclusion_reasons(records, duplicate_of, settings.duplicates, decisions)
    assign = partial(assign_split, fractions=settings.fractions.by_split(), seed=settings.seed)
    samples = Samples.of(class_names, _samples(records, group_of, reasons, assign))
    labels, splits = samples.labels.tolist(), samples.splits.tolist()
    require_every_class(labels, splits, class_names=class_names)
    to_review = groups.oversized_or_mixed(duplicate_of, links, strengths, labels)[:_MAX_GROUPS_LISTED]
    counts = {
        "candidate_pairs": len(scored.correlation),
        "near_duplicate_pairs": len(near_duplicates.correlation),
        "same_stem_pairs": len(same_stem),
        **_counts(samples, duplicate_of),
        "groups_to_review": [_as_dict(group, index.ids) for group in to_review],
        **naive_split.leaked_pairs(records, duplicate_of, assign),
        "accuracy": naive_split.accuracy_by_split(records, samples, features, assign),
        "decisions": decisions.counts(index.ids),
    }
    return Curated(samples, near_duplicates, rejected, counts)


def curate_summary(curated: Curated, similarities: np.ndarray, brain: Mapping[str, int]) -> dict[str, object]:
    """For the metrics. similarities: (n,) each image's highest cosine to another split. brain: FiftyOne's counts."""
    return {
        **curated.counts,
        "max_cross_split_similarity": float(similarities.max(initial=-1)),
        "cross_split_similarities": histogram(similarities),
        "brain": dict(brain),
    }


def save_curated(curated: Curated, folder: Path) -> None:
    """Write `folder`, whole or not at all: samples, near_duplicates.csv and rejected_pairs.csv (the other candidates)."""
    with atomic_dir(folder) as temporary:
        save_samples(curated.samples, temporary)
        save_pairs(curated.near_duplicates, curated.samples.ids, temporary / "near_duplicates.csv")
        save_pairs(curated.rejected, curated.samples.ids, temporary / "rejected_pairs.csv")


def _merge_components(of: np.ndarray, links: np.ndarray) -> np.ndarray:
    """Components of the components `of` (N,) under further links (L, 2): each row's smallest connected row."""
    rows = np.arange(len(of))
    return components(len(of), first=np.concatenate([of, links[:, 0]]), second=np.concatenate([rows, links[:, 1]]))


def _same_stem_pairs(
    records: Sequence[ImageRecord], x: np.ndarray, hashes: np.ndarray, thresholds: SimilarityThresholds
) -> np.ndarray:
    """(L, 2) row pairs that share a stem and agree by their pixels."""
    links = [np.zeros((0, 2), dtype=np.int64)]
    for rows in _rows_sharing(records, "stem:"):
        links.append(rows[similar_pairs(x[rows], hashes[rows], thresholds=thresholds).rows])
    return np.concatenate(links)


def _same_scene_pairs(records: Sequence[ImageRecord]) -> np.ndarray:
    """(L, 2) row pairs that chain the frames of a clip or the crops of an image."""
    links = [np.zeros((0, 2), dtype=np.int64)]
    links += [np.stack([rows[:-1], rows[1:]], axis=1) for rows in _rows_sharing(records, "video:", "image:")]
    return np.concatenate(links)


def _rows_sharing(records: Sequence[ImageRecord], *kinds: str) -> Iterable[np.ndarray]:
    """Row numbers of the records that share a hint of these kinds, for each hint that two or more have."""
    rows = defaultdict(list)
    for row, record in enumerate(records):
        for hint in record.provenance_keys:
            if hint.startswith(kinds):
                rows[hint].append(row)
    return [np.array(shared) for _, shared in sorted(rows.items()) if len(shared) > 1]


def _relabeled(
    records: Sequence[ImageRecord], duplicate_of: np.ndarray, labels: Mapping[str, str]
) -> list[ImageRecord]:
    """The records with the classes that a person gave; one that was given to an image holds for all its copies."""
    decided = defaultdict(set)
    for record, first in zip(records, duplicate_of.tolist(), strict=True):
        if record.id in labels:
            decided[first].add(labels[record.id])
    return [
        replace(
            record, label=labels.get(record.id) or (min(named) if len(named := decided[first]) == 1 else record.label)
        )
        for record, first in zip(records, duplicate_of.tolist(), strict=True)
    ]


def _exclusion_reasons(
    records: Sequence[ImageRecord], duplicate_of: np.ndarray, duplicates: str, decisions: Decisions
) -> list[str]:
    """Why each record is left out, or ""."""
    notes = {}
    members = defaultdict(list)
    for record, first in zip(records, duplicate_of.tolist(), strict=True):
        members[first].append(record)
    for group in members.values():
        dropped = [decisions.drops[record.id] for record in group if record.id in decisions.drops]
        kept = [record for record in group if record.id in decisions.kept]
        class_names = sorted({record.label for record in kept or group})
        best = max(kept or group, key=lambda record: (record.width * record.height, record.id))
        for record in group:
            if record in kept:
                continue
            if dropped:
                notes[record.id] = f"dropped: {dropped[0]}"
            elif len(class_names) > 1 or record.label not in class_names:
                notes[record.id] = (
                    f"conflict: near duplicates are labelled {' and '.join(sorted({r.label for r in group}))}"
                )
            elif duplicates == "keep_one" and record is not best:
                notes[record.id] = f"duplicate of {best.id}"
    return [notes.get(record.id, "") for record in records]


def _samples(
    records: Sequence[ImageRecord], group_of: np.ndarray, notes: Sequence[str], draw: AssignSplit
) -> Iterable[Sample]:
    # records are sorted by id, so a group's smallest row has its smallest id, which names the group
    for record, first, note in zip(records, group_of.tolist(), notes, strict=True):
        group = records[first].id
        yield Sample(record.id, record.label, record.source, group, "" if note else draw(group), note)


def _as_dict(group: groups.Group, ids: Sequence[str]) -> dict[str, object]:
    """For the metrics: with ids, as a decision ("not_copy") needs them."""
    return {**asdict(group), "weakest": [ids[row] for row in group.weakest]}


def _counts(samples: Samples, duplicate_of: np.ndarray) -> dict[str, object]:
    classes, sources = (
        {split: Counter(column[samples.splits == split].tolist()) for split in SPLITS}
        for column in (samples.labels, samples.sources)
    )
    source_names = sorted(set(samples.sources.tolist()))
    group_sizes = np.unique(samples.groups, return_counts=True)[1]
    return {
        "images": len(samples),
        "used": int((samples.splits != "").sum()),
        "duplicates_excluded": int(np.char.startswith(samples.exclusion_reasons, "duplicate").sum()),
        "conflicts_excluded": int(np.char.startswith(samples.exclusion_reasons, "conflict").sum()),
        "groups": len(group_sizes),
        "largest_group": int(group_sizes.max()),
        "duplicate_sets": int((np.bincount(duplicate_of) > 1).sum()),
        "splits": {split: {name: counts[name] for name in samples.class_names} for split, counts in classes.items()},
        "sources": {split: {name: counts[name] for name in source_names} for split, counts in sources.items()},
    }


def _pairs_of(pairs: Collection[tuple[str, str]], row_of: Mapping[str, int]) -> np.ndarray:
    """(L, 2) rows of pairs of ids, smaller first, sorted; pairs of which one image is gone are left out."""
    rows = [sorted((row_of[one], row_of[other])) for one, other in pairs if one in row_of and other in row_of]
    return np.array(sorted(rows), dtype=np.int64).reshape(-1, 2)


def _is_among(links: np.ndarray, others: np.ndarray, num_rows: int) -> np.ndarray:
    """(L,) whether each of links (L, 2) is one of others; both hold the smaller row first."""
    return np.isin(links[:, 0] * num_rows + links[:, 1], others[:, 0] * num_rows + others[:, 1])
