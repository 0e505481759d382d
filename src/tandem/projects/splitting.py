"""Fractions and the seed of the splits of a small data set, such that each class is in each split.

Which split a group is in is decided by a hash of its name and the seed (tandem.tables.splits). A class of a hundred
groups is in each split all but surely; of a smaller one the ids of its images, and so its groups, are found out here.
Near duplicates are not known yet, so a seed with two groups of each class in each split goes before one with one.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from tandem.curation.groups import connected_components
from tandem.curation.links import rows_sharing
from tandem.curation.settings import SplitFractions
from tandem.datasets.examples import Example
from tandem.datasets.settings import IngestSettings
from tandem.errors import CorruptImageError
from tandem.images.encoding import encode_images
from tandem.tables.samples import SPLITS
from tandem.tables.splits import assign_split

SURE = 100  # images of a class, from which on no seed need be looked for
# Images of the smallest class -> fractions for fewer than that; from the last on, those of the preset do.
_FOR_SMALL = {
    15: SplitFractions(train=0.5, val=0.25, test=0.25),
    60: SplitFractions(train=0.6, val=0.2, test=0.2),
}
_MAX_OPENED, _WORKERS = 6000, 4  # images; threads
_SEEDS_FOR_TWO, _SEEDS_FOR_ONE, _SEEDS_FOR_MOST = 2_000, 10_000, 200


class Splitting(NamedTuple):
    """absent: the classes that are not in each split even so, by too few groups or by bad luck."""

    fractions: SplitFractions
    seed: int
    absent: tuple[str, ...] = ()


def splitting_for(
    examples: Sequence[Example],
    *,
    roots: Mapping[str, Path],
    fractions: SplitFractions,
    seed: int,
    settings: IngestSettings,
) -> Splitting:
    """Fractions and the first seed, from `seed` on, with which each class is in each split.

    roots: where the files of each source are. fractions: of the preset, which large classes keep.
    """
    by_class = defaultdict[str, list[Example]](list)
    for example in examples:
        by_class[example.class_name].append(example)
    smallest = min(map(len, by_class.values()))
    fractions = next((each for limit, each in _FOR_SMALL.items() if smallest < limit), fractions)
    small = {name: found for name, found in by_class.items() if len(found) < SURE}
    if not small or sum(map(len, small.values())) > _MAX_OPENED:
        return Splitting(fractions, seed)
    groups = _groups(small, roots, settings)
    hopeless = tuple(name for name in groups if len(groups[name]) < len(SPLITS))
    groups = {name: found for name, found in groups.items() if name not in hopeless}
    chosen, absent = _best_seed(groups, fractions.by_split(), seed)
    return Splitting(fractions, chosen, (*hopeless, *absent))


def _best_seed(
    groups: Mapping[str, Collection[str]], fractions: Mapping[str, float], start: int
) -> tuple[int, tuple[str, ...]]:
    """A seed, and the classes that are not in each split with it. groups: of each class."""
    smallest_first = sorted(groups, key=lambda name: (len(groups[name]), name))

    def absent(seed: int, least: int) -> Iterator[str]:
        return (name for name in smallest_first if _least(groups[name], fractions, seed) < least)

    for least, number in ((2, _SEEDS_FOR_TWO), (1, _SEEDS_FOR_ONE)):
        for seed in range(start, start + number):
            if next(absent(seed, least), None) is None:
                return seed, ()
    tried = {seed: tuple(absent(seed, 1)) for seed in range(start, start + _SEEDS_FOR_MOST)}
    best = min(tried, key=lambda seed: (len(tried[seed]), seed))
    return best, tried[best]


def _least(groups: Iterable[str], fractions: Mapping[str, float], seed: int) -> int:
    """The number of groups in the split that has the fewest."""
    splits = [assign_split(group, fractions=fractions, seed=seed) for group in groups]
    return min(splits.count(split) for split in SPLITS)


def _groups(
    examples: Mapping[str, Sequence[Example]], roots: Mapping[str, Path], settings: IngestSettings
) -> dict[str, set[str]]:
    """Class -> names of its groups, as curation will name them but for near duplicates."""
    of_images = [each for found in examples.values() for each in found]
    keys, class_of = defaultdict[str, set[str]](set), dict[str, str]()
    for example, id_ in zip(of_images, _ids(of_images, roots, settings), strict=True):
        if id_:
            keys[id_] |= set(example.provenance_keys)
            class_of[id_] = example.class_name
    ids = sorted(keys)
    shared = rows_sharing([keys[id_] for id_ in ids], "video:", "image:", "stem:")
    chains = [np.stack([rows[:-1], rows[1:]], axis=1) for rows in shared]
    first = connected_components(len(ids), np.concatenate([np.zeros((0, 2), dtype=np.int64), *chains]))
    groups: dict[str, set[str]] = {name: set() for name in examples}
    for id_, row in zip(ids, first.tolist(), strict=True):
        groups[class_of[id_]].add(ids[row])
    return groups


def _ids(examples: Sequence[Example], roots: Mapping[str, Path], settings: IngestSettings) -> Iterator[str]:
    """The id of each image or crop, "" of a file that cannot be used."""

    def read(example: Example) -> str:
        try:
            images = encode_images(
                (roots[example.source] / example.path).read_bytes(),
                [example.box],
                min_side_px=settings.min_side_px,
                max_pixels=settings.max_pixels,
                max_side_px=settings.max_side_px,
            )
        except CorruptImageError:
            return ""
        return images[example.box].id

    bar = tqdm(total=len(examples), desc="small classes", unit="image", disable=None, leave=False)
    with ThreadPoolExecutor(_WORKERS) as pool, bar:
        for id_ in pool.map(read, examples):
            bar.update()
            yield id_
