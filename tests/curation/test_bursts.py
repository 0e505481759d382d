"""Frames of one video and bursts of one camera: what is bound, what is counted, and when a group is called large."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from planted_images import SETTINGS, Planted, by_id, similar_to, some_features, strangers
from tandem.curation.bursts import Bound, LargeGroup, bind, bound_in_words, burst_counts, large_in_words, shot_pairs
from tandem.curation.settings import BurstSettings, CurateSettings
from tandem.errors import LeakageError
from tandem.tables.captures import Captures

OFF, ALL = BurstSettings(by_name=False, within_seconds=None), BurstSettings(by_name=True, within_seconds=2.0)


def with_bursts(bursts: BurstSettings) -> CurateSettings:
    return replace(SETTINGS, bursts=bursts)


def shot(second: float, camera: str = "Canon / EOS 6D") -> str:
    return f"captured:2024-05-01T10:{int(second) // 60:02}:{second % 60:09.6f} {camera}"


def bound_of(keys: Sequence[Sequence[str]], settings: BurstSettings, max_fraction: float = 1) -> Bound:
    return bind(np.arange(len(keys)), keys, settings, max_fraction=max_fraction)


def test_images_of_one_camera_within_the_seconds_are_chained_and_no_others() -> None:
    rng = np.random.default_rng(0)
    seconds, cameras = rng.integers(0, 600, 200) / 2, rng.integers(0, 3, 200)
    keys = [(shot(second, f"camera {camera}"),) for second, camera in zip(seconds, cameras, strict=True)]
    group = list(range(200))  # brute force: every pair, joined until nothing changes
    near = [
        (i, j)
        for i, j in combinations(range(200), 2)
        if cameras[i] == cameras[j] and abs(seconds[i] - seconds[j]) <= 1.5
    ]
    for _ in range(200):
        for i, j in near:
            group[i] = group[j] = min(group[i], group[j])
    assert bound_of(keys, BurstSettings(by_name=False, within_seconds=1.5)).group_of.tolist() == group
    assert len(set(group)) < 150


def test_an_image_with_two_captures_is_of_both_bursts() -> None:
    captures = Captures.of([(shot(1),), (shot(2), shot(2, "Apple")), (shot(3, "Apple"),)])
    assert {tuple(sorted(pair)) for pair in shot_pairs(captures, 1).tolist()} == {(0, 1), (1, 2)}


def planted_scenes() -> Planted:
    """Beside strangers twelve frames each of two videos, and a burst of eight images half a second apart."""
    planted = strangers()
    for number in range(12):
        planted.add(f"v{number:02}", provenance_keys=["video:exports/north"])
        planted.add(f"w{number:02}", "truck", provenance_keys=["video:exports/south"])
    for number in range(8):
        planted.add(f"b{number}", provenance_keys=[shot(number / 2)])
    return planted


@pytest.mark.parametrize(("bursts", "num_splits"), [(ALL, [1, 1, 1]), (OFF, [3, 3, 3])])
def test_frames_and_bursts_share_a_split_with_the_option_and_not_without_it(
    bursts: BurstSettings, num_splits: list[int]
) -> None:
    found = by_id(planted_scenes().curate(with_bursts(bursts)))
    splits = [{each.split for id_, each in found.items() if id_[0] == first and id_[1:].isdigit()} for first in "vwb"]
    assert [len(each) for each in splits] == num_splits


def test_each_option_binds_its_own_alone() -> None:
    planted = planted_scenes()
    for bursts, bound in (
        (BurstSettings(by_name=True, within_seconds=None), {"v": 1, "w": 1, "b": 8}),
        (BurstSettings(by_name=False, within_seconds=0.5), {"v": 12, "w": 12, "b": 1}),
        (BurstSettings(by_name=False, within_seconds=0.4), {"v": 12, "w": 12, "b": 8}),
    ):
        found = by_id(planted.curate(with_bursts(bursts)))
        groups = {
            first: {found[id_].group for id_ in found if id_[0] == first and id_[1:].isdigit()} for first in "vwb"
        }
        assert {first: len(each) for first, each in groups.items()} == bound


def test_a_burst_joins_the_near_duplicates_of_its_images() -> None:
    planted, features = strangers(), some_features(500)
    planted.add("a1", provenance_keys=[shot(1)], features=features, side=200)
    planted.add("a2", provenance_keys=[shot(2)])
    planted.add("a3", features=similar_to(features, 0.999))
    found = by_id(planted.curate(with_bursts(ALL)))
    assert {found[id_].group for id_ in ("a1", "a2", "a3")} == {"a1"}
    assert [found[id_].exclusion_reason for id_ in ("a1", "a2", "a3")] == ["", "", "duplicate of a1"]


def test_what_is_bound_and_what_would_leak_is_counted() -> None:
    planted = planted_scenes()
    planted.add("reset", provenance_keys=["captured:2000-01-01T00:00:00 Canon / EOS 6D"])
    planted.add("frame", provenance_keys=["frame:exports"])
    bound, unbound = (planted.summary(with_bursts(bursts))["bursts"] for bursts in (ALL, OFF))
    shared = {
        "videos": 2,
        "video_images": 24,
        "bursts": 1,
        "burst_images": 8,
        "frames_of_unnamed_videos": 1,
        "images_with_time": 9,
        "times_not_believed": 1,
    }
    assert shared.items() <= bound.items()
    assert shared.items() <= unbound.items()
    assert bound["test_images_leaked"] == 0
    samples = planted.curate(with_bursts(OFF)).samples
    scenes = [id_[0] if id_[0] in "vwb" and id_[1:].isdigit() else id_ for id_ in samples.ids]
    in_train = {scene for scene, split in zip(scenes, samples.splits, strict=True) if split == "train"}
    leaked = sum(split == "test" and scene in in_train for scene, split in zip(scenes, samples.splits, strict=True))
    assert unbound["test_images_leaked"] == unbound["test_images_leaked_if_unbound"] == leaked > 0
    assert bound["test_images_leaked_if_unbound"] == leaked


def test_a_probe_is_scored_on_the_split_that_tears_videos_where_that_is_another_one() -> None:
    """Of frames that show nothing of their class but their video, tearing them apart is worth points."""
    planted, rng = Planted(), np.random.default_rng(0)
    for video in range(24):
        scene, label = some_features(5000 + video), ("car", "truck")[rng.integers(2)]
        for number in range(8):
            features = similar_to(scene, 0.95, seed=10_000 + 8 * video + number)
            planted.add(f"v{video:02}{number}", label, provenance_keys=[f"video:e/{video}"], features=features)
    accuracy = planted.summary(with_bursts(ALL))["accuracy"]
    assert accuracy["split_without_bursts"]["top1_accuracy"] > accuracy["group_aware_split"]["top1_accuracy"] + 0.1
    torn = planted.summary(with_bursts(OFF))["accuracy"]
    assert torn["group_aware_split"] == accuracy["split_without_bursts"]
    assert "split_without_bursts" not in torn


def test_a_group_is_large_where_frames_and_not_near_duplicates_make_it_so() -> None:
    keys = [("video:exports/clip",)] * 30 + [(shot(number),) for number in range(21)] + [()] * 49
    large = bound_of(keys, ALL, 0.2).large
    assert large == (LargeGroup("video exports/clip", 30), LargeGroup(f"captured {shot(0).partition(':')[2]}", 21))
    assert bound_of(keys, ALL, 0.3).large == ()
    assert bound_of(keys, OFF, 0.2).large == ()
    duplicates = np.array([0] * 30 + list(range(30, 100)))
    assert bind(duplicates, keys, BurstSettings(by_name=True, within_seconds=None), max_fraction=0.2).large == ()


def test_a_class_of_one_video_stops_the_stage_with_the_video_s_name() -> None:
    planted = Planted()
    for number in range(30):
        planted.add(f"car{number:02}")
        planted.add(f"v{number:02}", "truck", provenance_keys=["video:exports/truck_ride"])
    message = (
        r"no image of truck in \w+;.*larger than a split is to be: video exports/truck_ride \(30 images\).*by_name"
    )
    with pytest.raises(LeakageError, match=message):
        planted.curate(with_bursts(ALL))
    planted.curate(with_bursts(OFF))


def test_the_line_of_the_stage_says_what_is_kept_together_and_what_is_not() -> None:
    keys = [("video:v",)] * 3 + [(shot(0),), (shot(1),), ("frame:exports",)]
    splits = np.array(["train", "train", "test", "train", "test", "val"])
    together = np.array(["train"] * 3 + ["test"] * 2 + ["val"])
    assert bound_in_words(bound_of(keys, ALL), splits=together) == (
        "3 frames of 1 videos and 2 images of 1 bursts kept together; "
        "1 frames are of videos that their names do not tell apart"
    )
    assert "2 test images are of a video or burst that train has images of, see curate.bursts" in bound_in_words(
        bound_of(keys, OFF), splits=splits
    )
    assert bound_in_words(bound_of([(), ()], ALL), splits=splits[:2]) == large_in_words(()) == ""


def test_counts_of_nothing_are_zero() -> None:
    none = bound_of([(), ()], ALL)
    counts = burst_counts(none, splits=np.array(["train", "test"]), unbound_splits=np.array(["train", "test"]))
    assert counts.pop("large_groups") == []
    assert set(counts.values()) == {0}
