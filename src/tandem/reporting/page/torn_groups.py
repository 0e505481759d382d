"""Groups of images that belong together, and what a split of single files at random would have done to each."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from tandem.reporting.facts import RunFacts
from tandem.tables.samples import SPLITS
from tandem.tables.splits import assign_split


@dataclass(frozen=True)
class ImageGroup:
    """Near duplicates, versions of one upload, frames of one video, crops of one image.

    ids: of its images. sources: of them. random_splits: id -> the splits that chance would give its files.
    """

    ids: tuple[str, ...]
    sources: tuple[str, ...]
    random_splits: Mapping[str, tuple[str, ...]]

    @cached_property
    def torn_over(self) -> tuple[str, ...]:
        """The splits that a random split would have put its files into."""
        found = {split for splits in self.random_splits.values() for split in splits}
        return tuple(split for split in SPLITS if split in found)

    @property
    def leaks(self) -> bool:
        """Whether train and test would have shared it."""
        return {"train", "test"} <= set(self.torn_over)


def image_groups(facts: RunFacts) -> list[ImageGroup]:
    """All groups of at least two images, those first that a random split would have torn between train and test.

    Of these the ones that cross most sources, then the largest, then by id. The random split is that of the stage
    curate: each file on its own, by a hash of its name.
    """
    index, curate = facts.index, facts.params["curate"]
    members = defaultdict[str, list[int]](list)
    for row, group in enumerate(facts.samples.groups.tolist()):
        members[group].append(row)
    options = {"fractions": curate["fractions"], "seed": curate["seed"]}
    found = [
        ImageGroup(
            tuple(index.ids[row] for row in rows),
            tuple(dict.fromkeys(str(index.sources[row]) for row in rows)),
            {
                index.ids[row]: tuple(dict.fromkeys(assign_split(name, **options) for name in index.found_in[row]))
                for row in rows
            },
        )
        for rows in members.values()
        if len(rows) > 1
    ]
    return sorted(found, key=lambda each: (not each.leaks, -len(each.sources), -len(each.ids), each.ids))
