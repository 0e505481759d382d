"""Planted copies, stems, clips and crops among images that have nothing in common."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageOps

from tandem.curation import leak_check
from tandem.curation.curate import Curated, Settings, curate, save_curated
from tandem.curation.duplicates.alignment import Keypoints, describe
from tandem.curation.duplicates.find import Candidates, SimilarityThresholds
from tandem.curation.naive_split import leaked_pairs
from tandem.errors import DataError, LeakageError
from tandem.files import read_csv
from tandem.images.hashing import dihedral_phashes
from tandem.tables.decisions import Decision, Decisions
from tandem.tables.index import ImageRecord, Index, Origin
from tandem.tables.samples import SPLITS, Sample, load_samples

BLANK = describe(Image.new("L", (64, 64)))
DIM = 64
CLASSES = ["car", "truck"]
SETTINGS = Settings(
    candidates=Candidates(similarity=0.99, hash_bits=40, neighbors=4),
    correlation=0.95,
    hint=SimilarityThresholds(similarity=0.9, hash_bits=60),
    copies="one",
    fractions={"train": 0.6, "val": 0.2, "test": 0.2},
    seed=0,
)


def some_features(seed: int) -> np.ndarray:
    """A direction of its own: its cosine to another seed's is far below every limit."""
    return np.random.default_rng(seed).normal(size=DIM).astype(np.float32)


def some_hashes(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (8, 32), dtype=np.uint8)


def drawn(seed: int) -> Image.Image:
    """A smooth image of random colors."""
    colors = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(colors).resize((80, 80), Image.Resampling.BICUBIC)


def turned_by(x: np.ndarray, similarity: float, seed: int = 999) -> np.ndarray:
    """Features whose cosine to x is `similarity`."""
    unit = x / np.linalg.norm(x)
    away = some_features(seed)
    away -= (away @ unit) * unit
    return similarity * unit + np.sqrt(1 - similarity**2) * away / np.linalg.norm(away)


@dataclass
class Planted:
    """Records with features and hashes; images of both classes that have nothing in common come first."""

    records: list[ImageRecord] = field(default_factory=list)
    x: dict[str, np.ndarray] = field(default_factory=dict)
    hashes: dict[str, np.ndarray] = field(default_factory=dict)
    sketches: dict[str, Keypoints] = field(default_factory=dict)

    def add(
        self,
        id_: str,
        label: str = "car",
        *,
        source: str = "snapshots",
        provenance_keys: Sequence[str] = (),
        side: int = 100,
        x: np.ndarray | None = None,
        hashes: np.ndarray | None = None,
    ) -> None:
        seed = len(self.records)
        origin = Origin(source, f"{label}/{id_}.jpg", label)
        self.records.append(ImageRecord(id_, label, f"{id_}.jpg", side, side, tuple(provenance_keys), (origin,)))
        self.x[id_] = some_features(seed) if x is None else x
        self.hashes[id_] = some_hashes(seed) if hashes is None else hashes

    def table(self) -> tuple[Index, np.ndarray, np.ndarray]:
        records = tuple(sorted(self.records, key=lambda record: record.id))
        return Index(records), *(np.stack([of[r.id] for r in records]) for of in (self.x, self.hashes))

    def curate(self, chosen: Settings = SETTINGS, decisions: Sequence[Decision] = ()) -> Curated:
        index, x, hashes = self.table()
        looks = {"x": x, "hashes": hashes, "sketch_of": lambda row: self.sketches.get(index.ids[row], BLANK)}
        return curate(index, **looks, class_names=CLASSES, settings=chosen, decisions=Decisions(tuple(decisions)))


@pytest.fixture
def planted() -> Planted:
    return strangers()


def strangers() -> Planted:
    found = Planted()
    for number in range(40):
        for label in CLASSES:
            found.add(f"{label}{number:02}", label)
    return found


def by_id(curated: Curated) -> dict[str, Sample]:
    return {sample.id: sample for sample in curated.samples.samples}


def test_strangers_are_all_used_each_in_a_group_of_its_own(planted: Planted) -> None:
    curated = planted.curate()
    assert all(sample.group == sample.id and sample.split in SPLITS for sample in curated.samples.samples)
    assert curated.counts["groups"] == curated.counts["used"] == curated.counts["images"] == 80
    assert curated.counts["near_duplicate_pairs"] == curated.counts["sets_of_copies"] == 0
    assert curated.counts["largest_group"] == 1


