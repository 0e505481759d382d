"""What ties images to one another, as pairs of their rows in the index: the smaller row first.

Near duplicates: candidates that the pixels verified, and what a person decided. Same stem: images that Roboflow
exported from one source image carry one stem, but a stem is no identity (uploads called `Image_9` exist in many sets),
so a stem joins two images only inside one source and class, and only where they are similar by the looser thresholds
of curate.same_stem. Same scene: crops of one image, frames of one video and images of one burst share a scene whatever
their pixels say; the last two as curate.bursts wants it.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tandem.curation.duplicates.verify import ScoredPairs


@dataclass(frozen=True)
class Links:
    """What makes near duplicates. rows: (L, 2). correlation: (L,) of their pixels, 1 where they need none."""

    rows: np.ndarray
    correlation: np.ndarray


def duplicate_links(near_duplicates: "ScoredPairs", *unscored: np.ndarray) -> Links:
    """Of verified near duplicates, and of pairs of rows (L, 2) that are near duplicates for another reason."""
    rows = np.concatenate([near_duplicates.pairs.rows, *unscored])
    num_unscored = len(rows) - len(near_duplicates)
    return Links(rows, np.concatenate([near_duplicates.correlation, np.ones(num_unscored)]))


def same_scene_pairs(provenance_keys: Sequence[Collection[str]], *kinds: str) -> np.ndarray:
    """(L, 2) rows that chain the images of each scene. kinds: "video:", "image:", or both. provenance_keys: of each."""
    scenes = rows_sharing(provenance_keys, *kinds)
    chains = [np.stack([rows[:-1], rows[1:]], axis=1) for rows in scenes]
    return np.concatenate([np.zeros((0, 2), dtype=np.int64), *chains])


def rows_sharing(provenance_keys: Sequence[Collection[str]], *kinds: str) -> list[np.ndarray]:
    """Rows of the images that share a provenance key of these kinds, for each key that two or more have."""
    rows = defaultdict(list)
    for row, keys in enumerate(provenance_keys):
        for key in keys:
            if key.startswith(kinds):
                rows[key].append(row)
    return [np.array(shared) for _, shared in sorted(rows.items()) if len(shared) > 1]


def rows_of_pairs(pairs: Collection[tuple[str, str]], ids: Sequence[str]) -> np.ndarray:
    """(L, 2) rows of pairs of ids, sorted; pairs of which one image is gone are not in it."""
    row_of = {id_: row for row, id_ in enumerate(ids)}
    rows = [sorted((row_of[one], row_of[other])) for one, other in pairs if one in row_of and other in row_of]
    return np.array(sorted(rows), dtype=np.int64).reshape(-1, 2)
