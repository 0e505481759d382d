"""What the metrics say of the curation: counts, groups to review, and what a random split would have leaked."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial

import numpy as np

from tandem.curation.bursts import bound_in_words, burst_counts
from tandem.curation.curate import Curated, CurateInputs
from tandem.curation.exclusion import CONFLICT, DUPLICATE
from tandem.curation.groups import GroupToReview, oversized_or_mixed
from tandem.curation.histogram import similarity_histogram
from tandem.curation.leak_check import LeakReport
from tandem.curation.naive_split import AssignSplit, accuracy_by_split, leaked_pairs
from tandem.curation.settings import CurateSettings
from tandem.tables.samples import SPLITS, Samples
from tandem.tables.splits import assign_split

_MAX_GROUPS_LISTED = 20


def curate_summary(
    inputs: CurateInputs,
    curated: Curated,
    settings: CurateSettings,
    *,
    leaks: LeakReport,
    brain: Mapping[str, int],
) -> dict[str, object]:
    """For the metrics. leaks: what is similar across splits. brain: FiftyOne's counts."""
    samples = curated.samples
    assign = partial(assign_split, fractions=settings.fractions.by_split(), seed=settings.seed)
    unbound = _unbound_splits(curated, assign)
    return {
        "candidate_pairs": len(curated.near_duplicates) + len(curated.rejected),
        "near_duplicate_pairs": len(curated.near_duplicates),
        "same_stem_pairs": len(curated.same_stem),
        **_image_counts(samples),
        **_group_counts(samples, curated.duplicate_set_of),
        "splits": _counts_by_split(samples, samples.labels, samples.class_names),
        "sources": _counts_by_split(samples, samples.sources, sorted(set(samples.sources.tolist()))),
        "bursts": burst_counts(curated.bound, splits=samples.splits, unbound_splits=unbound),
        "groups_to_review": _groups_to_review(curated),
        **leaked_pairs(inputs.index, curated.duplicate_set_of, assign),
        "accuracy": accuracy_by_split(inputs.index, samples, inputs.features, assign, unbound_splits=unbound),
        "decisions": inputs.decisions.counts(samples.ids),
        "max_cross_split_similarity": float(leaks.similarities.max(initial=-1)),
        "cross_split_similarities": similarity_histogram(leaks.similarities),
        "rejected_pairs_across_splits": leaks.disputed.num_judged,
        "disputed_pairs": len(leaks.disputed),
        "brain": dict(brain),
        **({} if leaks.num_missed is None else {"similar_pairs_missed_by_search": leaks.num_missed}),
    }


def curated_in_words(curated: Curated) -> str:
    """How much was found and is used, and what is kept together besides near duplicates."""
    splits = curated.samples.splits
    counts = f"{len(curated.near_duplicates)} near-duplicate pairs, {(splits != '').sum()} images used"
    return "; ".join(filter(None, [counts, bound_in_words(curated.bound, splits=splits)]))


def _unbound_splits(curated: Curated, assign: AssignSplit) -> np.ndarray:
    """(N,) the split of each image that is used, were near duplicates and crops alone kept together."""
    ids, groups = curated.samples.ids, curated.bound.unbound.tolist()
    splits = curated.samples.splits.tolist()
    return np.array([split and assign(ids[group]) for split, group in zip(splits, groups, strict=True)], dtype=np.str_)


def _image_counts(samples: Samples) -> dict[str, int]:
    reasons = samples.exclusion_reasons
    return {
        "images": len(samples),
        "used": int((samples.splits != "").sum()),
        "duplicates_excluded": int(np.char.startswith(reasons, DUPLICATE).sum()),
        "conflicts_excluded": int(np.char.startswith(reasons, CONFLICT).sum()),
    }


def _group_counts(samples: Samples, duplicate_set_of: np.ndarray) -> dict[str, int]:
    sizes = np.unique(samples.groups, return_counts=True)[1]
    return {
        "groups": len(sizes),
        "largest_group": int(sizes.max()),
        "duplicate_sets": int((np.bincount(duplicate_set_of) > 1).sum()),
    }


def _counts_by_split(samples: Samples, column: np.ndarray, names: Sequence[str]) -> dict[str, dict[str, int]]:
    """Split -> name -> how many of its images have this name in the column (N,)."""
    counts = {split: Counter(column[samples.splits == split].tolist()) for split in SPLITS}
    return {split: {name: counts[split][name] for name in names} for split in SPLITS}


def _groups_to_review(curated: Curated) -> list[dict[str, object]]:
    links, labels = curated.links, curated.samples.labels.tolist()
    found = oversized_or_mixed(curated.duplicate_set_of, links.rows, strengths=links.correlation, labels=labels)
    return [_as_dict(group, curated.samples.ids) for group in found[:_MAX_GROUPS_LISTED]]


def _as_dict(group: GroupToReview, ids: Sequence[str]) -> dict[str, object]:
    """With ids in place of rows, as a decision ("not_duplicate") needs them."""
    return {**asdict(group), "weakest": [ids[row] for row in group.weakest]}
