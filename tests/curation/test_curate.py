"""Planted near duplicates, stems, videos and crops among images that have nothing in common."""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from planted_images import (
    BLANK,
    CLASSES,
    DIM,
    SETTINGS,
    Planted,
    by_id,
    similar_to,
    smooth_image,
    some_features,
    some_hashes,
    strangers,
    textured_image,
)
from tandem.curation.curate import CurateInputs, curate, save_curated
from tandem.curation.duplicates.alignment import describe
from tandem.curation.leak_check import check_leakage
from tandem.errors import DataError, LeakageError
from tandem.files import read_csv
from tandem.images.hashing import dihedral_phashes
from tandem.tables.decisions import Decision, Decisions
from tandem.tables.index import Index
from tandem.tables.samples import SPLITS, Sample, load_samples


@pytest.fixture
def planted() -> Planted:
    return strangers()


def test_strangers_are_all_used_each_in_a_group_of_its_own(planted: Planted) -> None:
    samples = by_id(planted.curate()).values()
    assert len(samples) == 80
    assert all(sample.group == sample.id and sample.split in SPLITS for sample in samples)


def test_samples_stay_in_the_order_of_the_index_with_their_classes_and_sources(planted: Planted) -> None:
    planted.add("b", "truck", source="exports")
    curated = planted.curate()
    assert list(curated.samples.ids) == sorted(planted.features)
    assert curated.samples.class_names == CLASSES
    assert (by_id(curated)["b"].label, by_id(curated)["b"].source) == ("truck", "exports")


def test_near_duplicates_by_features_join_and_the_largest_stays(planted: Planted) -> None:
    features = some_features(500)
    planted.add("a1", features=features, side=90)
    planted.add("a2", features=7 * features, side=200)
    planted.add("a3", features=similar_to(features, 0.995), side=120)
    found = by_id(curated := planted.curate())
    assert {found[id_].group for id_ in ("a1", "a2", "a3")} == {"a1"}
    assert found["a2"].split in SPLITS
    assert {(found[id_].split, found[id_].exclusion_reason) for id_ in ("a1", "a3")} == {("", "duplicate of a2")}
    assert len(curated.near_duplicates) == 3