def test_samples_stay_in_the_order_of_the_index_with_their_classes_and_sources(planted: Planted) -> None:
    planted.add("b", "truck", source="exports")
    curated = planted.curate()
    assert curated.samples.ids == sorted(planted.x)
    assert curated.samples.class_names == tuple(CLASSES)
    assert (by_id(curated)["b"].label, by_id(curated)["b"].source) == ("truck", "exports")


def test_copies_by_features_join_and_the_largest_stays(planted: Planted) -> None:
    x = some_features(500)
    planted.add("a1", x=x, side=90)
    planted.add("a2", x=7 * x, side=200)
    planted.add("a3", x=turned_by(x, 0.995), side=120)
    found, counts = by_id(curated := planted.curate()), curated.counts
    assert {found[id_].group for id_ in ("a1", "a2", "a3")} == {"a1"}
    assert found["a2"].split in SPLITS
    assert {(found[id_].split, found[id_].note) for id_ in ("a1", "a3")} == {("", "copy of a2")}
    assert counts["near_duplicate_pairs"] == 3
    assert (counts["copies_left_out"], counts["sets_of_copies"], counts["largest_group"]) == (2, 1, 3)
    assert (counts["used"], counts["images"]) == (81, 83)


def test_copies_that_are_kept_together_lie_in_one_split(planted: Planted) -> None:
    for number in range(12):
        planted.add(f"a{number}", x=turned_by(some_features(500 + number // 3), 0.999, seed=number))
    curated = planted.curate(replace(SETTINGS, copies="together"))
    found = by_id(curated)
    for first in range(0, 12, 3):
        splits = [found[f"a{number}"].split for number in range(first, first + 3)]
        assert splits[0] in SPLITS
        assert len(set(splits)) == 1
    assert curated.counts["copies_left_out"] == 0
    assert curated.counts["used"] == 92


def test_images_just_below_the_limits_are_no_copies(planted: Planted) -> None:
    x, hashes = some_features(500), some_hashes(500)
    nearly = hashes.copy()
    nearly[:, :6] ^= np.uint8(0xFF)  # 48 bits
    planted.add("a1", x=x, hashes=hashes)
    planted.add("a2", x=turned_by(x, 0.985), hashes=nearly)
    assert planted.curate().counts["groups"] == 82


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
    planted.add("a1", hashes=dihedral_phashes(drawn(1)))
    planted.add("a2", hashes=dihedral_phashes(turn(drawn(1))), side=300)
    planted.add("a3", hashes=dihedral_phashes(drawn(2)))
    found = by_id(planted.curate())
    assert found["a1"].note == "copy of a2"
    assert found["a3"].group == "a3"


def test_flat_images_are_no_copies_of_one_another_by_hash(planted: Planted) -> None:
    for number in range(3):
        planted.add(f"a{number}", hashes=dihedral_phashes(Image.new("RGB", (80, 80), (number, 0, 0))))
    assert planted.curate().counts["groups"] == 83


def test_a_stem_joins_images_that_agree_by_the_looser_limits_and_no_others(planted: Planted) -> None:
    x = some_features(500)
    stem = ["stem:exports/car/image_9"]
    planted.add("a1", provenance_keys=stem, x=x, side=300)
    planted.add("a2", provenance_keys=stem, x=turned_by(x, 0.95))
    planted.add("a3", provenance_keys=stem)
    planted.add("a4", x=turned_by(x, 0.95, seed=998))
    found, counts = by_id(curated := planted.curate()), curated.counts
    assert found["a2"].note == "copy of a1"
    assert [found[id_].group for id_ in ("a3", "a4")] == ["a3", "a4"]
    assert (counts["near_duplicate_pairs"], counts["stem_links"]) == (0, 1)


@pytest.mark.parametrize("hint", ["stem:exports/truck/image_9", "stem:others/car/image_9"])
def test_a_stem_of_another_class_or_source_is_another_stem(hint: str, planted: Planted) -> None:
    x = some_features(500)
    planted.add("a1", provenance_keys=["stem:exports/car/image_9"], x=x)
    planted.add("a2", provenance_keys=[hint], x=turned_by(x, 0.95))
    curated = planted.curate()
    assert by_id(curated)["a2"].group == "a2"
    assert curated.counts["stem_links"] == 0


@pytest.mark.parametrize("hint", ["video:exports/clip", "image:exports/train/1.jpg"])
def test_frames_of_a_clip_and_crops_of_a_image_share_a_split_whatever_their_pixels_say(
    hint: str, planted: Planted
) -> None:
    x = some_features(500)
    for number, label in enumerate(["car", "truck", "car", "truck"]):
        # alike as two images of one stem may be, which makes frames and crops no copies
        planted.add(f"a{number}", label, source="exports", provenance_keys=[hint], x=turned_by(x, 0.95, seed=number))
    curated = planted.curate()
    frames = [by_id(curated)[f"a{number}"] for number in range(4)]
    assert {frame.group for frame in frames} == {"a0"}
    assert {frame.note for frame in frames} == {""}
    assert len({frame.split for frame in frames}) == 1
    assert curated.counts["sets_of_copies"] == 0


def test_frames_that_are_near_duplicates_are_copies_as_well(planted: Planted) -> None:
    x = some_features(500)
    for number, similarity in enumerate([1.0, 0.999, 0.0]):
        planted.add(f"a{number}", provenance_keys=["video:exports/clip"], x=turned_by(x, similarity), side=100 - number)
    found = by_id(planted.curate())
    assert [found[f"a{number}"].note for number in range(3)] == ["", "copy of a0", ""]
    assert found["a2"].split == found["a0"].split


def test_groups_join_through_copies_of_frames_of_two_clips(planted: Planted) -> None:
    x = some_features(500)
    planted.add("a1", provenance_keys=["video:exports/one"])
    planted.add("a2", provenance_keys=["video:exports/one"], x=x)
    planted.add("a3", provenance_keys=["video:exports/two"], x=x)
    planted.add("a4", provenance_keys=["video:exports/two"])
    found = by_id(planted.curate())
    assert {found[f"a{number}"].group for number in range(1, 5)} == {"a1"}


@pytest.mark.parametrize("copies", ["one", "together"])
def test_copies_under_two_classes_are_all_left_out(copies: str, planted: Planted) -> None:
    x = some_features(500)
    planted.add("a1", "car", x=x)
    planted.add("a2", "truck", x=x)
    planted.add("a3", "car", x=x)
    curated = planted.curate(replace(SETTINGS, copies=copies))
    left_out = [sample for sample in curated.samples.samples if not sample.split]
    assert [(s.id, s.note) for s in left_out] == [
        (id_, "conflict: copies are labelled car and truck") for id_ in ("a1", "a2", "a3")
    ]
    assert (curated.counts["conflicts_left_out"], curated.counts["copies_left_out"]) == (3, 0)


def test_the_counts_by_split_and_class_are_those_of_the_samples(planted: Planted) -> None:
    planted.add("a1", x=planted.x["car00"])
    curated = planted.curate()
    for split in SPLITS:
        for label in CLASSES:
            members = [s for s in curated.samples.samples if (s.split, s.label) == (split, label)]
            assert curated.counts["splits"][split][label] == len(members)


def test_the_pairs_are_written_with_ids_and_cosines(planted: Planted, tmp_path: Path) -> None:
    x = some_features(500)
    planted.add("a1", x=x)
    planted.add("a2", x=turned_by(x, 0.995))
    planted.add("b1", hashes=some_hashes(600), x=x + 0)
    planted.add("b2", hashes=some_hashes(600), x=-x)
    save_curated(curated := planted.curate(), tmp_path / "curate")
    assert load_samples(tmp_path / "curate") == curated.samples
    assert read_csv(tmp_path / "curate/different.csv") == []  # strangers hardly correlate
    pairs = read_csv(tmp_path / "curate/pairs.csv")
    rows = {(row["first"], row["second"]): float(row["similarity"]) for row in pairs}
    expected = {("a1", "a2"): 0.995, ("a1", "b1"): 1.0, ("a2", "b1"): 0.995, ("b1", "b2"): -1.0}
    assert rows == pytest.approx(expected, abs=1e-5)


def test_sources_and_classes_are_counted_by_split(planted: Planted) -> None:
    for number in range(30):
        planted.add(f"b{number}", source="exports")
    curated = planted.curate()
    for split in SPLITS:
        members = [sample for sample in curated.samples.samples if sample.split == split]
        for source in ("exports", "snapshots"):
            assert curated.counts["sources"][split][source] == sum(sample.source == source for sample in members)


def test_copies_of_several_classes_are_told_with_their_weakest_link(planted: Planted) -> None:
    for number, (label, similarity) in enumerate([("car", 1.0), ("car", 0.999), ("truck", 0.998)]):
        planted.add(f"a{number}", label, x=turned_by(some_features(500), similarity))
    [told] = planted.curate().counts["groups_to_look_at"]
    assert (told["size"], told["classes"], "a2" in told["weakest"]) == (3, {"car": 2, "truck": 1}, True)
    cut = [Decision("a2", "not_copy", id_) for id_ in ("a0", "a1")]
    assert planted.curate(decisions=cut).counts["groups_to_look_at"] == []


LINKS = st.lists(
    st.tuples(st.integers(0, 29), st.integers(0, 29), st.sampled_from(["features", "hash", "video", "stem"])),
    max_size=25,
)


def with_links(links: list[tuple[int, int, str]]) -> Planted:
    """Strangers of both classes, 30 of which are tied to one another."""
    found = strangers()
    ids = sorted(found.x)[25:55]
    provenance_keys: dict[str, list[str]] = {id_: [] for id_ in ids}
    for number, (one, other, kind) in enumerate(links):
        if kind == "features":
            found.x[ids[other]] = 2 * found.x[ids[one]]
        elif kind == "hash":
            found.hashes[ids[other]] = found.hashes[ids[one]][::-1]
        else:
            provenance_keys[ids[one]].append(f"{kind}:{number}")
            provenance_keys[ids[other]].append(f"{kind}:{number}")
    found.records = [
        replace(record, provenance_keys=tuple(provenance_keys.get(record.id, ()))) for record in found.records
    ]
    return found


def groups_by_brute_force(planted: Planted) -> set[frozenset[str]]:
    """The partition that all pairs of images give, one comparison at a time."""
    groups = {id_: {id_} for id_ in planted.x}
    records = {record.id: record for record in planted.records}
    unit = {id_: x.astype(float) / np.linalg.norm(x) for id_, x in planted.x.items()}
    bits = {id_: np.unpackbits(hashes, axis=1) for id_, hashes in planted.hashes.items()}
    for one, other in combinations(planted.x, 2):
        shared = {
            hint.split(":")[0] for hint in set(records[one].provenance_keys) & set(records[other].provenance_keys)
        }
        limit = SETTINGS.hint if "stem" in shared else SETTINGS.candidates
        near = unit[one] @ unit[other] >= limit.similarity or "video" in shared
        for upright, turned in [(one, other), (other, one)]:
            near |= (bits[upright][0] != bits[turned]).sum(axis=1).min() <= limit.hash_bits
        if near and groups[one] is not groups[other]:
            groups[one] |= groups[other]
            for id_ in groups[other]:
                groups[id_] = groups[one]
    return {frozenset(group) for group in groups.values()}


@settings(max_examples=10)
@given(LINKS, st.sampled_from(["one", "together"]))
def test_whatever_is_linked_no_group_lies_in_two_splits_and_the_gate_passes(
    links: list[tuple[int, int, str]], copies: str
) -> None:
    planted = with_links(links)
    curated = planted.curate(replace(SETTINGS, copies=copies))
    groups: dict[str, set[str]] = {}
    for sample in curated.samples.samples:
        groups.setdefault(sample.group, set()).add(sample.id)
    assert {frozenset(group) for group in groups.values()} == groups_by_brute_force(planted)
    found = by_id(curated)
    assert all(len({found[id_].split for id_ in group} - {""}) <= 1 for group in groups.values())
    _, x, hashes = planted.table()
    leak_check.check_leakage(
        curated.samples.ids,
        curated.samples.rows_by_split(),
        features=x,
        hashes=hashes,
        similarity=SETTINGS.candidates.similarity,
        hash_bits=SETTINGS.candidates.hash_bits,
    )


@settings(max_examples=10)
@given(LINKS, st.lists(st.tuples(st.sampled_from("0z"), st.integers(0, 79), st.booleans()), min_size=16, max_size=16))
def test_adding_a_fifth_of_images_moves_none_whose_group_stays(
    links: list[tuple[int, int, str]], added: list[tuple[str, int, bool]]
) -> None:
    planted = with_links(links)
    before = by_id(planted.curate())
    old = sorted(planted.x)
    for number, (where, row, is_copy) in enumerate(added):  # ids before and after all others
        x = planted.x[old[row]] if is_copy else None
        planted.add(f"{where}{number:02}", before[old[row]].label, source="exports", x=x)
    after = by_id(planted.curate())

    def members(samples: dict[str, Sample], id_: str) -> set[str]:
        return {sample.id for sample in samples.values() if sample.group == samples[id_].group}

    same = [id_ for id_ in old if members(before, id_) == members(after, id_)]
    assert len(same) >= len(old) - 16 - 30
    assert [after[id_] for id_ in same] == [before[id_] for id_ in same]


def test_what_a_split_by_file_leaks_is_counted_as_by_brute_force() -> None:
    rng = np.random.default_rng(0)
    records, copy_of = [], np.sort(rng.integers(0, 12, size=40))
    for row in range(40):  # files in several sources, the same file twice for two of its boxes
        origins = tuple(
            Origin(f"source{rng.integers(2)}", f"{rng.integers(60)}.jpg", "car") for _ in range(rng.integers(1, 4))
        )
        records.append(ImageRecord(f"{row:02}", "car", f"{row}.jpg", 9, 9, (), origins))

    def draw(name: str) -> str:
        return SPLITS[sum(name.encode()) % 3]

    pairs, tested = 0, set()
    for copies in range(12):
        members = [record for record, of in zip(records, copy_of, strict=True) if of == copies]
        files = {f"{origin.source}/{origin.path}" for record in members for origin in record.origins}
        for one, other in combinations(sorted(files), 2):
            splits = {draw(one), draw(other)}
            pairs += len(splits) == 2
            if splits == {"train", "test"}:
                tested.add((copies, one if draw(one) == "test" else other))
    assert leaked_pairs(records, copy_of, draw) == {
        "pairs_leaked_by_file_split": pairs,
        "test_files_leaked_by_file_split": len(tested),
    }
    assert pairs > 0 < len(tested)


def test_what_a_split_by_file_leaks_is_among_the_counts_and_fits_chance(planted: Planted) -> None:
    for number in range(60):
        planted.add(f"a{number:02}", x=some_features(500))
    apart = planted.curate().counts["pairs_leaked_by_file_split"]
    assert apart == pytest.approx(comb(60, 2) * (1 - 0.6**2 - 0.2**2 - 0.2**2), rel=0.2)


def test_strata_are_drawn_on_their_own() -> None:
    planted = Planted()
    for source in ("one", "two"):
        for label in CLASSES:
            for number in range(200):
                planted.add(f"{source}/{label}/{number:03}", label, source=source)
    samples = planted.curate().samples.samples
    for source in ("one", "two"):
        for label in CLASSES:
            members = [s for s in samples if (s.source, s.label) == (source, label)]
            share = sum(s.split == "train" for s in members) / len(members)
            assert share == pytest.approx(0.6, abs=4 * (0.6 * 0.4 / 200) ** 0.5)


def test_the_same_images_give_the_same_samples_and_another_seed_other_splits(planted: Planted) -> None:
    one, again = planted.curate(), planted.curate()
    other = planted.curate(replace(SETTINGS, seed=1))
    assert one.samples == again.samples
    assert one.counts == again.counts
    assert [s.split for s in one.samples.samples] != [s.split for s in other.samples.samples]


def test_a_class_that_is_missing_from_a_split_is_an_error() -> None:
    planted = Planted()
    for number in range(40):
        planted.add(f"{number:02}")
    planted.add("a", "truck")
    with pytest.raises(LeakageError, match=r"no image of truck in .*car: 40 images, truck: 1 images"):
        planted.curate()


def test_no_image_at_all_is_an_error() -> None:
    with pytest.raises(LeakageError, match="no image of car in train"):
        curate(
            Index(()),
            x=np.zeros((0, DIM), dtype=np.float32),
            hashes=np.zeros((0, 8, 32), dtype=np.uint8),
            keypoints_of=lambda row: BLANK,
            class_names=CLASSES,
            settings=SETTINGS,
            decisions=Decisions(()),
        )


def textured(seed: int) -> Image.Image:
    """Blots of many sizes: an image with points to hold on to."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (160, 120), "gray")
    for _ in range(60):
        (x, y), (w, h) = rng.integers(-10, 150, 2), rng.integers(4, 40, 2)
        ImageDraw.Draw(image).ellipse([x, y, x + w, y + h], fill=tuple(rng.integers(0, 256, 3)))
    return image


def test_neighbors_whose_pixels_agree_once_laid_over_one_another_are_copies(planted: Planted) -> None:
    turned = textured(1).rotate(12, Image.Resampling.BICUBIC)
    for id_, image, similarity in (("one", textured(1), 1.0), ("two", turned, 0.8), ("three", textured(2), 0.8)):
        planted.add(id_, side=200 if id_ == "one" else 100, x=turned_by(some_features(7777), similarity, len(id_)))
        planted.sketches[id_] = describe(image)
    curated = planted.curate()
    found = by_id(curated)
    assert found["two"].note == "copy of one"
    assert found["three"].note == ""
    assert curated.counts["near_duplicate_pairs"] == 1


def test_without_neighbors_only_near_pairs_are_looked_at(planted: Planted) -> None:
    for id_ in ("one", "two"):
        planted.add(id_, x=turned_by(some_features(7777), 0.8, len(id_) + ord(id_[0])))
        planted.sketches[id_] = describe(textured(1))
    assert planted.curate().counts["near_duplicate_pairs"] == 1
    without = replace(SETTINGS, candidates=replace(SETTINGS.candidates, neighbors=0))
    assert planted.curate(without).counts["near_duplicate_pairs"] == 0


def test_near_images_whose_pixels_do_not_agree_are_no_copies_and_are_told_apart(planted: Planted) -> None:
    for number, id_ in enumerate(("one", "two", "three")):
        planted.add(id_, x=turned_by(some_features(7777), 0.999, number))
        planted.sketches[id_] = describe(textured(min(number, 1)))
    curated = planted.curate()
    found, ids = by_id(curated), curated.samples.ids
    assert [found[id_].group for id_ in ("one", "two", "three")] == ["one", "three", "three"]
    near = curated.different.where(curated.different.pairs.similarity > 0.99)
    assert {frozenset((ids[i], ids[j])) for i, j in near.pairs.rows.tolist()} == {
        frozenset(("one", "two")),
        frozenset(("one", "three")),
    }


def test_features_of_other_images_are_an_error(planted: Planted) -> None:
    index, x, hashes = planted.table()
    with pytest.raises(DataError, match="80 images need as many features and hashes; got 79 and 80"):
        looks = {"x": x[1:], "hashes": hashes, "sketch_of": lambda row: BLANK}
        curate(index, **looks, class_names=CLASSES, settings=SETTINGS, decisions=Decisions(()))


def test_settings_come_from_the_parameters() -> None:
    section = {
        "backbone": "resnet50",
        "candidates": {"similarity": 0.99, "hash_bits": 40, "neighbors": 4},
        "correlation": 0.95,
        "hint": {"similarity": 0.9, "hash_bits": 60},
        "copies": "one",
        "fractions": {"train": 0.6, "val": 0.2, "test": 0.2},
        "seed": 0,
    }
    assert Settings.from_params(section) == SETTINGS


# --- a person's decisions


def three_copies(planted: Planted, labels: Sequence[str] = ("car", "car", "car")) -> None:
    """a1, a2 and a3, of which a2 is the largest."""
    for number, label in enumerate(labels, start=1):
        x = turned_by(some_features(500), 0.999, number)
        planted.add(f"a{number}", label, x=x, side=200 if number == 2 else 100)


def told(curated: Curated, *ids: str) -> list[tuple[str, str]]:
    return [(sample.label, sample.note) for id_ in ids for sample in [by_id(curated)[id_]]]


def test_a_class_that_a_person_gave_holds_for_all_copies_and_moves_nothing(planted: Planted) -> None:
    three_copies(planted)
    before = planted.curate()
    after = planted.curate(decisions=[Decision("a1", "relabel", "truck", "a pickup")])
    assert told(after, "a1", "a2", "a3") == [("truck", "copy of a2"), ("truck", ""), ("truck", "copy of a2")]
    assert [s.split for s in before.samples.samples] == [s.split for s in after.samples.samples]
    assert after.counts["decisions"]["relabel"] == 1


def test_a_class_that_a_person_gave_settles_a_conflict_and_two_classes_do_not(planted: Planted) -> None:
    three_copies(planted, ("car", "truck", "car"))
    settled = planted.curate(decisions=[Decision("a3", "relabel", "truck")])
    assert told(settled, "a1", "a2", "a3") == [("truck", "copy of a2"), ("truck", ""), ("truck", "copy of a2")]
    both = planted.curate(decisions=[Decision("a3", "relabel", "truck"), Decision("a1", "relabel", "car")])
    assert {note for _, note in told(both, "a1", "a2", "a3")} == {"conflict: copies are labelled car and truck"}


def test_a_dropped_image_is_left_out_with_its_copies(planted: Planted) -> None:
    three_copies(planted)
    planted.add("b1")
    decisions = [Decision("a1", "drop", "", "logos"), Decision("b1", "drop")]
    found = by_id(planted.curate(decisions=decisions))
    assert {(found[id_].split, found[id_].note) for id_ in ("a1", "a2", "a3")} == {("", "dropped: logos")}
    assert (found["b1"].split, found["b1"].note) == ("", "dropped: ")


@pytest.mark.parametrize("copies", ["one", "together"])
def test_a_kept_image_is_used_in_place_of_its_copies_and_in_spite_of_a_conflict(copies: str, planted: Planted) -> None:
    three_copies(planted, ("car", "truck", "truck"))
    curated = planted.curate(replace(SETTINGS, copies=copies), decisions=[Decision("a1", "keep")])
    conflict = "conflict: copies are labelled car and truck"
    assert [note for _, note in told(curated, "a1", "a2", "a3")] == ["", conflict, conflict]


def test_of_copies_the_kept_ones_stay(planted: Planted) -> None:
    three_copies(planted)
    one = planted.curate(decisions=[Decision("a1", "keep")])
    assert [note for _, note in told(one, "a1", "a2", "a3")] == ["", "copy of a1", "copy of a1"]
    two = planted.curate(decisions=[Decision("a1", "keep"), Decision("a3", "keep")])
    assert [note for _, note in told(two, "a1", "a2", "a3")] == ["", "copy of a3", ""]
    assert len({by_id(two)[id_].split for id_ in ("a1", "a3")}) == 1


def test_what_a_person_calls_no_copies_are_none_and_the_gate_lets_them_be(planted: Planted) -> None:
    for number in range(40):  # of so many pairs some are drawn apart
        x = some_features(500 + number)
        for side in "xy":
            planted.add(f"{side}{number}", x=x, provenance_keys=[f"stem:exports/{number}"])
    decisions = [Decision(f"y{number}", "not_copy", f"x{number}") for number in range(40)]
    curated = planted.curate(decisions=decisions)
    found = by_id(curated)
    assert all(found[f"{side}{number}"].group == f"{side}{number}" for side in "xy" for number in range(40))
    assert any(found[f"x{number}"].split != found[f"y{number}"].split for number in range(40))
    _, x, hashes = planted.table()
    limits = {"features": x, "hashes": hashes, "similarity": 0.99, "hash_bits": 40}
    different = curated.different.row_pairs
    leak_check.check_leakage(curated.samples.ids, curated.samples.rows_by_split(), different=different, **limits)
    with pytest.raises(LeakageError):
        leak_check.check_leakage(curated.samples.ids, curated.samples.rows_by_split(), **limits)


def test_what_a_person_calls_copies_are_copies(planted: Planted) -> None:
    planted.add("a1", side=300)
    planted.add("a2")
    assert told(planted.curate(decisions=[Decision("a2", "copy", "a1")]), "a1", "a2") == [
        ("car", ""),
        ("car", "copy of a1"),
    ]


def test_decisions_about_images_that_are_gone_change_nothing_and_are_counted(planted: Planted) -> None:
    decisions = [Decision("zz", "drop"), Decision("zz", "copy", "car00"), Decision("yy", "not_copy", "zz")]
    curated = planted.curate(decisions=[*decisions, Decision("xx", "relabel", "truck")])
    assert curated.samples == planted.curate().samples
    assert curated.counts["decisions"]["gone"] == 4
