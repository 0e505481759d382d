"""Fractions and the seed of the splits of a small data set, such that each class is in each split.

Which split a group is in is decided by a hash of its name and the seed (tandem.tables.splits). A class of a hundred
groups is in each split all but surely; of a smaller one the ids of its images, and so its groups, are found out here.
Near duplicates are not known yet, so a seed with two groups of each class in each split goes before one with one.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
_LARGE = 60  # images of the smallest class, from which on the preset's fractions do
_FOR_SMALL = SplitFractions(train=0.6, val=0.2, test=0.2)
_MAX_OPENED, _NUM_SEEDS, _WORKERS = 6000, 2000, 4


class Splitting(NamedTuple):
    """seed: None where no seed was found. scarcest: the class with the fewest groups of those that were looked into."""

    fractions: SplitFractions
    seed: int | None
    scarcest: str


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
    if min(map(len, by_class.values())) < _LARGE:
        fractions = _FOR_SMALL
    small = {name: found for name, found in by_class.items() if len(found) < SURE}
    if not small or sum(map(len, small.values())) > _MAX_OPENED:
        return Splitting(fractions, seed, "")
    groups = _groups(small, roots, settings)
    scarcest = min(groups, key=lambda name: (len(groups[name]), name))
    return Splitting(fractions, _first_seed(list(groups.values()), fractions, seed), scarcest)


def _first_seed(groups: Sequence[Iterable[str]], fractions: SplitFractions, start: int) -> int | None:
    """The first seed with two groups of each class in each split, else with one. groups: of each class."""
    with_one = None
    for seed in range(start, start + _NUM_SEEDS):
        least = min(_least(names, fractions, seed) for names in groups)
        if least >= 2:
            return seed
        if least and with_one is None:
            with_one = seed
    return with_one


def _least(groups: Iterable[str], fractions: SplitFractions, seed: int) -> int:
    """The number of groups in the split that has the fewest."""
    by_split = fractions.by_split()
    splits = [assign_split(group, fractions=by_split, seed=seed) for group in groups]
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
