"""Images that belong together whatever their pixels say: frames of one video, and bursts of one camera.

Neighboring frames are too different for near duplicates, but a model that has trained on one knows the other. Frames
are known by their names, bursts by the time and the camera that files state (tandem.datasets, tandem.tables.captures).
What binds them is counted, and so is what it prevents, or what would.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from tandem.curation.groups import merge_components
from tandem.curation.links import same_scene_pairs
from tandem.curation.settings import BurstSettings
from tandem.tables.captures import CAPTURED, Captures

_SECONDS = 2.0  # in which bursts are looked for where none are bound, for the count of what is left apart
_VIDEO, _FRAME, _IMAGE = "video:", "frame:", "image:"

ProvenanceKeys = Sequence[Collection[str]]  # of each image, as in the index


@dataclass(frozen=True)
class LargeGroup:
    """A group that frames and bursts make larger than a split is to be. name: of its video or burst."""

    name: str
    images: int


@dataclass(frozen=True, eq=False)
class Bound:
    """videos, bursts: (N,) a number for each video and burst, that of an image in none is its own; bound or not.

    group_of: (N,) the smallest row of each image's group. unbound: the same where near duplicates and crops alone are
    groups. scene_of: the same where all videos and bursts are. large: groups that are too large, the largest first.
    """

    settings: BurstSettings
    captures: Captures
    videos: np.ndarray
    bursts: np.ndarray
    group_of: np.ndarray
    unbound: np.ndarray
    scene_of: np.ndarray
    num_unnamed: int
    large: tuple[LargeGroup, ...]


def bind(
    duplicate_set_of: np.ndarray, provenance_keys: ProvenanceKeys, settings: BurstSettings, *, max_fraction: float
) -> Bound:
    """Groups of sets of near duplicates (N,), as connected_components gives them, and of what else stays together.

    max_fraction: of all images, that a group may have without being called large.
    """
    captures, alone = Captures.of(provenance_keys), np.arange(len(provenance_keys))
    frames = same_scene_pairs(provenance_keys, _VIDEO)
    shots = shot_pairs(captures, settings.within_seconds or _SECONDS)
    unbound = merge_components(duplicate_set_of, same_scene_pairs(provenance_keys, _IMAGE))
    group_of = merge_components(unbound, frames) if settings.by_name else unbound
    if settings.within_seconds is not None:
        group_of = merge_components(group_of, shots)
    return Bound(
        settings,
        captures,
        videos=merge_components(alone, frames),
        bursts=merge_components(alone, shots),
        group_of=group_of,
        unbound=unbound,
        scene_of=merge_components(unbound, np.concatenate([frames, shots])),
        num_unnamed=sum(any(key.startswith(_FRAME) for key in keys) for keys in provenance_keys),
        large=_large_groups(group_of, unbound, provenance_keys, max_fraction),
    )


def shot_pairs(captures: Captures, within_seconds: float) -> np.ndarray:
    """(L, 2) rows that chain the images of one camera, each at most so long after the one before."""
    is_soon = (np.diff(captures.cameras) == 0) & (np.diff(captures.seconds) <= within_seconds)
    return np.stack([captures.rows[:-1], captures.rows[1:]], axis=1)[is_soon]


def burst_counts(bound: Bound, *, splits: np.ndarray, unbound_splits: np.ndarray) -> dict[str, object]:
    """For the metrics. splits: (N,) of each image. unbound_splits: were near duplicates and crops alone groups."""
    return {
        "videos": _num_scenes(bound.videos),
        "video_images": _num_images(bound.videos),
        "bursts": _num_scenes(bound.bursts),
        "burst_images": _num_images(bound.bursts),
        "frames_of_unnamed_videos": bound.num_unnamed,
        "images_with_time": bound.captures.num_images,
        "times_not_believed": bound.captures.num_disbelieved,
        "test_images_leaked": _num_leaked(bound.scene_of, splits),
        "test_images_leaked_if_unbound": _num_leaked(bound.scene_of, unbound_splits),
        "large_groups": [asdict(each) for each in bound.large],
    }


def bound_in_words(bound: Bound, *, splits: np.ndarray) -> str:
    """What is kept together, what is not though it could be, and what is large; "" where there is nothing to say."""
    kept = []
    if bound.settings.by_name and (number := _num_scenes(bound.videos)):
        kept.append(f"{_num_images(bound.videos)} frames of {number} videos")
    if bound.settings.within_seconds is not None and (number := _num_scenes(bound.bursts)):
        kept.append(f"{_num_images(bound.bursts)} images of {number} bursts")
    said = [f"{' and '.join(kept)} kept together"] if kept else []
    if number := _num_leaked(bound.scene_of, splits):
        said.append(f"{number} test images are of a video or burst that train has images of, see curate.bursts")
    if bound.num_unnamed:
        said.append(f"{bound.num_unnamed} frames are of videos that their names do not tell apart")
    return "; ".join([*said, *filter(None, [large_in_words(bound.large)])])


def large_in_words(groups: Sequence[LargeGroup]) -> str:
    """Which groups are large, and what to do; "" where none is."""
    if not groups:
        return ""
    listed = ", ".join(f"{each.name} ({each.images} images)" for each in groups[:3])
    return (
        f"larger than a split is to be: {listed}; where these are not frames of one video or one burst, set "
        "curate.bursts.by_name to false, or curate.bursts.within_seconds to less or null"
    )


def _large_groups(
    group_of: np.ndarray, unbound: np.ndarray, provenance_keys: ProvenanceKeys, max_fraction: float
) -> tuple[LargeGroup, ...]:
    """Groups that are large and would not be so without frames and bursts."""
    sizes, unbound_sizes = (np.bincount(each, minlength=1) for each in (group_of, unbound))
    found = []
    for number in np.flatnonzero(sizes > max_fraction * len(group_of)).tolist():
        rows = np.flatnonzero(group_of == number)
        if unbound_sizes[unbound[rows]].max() < len(rows):
            found.append(LargeGroup(_name(rows, provenance_keys), len(rows)))
    return tuple(sorted(found, key=lambda group: (-group.images, group.name)))


def _name(rows: np.ndarray, provenance_keys: ProvenanceKeys) -> str:
    """The key that most of its images have, of those that say a video or a capture."""
    keys = Counter(key for row in rows.tolist() for key in provenance_keys[row] if key.startswith((_VIDEO, CAPTURED)))
    key, _ = min(keys.items(), key=lambda item: (-item[1], item[0]))
    return key.replace(":", " ", 1)


def _num_images(scenes: np.ndarray) -> int:
    """That share a scene with another."""
    counts = np.bincount(scenes, minlength=1)
    return int(counts[counts > 1].sum())


def _num_scenes(scenes: np.ndarray) -> int:
    return int((np.bincount(scenes, minlength=1) > 1).sum())


def _num_leaked(scene_of: np.ndarray, splits: np.ndarray) -> int:
    """Test images of a scene that train has images of."""
    return int(np.isin(scene_of[splits == "test"], scene_of[splits == "train"]).sum())
