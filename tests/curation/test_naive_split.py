"""What a random split would have leaked and claimed, on data where near duplicates are all there is to know."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from tandem.curation import naive_split
from tandem.curation.naive_split import accuracy_by_split, leaked_pairs
from tandem.tables.index import ImageRecord, Index, Origin
from tandem.tables.samples import SPLITS, Sample, Samples
from tandem.tables.splits import assign_split

CLASSES = ("car", "truck")


def assign(name: str) -> str:
    return assign_split(name, fractions={"train": 0.6, "val": 0.2, "test": 0.2}, seed=0)


def scenes(num_scenes: int, files_each: int, *, reason: str = "") -> tuple[Index, Samples, np.ndarray]:
    """Scenes of no class at all but their own noise: each has several files, of which one is used."""
    rng = np.random.default_rng(0)
    features, records, samples = [], [], []
    for scene in range(num_scenes):
        noise, label = rng.normal(size=256), CLASSES[rng.integers(2)]
        for number in range(files_each):
            id_ = f"{scene:03}{number}"
            features.append(noise)
            records.append(ImageRecord(id_, label, f"{id_}.jpg", 9, 9, (), (Origin("web", f"{id_}.jpg", label),)))
            split = assign(f"{scene}") if number == 0 else ""
            excluded = "" if split else reason or f"duplicate of {scene:03}0"
            samples.append(Sample(id_, label, "web", f"{scene}", split, excluded))
    return Index.of(records), Samples.of(CLASSES, samples), np.array(features, dtype=np.float32)


def test_near_duplicates_of_test_files_in_train_are_worth_points_that_are_not_there() -> None:
    found = accuracy_by_split(*scenes(150, 4), assign)
    assert found["group_aware_split"]["top1_accuracy"] == pytest.approx(0.5, abs=0.2)
    assert found["random_split"]["top1_accuracy"] > 0.85
    assert found["random_split"]["test_images"] == pytest.approx(0.2 * 600, rel=0.3)


@pytest.mark.parametrize("reason", ["conflict: near duplicates are labelled car and truck", "dropped: logos"])
def test_files_whose_class_nobody_knows_are_in_neither(reason: str) -> None:
    found = accuracy_by_split(*scenes(60, 3, reason=reason), assign)
    assert found["random_split"]["test_images"] == pytest.approx(0.2 * 60, rel=0.7)


def test_every_place_where_an_image_was_found_is_a_file() -> None:
    index, samples, features = scenes(60, 1)
    columns = zip(index.ids, index.origins, strict=True)
    twice = replace(index, origins=tuple((*origins, Origin("yard", f"{id_}.jpg", "x")) for id_, origins in columns))
    once, both = (
        accuracy_by_split(each, samples, features, assign)["random_split"]["test_images"] for each in (index, twice)
    )
    assert both > once


def test_the_images_that_count_are_those_of_test_and_of_no_other_split() -> None:
    index, samples, features = scenes(60, 1)
    splits = np.array([SPLITS[(0, 0, 0, 0, 0, 0, 1, 2, 2, 2)[row % 10]] for row in range(len(samples))])
    found = accuracy_by_split(index, samples.with_splits(splits), features, assign)
    names = [name for files in index.found_in for name in files]
    assert found["group_aware_split"]["test_images"] == (splits == "test").sum() != (splits == "val").sum()
    expected = {split: sum(assign(name) == split for name in names) for split in ("val", "test")}
    assert found["random_split"]["test_images"] == expected["test"] != expected["val"]


def test_without_a_test_image_there_is_no_accuracy() -> None:
    index, samples, features = scenes(10, 1)
    train = samples.with_splits(np.full(10, "train"))
    found = accuracy_by_split(index, train, features, lambda name: "train")
    assert np.isnan(found["group_aware_split"]["top1_accuracy"])
    assert found["random_split"]["test_images"] == 0


def test_what_a_random_split_leaks_is_counted_as_by_brute_force() -> None:
    rng = np.random.default_rng(0)
    records, duplicate_set_of = [], np.sort(rng.integers(0, 12, size=40))
    for row in range(40):  # files in several sources, the same file twice for two of its boxes
        origins = tuple(
            Origin(f"source{rng.integers(2)}", f"{rng.integers(60)}.jpg", "car") for _ in range(rng.integers(1, 4))
        )
        records.append(ImageRecord(f"{row:02}", "car", f"{row}.jpg", 9, 9, (), origins))

    def by_letters(name: str) -> str:
        return SPLITS[sum(name.encode()) % 3]

    pairs, test_files = 0, set()
    for number in range(12):
        members = [record for record, of in zip(records, duplicate_set_of, strict=True) if of == number]
        files = {f"{origin.source}/{origin.path}" for record in members for origin in record.origins}
        for one, other in combinations(sorted(files), 2):
            splits = {by_letters(one), by_letters(other)}
            pairs += len(splits) == 2
            if splits == {"train", "test"}:
                test_files.add((number, one if by_letters(one) == "test" else other))
    assert leaked_pairs(Index.of(records), duplicate_set_of, by_letters) == {
        "pairs_leaked_by_random_split": pairs,
        "test_files_leaked_by_random_split": len(test_files),
    }
    assert pairs > 0 < len(test_files)


def test_of_very_many_images_a_part_from_all_over_is_fitted_and_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    planted = scenes(150, 4)
    assert accuracy_by_split(*planted, assign)["random_split"]["test_images"] > 20
    monkeypatch.setattr(naive_split, "_MAX_IMAGES", 20)
    assert {each["test_images"] for each in accuracy_by_split(*planted, assign).values()} == {20}
    np.testing.assert_array_equal(naive_split._at_most(np.arange(39)), np.arange(0, 40, 2)[:20].clip(max=38))
