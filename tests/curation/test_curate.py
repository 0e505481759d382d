"""Planted near duplicates, stems, videos and crops among images that have nothing in common."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
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
from tandem.curation.disputed import Disputed
from tandem.curation.duplicates.alignment import describe
from tandem.errors import DataError, LeakageError
from tandem.files import read_csv
from tandem.images.hashing import dihedral_phashes
from tandem.tables.decisions import Decision, Decisions
from tandem.tables.index import Index
from tandem.tables.samples import SPLITS, load_samples
from tandem.tables.stored import StoredImage, StoredImages


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
    disputed = Disputed(np.array([[0, 2]]), np.array([0.95]), np.array([30]), np.array([0.25]), num_judged=7)
    save_curated(curated := planted.curate(), disputed, tmp_path / "curate")
    assert read_csv(tmp_path / "curate/disputed_pairs.csv") == [
        {
            "first": "a1",
            "second": "b1",
            "thumbnail_correlation": "0.95",
            "hash_distance": "30",
            "similarity": "0.25",
        }
    ]
    assert load_samples(tmp_path / "curate") == curated.samples
    assert read_csv(tmp_path / "curate/rejected_pairs.csv") == []  # strangers hardly correlate
    pairs = read_csv(tmp_path / "curate/near_duplicates.csv")
    rows = {(row["first"], row["second"]): float(row["similarity"]) for row in pairs}
    expected = {("a1", "a2"): 0.995, ("a1", "b1"): 1.0, ("a2", "b1"): 0.995, ("b1", "b2"): -1.0}
    assert rows == pytest.approx(expected, abs=1e-5)


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


def test_what_a_person_calls_near_duplicates_are_near_duplicates(planted: Planted) -> None:
    planted.add("a1", side=300)
    planted.add("a2")
    found = by_id(planted.curate(decisions=[Decision("a2", "duplicate", "a1")]))
    assert [found[id_].exclusion_reason for id_ in ("a1", "a2")] == ["", "duplicate of a1"]


def test_a_pair_at_the_threshold_of_correlation_is_a_near_duplicate(planted: Planted) -> None:
    features = some_features(500)
    planted.add("a1", features=features)
    planted.add("a2", features=features)
    curated = planted.curate(replace(SETTINGS, min_correlation=1.0))
    assert curated.near_duplicates.correlation.tolist() == [1.0]
    assert by_id(curated)["a1"].exclusion_reason == "duplicate of a2"


def test_a_class_that_a_person_decided_on_does_not_hold_for_other_frames_of_the_video(planted: Planted) -> None:
    for id_ in ("a1", "a2"):
        planted.add(id_, "car", provenance_keys=["video:exports/one"])
    found = by_id(planted.curate(decisions=[Decision("a1", "relabel", "truck")]))
    assert [(found[id_].label, found[id_].group, found[id_].exclusion_reason) for id_ in ("a1", "a2")] == [
        ("truck", "a1", ""),
        ("car", "a1", ""),
    ]


def test_a_class_that_is_missing_from_a_split_is_an_error() -> None:
    planted = Planted()
    for number in range(40):
        planted.add(f"{number:02}")
    planted.add("a", "truck")
    with pytest.raises(LeakageError, match=r"no image of truck in .*car: 40 images, truck: 1 images"):
        planted.curate()


def test_no_image_at_all_is_an_error() -> None:
    features, hashes = np.zeros((0, DIM), dtype=np.float32), np.zeros((0, 8, 32), dtype=np.uint8)
    inputs = CurateInputs(Index.of(()), CLASSES, features, hashes, StoredImages.of(()), Decisions(()))
    with pytest.raises(LeakageError, match="no image of car in train"):
        curate(inputs, SETTINGS, keypoints_of=lambda row: BLANK, max_gb=0)


def test_features_of_other_images_are_an_error(planted: Planted) -> None:
    inputs = planted.inputs()
    with pytest.raises(DataError, match="80 images need as many features and hashes; got 79 and 80; run the merge and"):
        replace(inputs, features=inputs.features[1:])


def test_stored_images_that_are_others_are_an_error(planted: Planted) -> None:
    inputs = planted.inputs()
    other = StoredImages.of(StoredImage(f"{id_}x", "a.tar", 0, 1, id_) for id_ in inputs.index.ids)
    with pytest.raises(DataError, match="the 80 images of the index are not the 80 that are stored; run the merge"):
        replace(inputs, stored=other)


@pytest.mark.parametrize("hashes", [np.zeros((80, 32), np.uint8), np.zeros((80, 8, 32))])
def test_hashes_of_another_shape_or_type_are_an_error(hashes: np.ndarray, planted: Planted) -> None:
    with pytest.raises(DataError, match=r"hashes need 8 x 32 bytes an image; got .*; run the merge stage again"):
        replace(planted.inputs(), hashes=hashes)


def test_an_image_of_a_class_that_there_is_not_is_an_error(planted: Planted) -> None:
    inputs = planted.inputs()
    with pytest.raises(DataError, match=r"image \w+ has class 'truck', not one of car, bus; run the merge stage again"):
        replace(inputs, class_names=["car", "bus"])


def test_a_decision_on_a_class_that_there_is_not_is_an_error(planted: Planted) -> None:
    with pytest.raises(DataError, match=r"gives image car00 the class 'lorry', .* one of car, truck"):
        planted.inputs([Decision("car00", "relabel", "lorry")])
