"""What became of every file that came in: in a split, or left out for a reason. Each file counts once."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tandem.curation.exclusion import CONFLICT, DROPPED, DUPLICATE
from tandem.datasets.formats.annotations import BAD_ANNOTATION, EMPTY_BOX, NO_BOX, NO_IMAGE
from tandem.reporting.facts import RunFacts
from tandem.tables.samples import SPLITS

# name -> what it means, in the order in which the page lists them; a file of several crops counts under the first
FATES = {
    "train": "used: in train",
    "val": "used: in val",
    "test": "used: in test",
    "exact_duplicate": "has the pixels of another file, which counts for both",
    "near_duplicate": "near duplicate of an image that is used (curate)",
    "conflicting_near_duplicates": "near duplicates of it are labelled as another class (curate)",
    "dropped": "dropped by a person in review",
    "conflict": "the same pixels are labelled as several classes",
    "mixed_labels": "labels of several classes in one image",
    "ignored_label": "its label is ignored (labels.ignore)",
    "unlabelled": "nothing says what it shows",
    NO_BOX: "has no box, others of its image have",
    EMPTY_BOX: "nothing of its box lies in the image",
    BAD_ANNOTATION: "its annotation cannot be used: an impossible box, an unreadable line or file",
    "too_small": "smaller than ingest.min_side_px",
    "too_large": "larger than ingest.max_pixels",
    "truncated": "damaged: the image ends too early or is wrong inside",
    "empty": "an empty file",
    "not_an_image": "no image, though its name says so",
    "lfs_pointer": "a Git LFS pointer in place of the image",
    "unread_format": "an image format that is not read",
    "unlisted": "no annotation names it",
    "nested_archive": "an archive within the source, not opened",
    "other_files": "no images: labels, texts, licenses",
}
_OF_CURATION = {DUPLICATE: "near_duplicate", CONFLICT: "conflicting_near_duplicates", DROPPED: "dropped"}


@dataclass(frozen=True)
class Fate:
    """counts: files of each source. words: what it means."""

    name: str
    words: str
    counts: Mapping[str, int]

    @property
    def total(self) -> int:
        """Files of all sources."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class Accounting:
    """fates: those that any file has. came_in: source -> files as downloaded. absent: labels of files that are not."""

    sources: tuple[str, ...]
    fates: tuple[Fate, ...]
    came_in: Mapping[str, int]
    absent: int

    @property
    def accounted(self) -> dict[str, int]:
        """Source -> files with a fate."""
        return {source: sum(fate.counts.get(source, 0) for fate in self.fates) for source in self.sources}

    @property
    def is_complete(self) -> bool:
        """Whether every file that was downloaded has a fate."""
        return all(count == self.came_in.get(source, count) for source, count in self.accounted.items())


def account(facts: RunFacts) -> Accounting:
    """What became of the files of each source. A source without a receipt is taken to have had those that are known."""
    order = {name: number for number, name in enumerate(FATES)}
    fate_of = dict[tuple[str, str], str]()
    for source, path, fate in _fates(facts):
        known = fate_of.get((source, path))
        if known is None or order.get(fate, len(order)) < order.get(known, len(order)):
            fate_of[source, path] = fate
    counts = Counter((fate, source) for (source, _), fate in fate_of.items())
    counts.update({("other_files", source): sum(kinds.values()) for source, kinds in facts.other_files.items()})
    names = sorted({fate for fate, _ in counts}, key=lambda name: (order.get(name, len(order)), name))
    sources = tuple(facts.other_files)
    found = [Fate(name, FATES.get(name, ""), {each: counts[name, each] for each in sources}) for name in names]
    return Accounting(
        sources,
        tuple(fate for fate in found if fate.total),
        {source: receipt.num_files for source, receipt in facts.receipts.items()},
        sum(each.reason == NO_IMAGE for each in facts.excluded),
    )


def _fates(facts: RunFacts) -> Iterator[tuple[str, str, str]]:
    """Source, path and fate of each file, several times for a file of several crops."""
    samples = facts.samples
    images = zip(facts.index.origins, samples.splits.tolist(), samples.exclusion_reasons.tolist(), strict=True)
    for origins, split, reason in images:
        first, *others = dict.fromkeys((origin.source, origin.path) for origin in origins)
        yield (*first, split if split in SPLITS else _of_reason(reason))
        yield from ((*other, "exact_duplicate") for other in others)
    yield from ((each.source, each.path, each.reason) for each in facts.excluded if each.reason != NO_IMAGE)


def _of_reason(reason: str) -> str:
    return next((fate for words, fate in _OF_CURATION.items() if reason.startswith(words)), reason)