def test_near_duplicates_that_are_kept_together_lie_in_one_split(planted: Planted) -> None:
    for number in range(12):
        planted.add(f"a{number}", features=similar_to(some_features(500 + number // 3), 0.999, seed=number))
    found = by_id(planted.curate(replace(SETTINGS, duplicates="keep_together")))
    for first in range(0, 12, 3):
        splits = [found[f"a{number}"].split for number in range(first, first + 3)]
        assert splits[0] in SPLITS
        assert len(set(splits)) == 1


def test_images_just_below_the_thresholds_are_no_near_duplicates(planted: Planted) -> None:
    features, hashes = some_features(500), some_hashes(500)
    changed = hashes.copy()
    changed[:, :6] ^= np.uint8(0xFF)  # 48 bits
    planted.add("a1", features=features, hashes=hashes)
    planted.add("a2", features=similar_to(features, 0.985), hashes=changed)
    assert by_id(planted.curate())["a2"].group == "a2"


@pytest.mark.parametrize(
    "turn",
    [
        lambda image: image.resize((50, 50)),
        ImageOps.mirror,
        ImageOps.flip,
        lambda image: image.transpose(Image.Transpose.ROTATE_90),
        lambda image: image.transpose(Image.Transpose.TRANSVERSE),
    ],
)
def test_turned_and_resized_images_join_by_hash(turn: Callable, planted: Planted) -> None:
    planted.add("a1", hashes=dihedral_phashes(smooth_image(1)))
    planted.add("a2", hashes=dihedral_phashes(turn(smooth_image(1))), side=300)
    planted.add("a3", hashes=dihedral_phashes(smooth_image(2)))
    found = by_id(planted.curate())
    assert found["a1"].exclusion_reason == "duplicate of a2"
    assert found["a3"].group == "a3"


def test_flat_images_are_no_near_duplicates_of_one_another_by_hash(planted: Planted) -> None:
    for number in range(3):
        planted.add(f"a{number}", hashes=dihedral_phashes(Image.new("RGB", (80, 80), (number, 0, 0))))
    found = by_id(planted.curate())
    assert [found[f"a{number}"].group for number in range(3)] == ["a0", "a1", "a2"]


def test_frames_that_are_near_duplicates_are_excluded_as_well(planted: Planted) -> None:
    features = some_features(500)
    for number, similarity in enumerate([1.0, 0.999, 0.0]):
        x = similar_to(features, similarity)
        planted.add(f"a{number}", provenance_keys=["video:exports/clip"], features=x, side=100 - number)
    found = by_id(planted.curate())
    assert [found[f"a{number}"].exclusion_reason for number in range(3)] == ["", "duplicate of a0", ""]
    assert found["a2"].split == found["a0"].split


def test_groups_join_through_near_duplicates_of_frames_of_two_videos(planted: Planted) -> None:
    features = some_features(500)
    planted.add("a1", provenance_keys=["video:exports/one"])
    planted.add("a2", provenance_keys=["video:exports/one"], features=features)
    planted.add("a3", provenance_keys=["video:exports/two"], features=features)
    planted.add("a4", provenance_keys=["video:exports/two"])
    found = by_id(planted.curate())
    assert {found[f"a{number}"].group for number in range(1, 5)} == {"a1"}


def test_curated_tables_are_written_with_ids_and_cosines(planted: Planted, tmp_path: Path) -> None:
    features = some_features(500)
    planted.add("a1", features=features)
    planted.add("a2", features=similar_to(features, 0.995))
    planted.add("b1", hashes=some_hashes(600), features=features + 0)
    planted.add("b2", hashes=some_hashes(600), features=-features)
    save_curated(curated := planted.curate(), tmp_path / "curate")
    assert load_samples(tmp_path / "curate") == curated.samples
    assert read_csv(tmp_path / "curate/rejected_pairs.csv") == []  # strangers hardly correlate
    pairs = read_csv(tmp_path / "curate/near_duplicates.csv")
    rows = {(row["first"], row["second"]): float(row["similarity"]) for row in pairs}
    expected = {("a1", "a2"): 0.995, ("a1", "b1"): 1.0, ("a2", "b1"): 0.995, ("b1", "b2"): -1.0}
    assert rows == pytest.approx(expected, abs=1e-5)


LINKS = st.lists(
    st.tuples(st.integers(0, 29), st.integers(0, 29), st.sampled_from(["features", "hash", "video", "stem"])),
    max_size=25,
)


def with_links(links: list[tuple[int, int, str]]) -> Planted:
    """Strangers of both classes, 30 of which are tied to one another."""
    planted = strangers()
    ids = sorted(planted.features)[25:55]
    provenance_keys: dict[str, list[str]] = {id_: [] for id_ in ids}
    for number, (one, other, kind) in enumerate(links):
        if kind == "features":
            planted.features[ids[other]] = 2 * planted.features[ids[one]]
        elif kind == "hash":
            planted.hashes[ids[other]] = planted.hashes[ids[one]][::-1]
        else:
            provenance_keys[ids[one]].append(f"{kind}:{number}")
            provenance_keys[ids[other]].append(f"{kind}:{number}")
    planted.records = [
        replace(record, provenance_keys=tuple(provenance_keys.get(record.id, ()))) for record in planted.records
    ]
    return planted


def groups_by_brute_force(planted: Planted) -> set[frozenset[str]]:
    """The partition that all pairs of images give, one comparison at a time."""
    groups = {id_: {id_} for id_ in planted.features}
    keys = {record.id: set(record.provenance_keys) for record in planted.records}
    unit = {id_: features.astype(float) / np.linalg.norm(features) for id_, features in planted.features.items()}
    bits = {id_: np.unpackbits(hashes, axis=1) for id_, hashes in planted.hashes.items()}
    for one, other in combinations(planted.features, 2):
        shared = {key.split(":")[0] for key in keys[one] & keys[other]}
        thresholds = SETTINGS.same_stem if "stem" in shared else SETTINGS.candidates
        is_link = unit[one] @ unit[other] >= thresholds.min_similarity or "video" in shared
        for upright, turned in [(one, other), (other, one)]:
            is_link |= (bits[upright][0] != bits[turned]).sum(axis=1).min() <= thresholds.max_hash_distance
        if is_link and groups[one] is not groups[other]:
            groups[one] |= groups[other]
            for id_ in groups[other]:
                groups[id_] = groups[one]
    return {frozenset(group) for group in groups.values()}


def require_no_leak(planted: Planted, curated, **options) -> None:
    inputs, samples = planted.inputs(), curated.samples
    data = {"features": inputs.features, "hashes": inputs.hashes}
    check_leakage(samples.ids, samples.rows_by_split(), **data, min_similarity=0.99, max_hash_distance=40, **options)


@settings(max_examples=10)
@given(LINKS, st.sampled_from(["keep_one", "keep_together"]))
def test_whatever_is_linked_no_group_lies_in_two_splits_and_nothing_leaks(
    links: list[tuple[int, int, str]], duplicates: str
) -> None:
    planted = with_links(links)
    curated = planted.curate(replace(SETTINGS, duplicates=duplicates))
    found = by_id(curated)
    groups: dict[str, set[str]] = {}
    for sample in found.values():
        groups.setdefault(sample.group, set()).add(sample.id)
    assert {frozenset(group) for group in groups.values()} == groups_by_brute_force(planted)
    assert all(len({found[id_].split for id_ in group} - {""}) <= 1 for group in groups.values())
    require_no_leak(planted, curated)


@settings(max_examples=10)
@given(LINKS, st.lists(st.tuples(st.sampled_from("0z"), st.integers(0, 79), st.booleans()), min_size=16, max_size=16))
def test_adding_a_fifth_of_images_moves_none_whose_group_stays(
    links: list[tuple[int, int, str]], added: list[tuple[str, int, bool]]
) -> None:
    planted = with_links(links)
    before = by_id(planted.curate())
    old = sorted(planted.features)
    for number, (where, row, is_duplicate) in enumerate(added):  # ids before and after all others
        features = planted.features[old[row]] if is_duplicate else None
        planted.add(f"{where}{number:02}", before[old[row]].label, source="exports", features=features)
    after = by_id(planted.curate())

    def members(samples: dict[str, Sample], id_: str) -> set[str]:
        return {sample.id for sample in samples.values() if sample.group == samples[id_].group}

    same = [id_ for id_ in old if members(before, id_) == members(after, id_)]
    assert len(same) >= len(old) - 16 - 30
    assert [after[id_] for id_ in same] == [before[id_] for id_ in same]


def test_the_same_images_give_the_same_samples_and_another_seed_other_splits(planted: Planted) -> None:
    one, again = planted.curate(), planted.curate()
    other = planted.curate(replace(SETTINGS, seed=1))
    assert one.samples == again.samples
    assert one.samples.splits.tolist() != other.samples.splits.tolist()


def test_every_class_and_source_has_its_fractions() -> None:
    planted = Planted()
    for source in ("one", "two"):
        for label in CLASSES:
            for number in range(200):
                planted.add(f"{source}/{label}/{number:03}", label, source=source)
    samples = planted.curate().samples
    for source in ("one", "two"):
        for label in CLASSES:
            splits = samples.splits[(samples.sources == source) & (samples.labels == label)]
            assert (splits == "train").mean() == pytest.approx(0.6, abs=4 * (0.6 * 0.4 / 200) ** 0.5)


def test_neighbors_whose_pixels_agree_once_aligned_are_near_duplicates(planted: Planted) -> None:
    turned = textured_image(1).rotate(12, Image.Resampling.BICUBIC)
    for id_, image, similarity in (
        ("one", textured_image(1), 1.0),
        ("two", turned, 0.8),
        ("three", textured_image(2), 0.8),
    ):
        features = similar_to(some_features(7777), similarity, len(id_))
        planted.add(id_, side=200 if id_ == "one" else 100, features=features)
        planted.keypoints[id_] = describe(image)
    found = by_id(curated := planted.curate())
    assert found["two"].exclusion_reason == "duplicate of one"
    assert found["three"].exclusion_reason == ""
    assert len(curated.near_duplicates) == 1


def test_similar_images_whose_pixels_do_not_agree_are_rejected(planted: Planted) -> None:
    for number, id_ in enumerate(("one", "two", "three")):
        planted.add(id_, features=similar_to(some_features(7777), 0.999, number))
        planted.keypoints[id_] = describe(textured_image(min(number, 1)))
    curated = planted.curate()
    found, ids = by_id(curated), curated.samples.ids
    assert [found[id_].group for id_ in ("one", "two", "three")] == ["one", "three", "three"]
    similar = curated.rejected.where(curated.rejected.pairs.similarity > 0.99)
    assert {frozenset((ids[i], ids[j])) for i, j in similar.pairs.rows.tolist()} == {
        frozenset(("one", "two")),
        frozenset(("one", "three")),
    }


def test_what_a_person_rejects_is_no_near_duplicate_and_no_leak(planted: Planted) -> None:
    for number in range(40):  # of so many pairs some lie in two splits
        for side in "xy":
            key = f"stem:exports/{number}"
            planted.add(f"{side}{number}", features=some_features(500 + number), provenance_keys=[key])
    decisions = [Decision(f"y{number}", "not_duplicate", f"x{number}") for number in range(40)]
    curated = planted.curate(decisions=decisions)
    found = by_id(curated)
    assert all(found[f"{side}{number}"].group == f"{side}{number}" for side in "xy" for number in range(40))
    assert any(found[f"x{number}"].split != found[f"y{number}"].split for number in range(40))
    require_no_leak(planted, curated, rejected=curated.rejected.row_pairs)
    with pytest.raises(LeakageError):
        require_no_leak(planted, curated)


def test_what_a_person_calls_near_duplicates_are_near_duplicates(planted: Planted) -> None:
    planted.add("a1", side=300)
    planted.add("a2")
    found = by_id(planted.curate(decisions=[Decision("a2", "duplicate", "a1")]))
    assert [found[id_].exclusion_reason for id_ in ("a1", "a2")] == ["", "duplicate of a1"]


def test_a_class_that_is_missing_from_a_split_is_an_error() -> None:
    planted = Planted()
    for number in range(40):
        planted.add(f"{number:02}")
    planted.add("a", "truck")
    with pytest.raises(LeakageError, match=r"no image of truck in .*car: 40 images, truck: 1 images"):
        planted.curate()


def test_no_image_at_all_is_an_error() -> None:
    features, hashes = np.zeros((0, DIM), dtype=np.float32), np.zeros((0, 8, 32), dtype=np.uint8)
    inputs = CurateInputs(Index(()), CLASSES, features, hashes, Decisions(()))
    with pytest.raises(LeakageError, match="no image of car in train"):
        curate(inputs, SETTINGS, keypoints_of=lambda row: BLANK)


def test_features_of_other_images_are_an_error(planted: Planted) -> None:
    inputs = planted.inputs()
    with pytest.raises(DataError, match="80 images need as many features and hashes; got 79 and 80; run the merge and"):
        replace(inputs, features=inputs.features[1:])


def test_a_decision_on_a_class_that_there_is_not_is_an_error(planted: Planted) -> None:
    with pytest.raises(DataError, match="gives image car00 the class 'lorry'; there are car, truck"):
        planted.inputs([Decision("car00", "relabel", "lorry")])
