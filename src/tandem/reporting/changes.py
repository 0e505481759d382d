"""What changed between two versions of the data: images, groups, and the scores of the selected models.

Images are the same where their ids are: hashes of their pixels. Of files nothing is read here.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from tandem.errors import DataError
from tandem.evaluation.bootstrap import Difference, Interval, paired_difference, score_intervals
from tandem.evaluation.metrics import Predictions, predict
from tandem.tables.index import Excluded, Index
from tandem.tables.samples import Samples

ChangeKind = Literal["added", "removed", "relabelled", "moved", "excluded", "used_again"]
CHANGE_KINDS: tuple[ChangeKind, ...] = ("added", "removed", "relabelled", "moved", "excluded", "used_again")


@dataclass(frozen=True, eq=False)
class DataVersion:
    """One version of the data: index and samples of the same images, and what merging excluded."""

    index: Index
    samples: Samples
    excluded: Sequence[Excluded] = ()

    def __post_init__(self) -> None:
        if self.index.ids != self.samples.ids:
            raise DataError("the images that were curated are others than those that were merged; run `dvc repro`")


class ImageChange(NamedTuple):
    """What happened to one image, or to a file that merging excludes, which has no id.

    before, after: classes of an image that is added, removed or relabelled; splits of one that moved or is used again;
    after: why one was removed or is excluded, "" where its file is gone.
    """

    kind: ChangeKind
    id: str
    source: str
    file: str
    before: str
    after: str


class GroupChange(NamedTuple):
    """Groups of one version whose common images are in one group of the other. name: of that one group."""

    name: str
    others: tuple[str, ...]


@dataclass(frozen=True)
class Changes:
    """images: in the order of CHANGE_KINDS, then of ids. merged: of groups now, others then. split: of groups then."""

    images: tuple[ImageChange, ...]
    merged: tuple[GroupChange, ...]
    split: tuple[GroupChange, ...]

    def counts(self) -> dict[ChangeKind, int]:
        """ChangeKind -> number of images."""
        found = Counter(each.kind for each in self.images)
        return {kind: found[kind] for kind in CHANGE_KINDS}

    def counts_by_source(self) -> dict[str, dict[ChangeKind, int]]:
        """Source -> kind -> number; sources in which something changed, sorted."""
        found = defaultdict[str, Counter[ChangeKind]](Counter)
        for each in self.images:
            found[each.source][each.kind] += 1
        return {source: {kind: found[source][kind] for kind in CHANGE_KINDS} for source in sorted(found)}


def changes_between(before: DataVersion, after: DataVersion) -> Changes:
    """What happened to every image from one version to the other."""
    found = [*_gone_and_new(before, after), *_changed(before, after), *_newly_excluded_files(before, after)]
    then, now = _groups_of_common(before.samples, after.samples)
    return Changes(
        images=tuple(sorted(found, key=lambda each: (CHANGE_KINDS.index(each.kind), each.id, each.file))),
        merged=_joined(now, then),
        split=_joined(then, now),
    )


def _gone_and_new(before: DataVersion, after: DataVersion) -> Iterator[ImageChange]:
    then, now = set(before.samples.ids), set(after.samples.ids)
    reasons = {(each.source, each.path): each.reason for each in after.excluded}
    for version, others, kind in ((before, now, "removed"), (after, then, "added")):
        labels, sources = version.samples.labels, version.samples.sources
        for row, (id_, origins) in enumerate(zip(version.index.ids, version.index.origins, strict=True)):
            if id_ in others:
                continue
            label, source, file = str(labels[row]), str(sources[row]), origins[0].path
            if kind == "added":
                yield ImageChange("added", id_, source, file, "", label)
            else:
                yield ImageChange("removed", id_, source, file, label, reasons.get((source, file), ""))


def _changed(before: DataVersion, after: DataVersion) -> Iterator[ImageChange]:
    """Of images that both versions have."""
    rows = {id_: row for row, id_ in enumerate(before.samples.ids)}
    then, now = before.samples, after.samples
    for row, id_ in enumerate(now.ids):
        if id_ not in rows:
            continue
        earlier, about = rows[id_], (id_, str(now.sources[row]), after.index.origins[row][0].path)
        if then.labels[earlier] != now.labels[row]:
            yield ImageChange("relabelled", *about, str(then.labels[earlier]), str(now.labels[row]))
        was, is_ = str(then.splits[earlier]), str(now.splits[row])
        if was and not is_:
            yield ImageChange("excluded", *about, was, str(now.exclusion_reasons[row]))
        elif is_ and not was:
            yield ImageChange("used_again", *about, str(then.exclusion_reasons[earlier]), is_)
        elif was != is_:
            yield ImageChange("moved", *about, was, is_)


def _newly_excluded_files(before: DataVersion, after: DataVersion) -> Iterator[ImageChange]:
    """What merging excludes and did not; files whose image is counted as removed have their reason there."""
    known = {(each.source, each.path) for each in before.excluded}
    known |= {(origins[0].source, origins[0].path) for origins in before.index.origins}
    for each in after.excluded:
        if (each.source, each.path) not in known:
            yield ImageChange("excluded", "", each.source, each.path, "", each.reason)


def _groups_of_common(before: Samples, after: Samples) -> tuple[dict[str, str], dict[str, str]]:
    """Id -> group, then and now, of the images that both have."""
    then = dict(zip(before.ids, before.groups.tolist(), strict=True))
    now = dict(zip(after.ids, after.groups.tolist(), strict=True))
    common = then.keys() & now.keys()
    return {id_: then[id_] for id_ in common}, {id_: now[id_] for id_ in common}


def _joined(whole: Mapping[str, str], parts: Mapping[str, str]) -> tuple[GroupChange, ...]:
    """The groups of one version whose images lie in several groups of the other. Arguments: id -> group."""
    found = defaultdict[str, set[str]](set)
    for id_, group in whole.items():
        found[group].add(parts[id_])
    return tuple(GroupChange(name, tuple(sorted(found[name]))) for name in sorted(found) if len(found[name]) > 1)


# --- scores


@dataclass(frozen=True, eq=False)
class ScoredModel:
    """The selected model of a version. logits: (N, C) of its samples."""

    name: str
    samples: Samples
    logits: np.ndarray


@dataclass(frozen=True)
class ScoreChange:
    """paired: now less then, on the `common` images that both test, with their classes of now; none without any.

    before, after: on all images of each version's own test split, `images_before` and `images_after` of them.
    """

    models: tuple[str, str]
    common: int
    paired: Mapping[str, Difference]
    on_common: tuple[Mapping[str, Interval], Mapping[str, Interval]]
    images_before: int
    images_after: int
    before: Mapping[str, Interval]
    after: Mapping[str, Interval]

    @property
    def has_same_test(self) -> bool:
        """Whether both versions test the same images."""
        return self.common == self.images_before == self.images_after


def score_change(before: ScoredModel, after: ScoredModel, *, num_resamples: int, seed: int) -> ScoreChange:
    """The scores of two versions, by the bootstrap of the results: over groups, those of now for the paired one."""
    common = _common_test(before.samples, after.samples)
    then, now = (_predictions(each, common, labels_of=after.samples) for each in (before, after))
    groups = after.samples.groups[_rows_of(common, after.samples)]
    options = {"num_resamples": num_resamples, "seed": seed}
    own = [
        score_intervals(
            _predictions(each, each.samples.test.ids, labels_of=each.samples), each.samples.test.groups, **options
        )
        for each in (before, after)
    ]
    return ScoreChange(
        models=(before.name, after.name),
        common=len(common),
        paired=paired_difference(now, then, groups, **options) if common else {},
        on_common=(score_intervals(then, groups, **options), score_intervals(now, groups, **options)),
        images_before=len(before.samples.test),
        images_after=len(after.samples.test),
        before=own[0],
        after=own[1],
    )


def _common_test(before: Samples, after: Samples) -> list[str]:
    """Images that both versions test, and whose class of now the earlier version knows."""
    then = set(before.test.ids)
    labels = dict(zip(after.ids, after.labels.tolist(), strict=True))
    return [id_ for id_ in after.test.ids if id_ in then and labels[id_] in before.class_names]


def _predictions(model: ScoredModel, ids: Iterable[str], *, labels_of: Samples) -> Predictions:
    """Of these images, in their order, held against the classes that `labels_of` gives them."""
    labels = dict(zip(labels_of.ids, labels_of.labels.tolist(), strict=True))
    names = list(ids)
    targets = np.array([model.samples.class_names.index(labels[id_]) for id_ in names], np.int64)
    return predict(model.logits[_rows_of(names, model.samples)], targets)


def _rows_of(ids: Iterable[str], samples: Samples) -> np.ndarray:
    """(n,) int64: where these images stand among the samples."""
    rows = {id_: row for row, id_ in enumerate(samples.ids)}
    return np.array([rows[id_] for id_ in ids], np.int64)
