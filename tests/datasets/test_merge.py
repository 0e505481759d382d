"""Merging of sources planted as files: small images in class folders, and boxes stated as annotations.

Each source is ingested first, and what comes of it goes through its files, as between the stages.
"""

import hashlib
import io
import shutil
import tarfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from factories import ingest_settings, label_settings, merge_settings, source
from planted_images import with_capture
from tandem.datasets.examples import SourceAnnotations
from tandem.datasets.formats.annotations import Annotation, Box
from tandem.datasets.ingest import ingest, read_source
from tandem.datasets.ingested import Ingested, load_ingested, save_ingested
from tandem.datasets.labels import label_map
from tandem.datasets.merge import (
    CORRUPT_REASONS,
    SIZE_REASONS,
    Merged,
    merge,
    merge_summary,
    merged_in_words,
    save_merged,
)
from tandem.errors import DataError, UnknownLabelError
from tandem.files import read_csv, read_json, sha256
from tandem.images.decode import decode, pixel_id
from tandem.images.hashing import dihedral_phashes
from tandem.sources.settings import BoxPolicy
from tandem.tables.index import Origin, load_index

CLASSES = {"car": ["carro"], "truck": ["caminhão"]}


def image_of(number: int, *, width: int = 48, height: int = 36) -> Image.Image:
    """Another image for each number, of few colors, so that a palette holds it without loss."""
    rng = np.random.default_rng(number)
    image = Image.new("RGB", (width, height), tuple(rng.integers(0, 256, 3).tolist()))
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        draw.rectangle((x, y, x + 12, y + 9), fill=tuple(rng.integers(0, 256, 3).tolist()))
    return image


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def plant(root: Path, contents: Mapping[str, bytes | Image.Image]) -> SourceAnnotations:
    """Class folders: the label is the first folder of each path."""
    for path, content in contents.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content if isinstance(content, bytes) else encoded(content))
    return SourceAnnotations(root, [Annotation(path, path.split("/")[0]) for path in contents], None)


def boxed(
    root: Path, images: Mapping[str, Image.Image], annotations: Sequence[Annotation], boxes: BoxPolicy
) -> SourceAnnotations:
    return SourceAnnotations(plant(root, images).root, annotations, boxes)


def merged_from(
    tmp_path: Path,
    sources: Mapping[str, SourceAnnotations],
    *,
    ignore: Sequence[str] = (),
    workers: int = 2,
    max_corrupt_fraction: float = 0.0,
) -> Merged:
    labels = label_map(label_settings(CLASSES, ignore=ignore))
    settings = merge_settings(max_corrupt_fraction=max_corrupt_fraction)
    found = {name: ingested_to(tmp_path / "ingest" / name, name, each, workers) for name, each in sources.items()}
    return merge(found, labels, settings)


def ingested_to(folder: Path, name: str, source: SourceAnnotations, workers: int) -> Ingested:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    save_ingested(ingest(name, source, ingest_settings(), folder=folder, workers=workers), folder)
    return load_ingested(folder)


def reasons(merged: Merged) -> dict[str, int]:
    return dict(Counter(each.reason for each in merged.excluded))


def stored(tmp_path: Path) -> dict[str, bytes]:
    """The files in all shards, as tar reads them."""
    found = {}
    for shard in sorted(tmp_path.glob("ingest/*/*.tar")):
        with tarfile.open(shard) as tar:
            found |= {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    return found


def test_every_image_becomes_a_record_that_says_where_it_came_from(tmp_path: Path) -> None:
    street = plant(
        tmp_path / "street",
        {"car/1.png": image_of(1), "carro/2.png": image_of(2, width=30), "truck/3.png": image_of(3)},
    )
    merged = merged_from(tmp_path, {"street": street})
    by_path = {record.origins[0].path: record for record in merged.index}
    assert {path: record.label for path, record in by_path.items()} == {
        "car/1.png": "car",
        "carro/2.png": "car",
        "truck/3.png": "truck",
    }
    second = by_path["carro/2.png"]
    assert second.id == pixel_id(image_of(2, width=30))
    assert (second.width, second.height, second.provenance_keys) == (30, 36, ())
    assert second.origins == (Origin("street", "carro/2.png", "carro"),)
    assert stored(tmp_path)[second.file] == (tmp_path / "street" / "carro/2.png").read_bytes()
    assert (merged.excluded, merged.num_files, merged.num_byte_duplicates, merged.num_pixel_duplicates) == ((), 3, 0, 0)


def test_hashes_stand_in_the_order_of_the_records(tmp_path: Path) -> None:
    images = {pixel_id(image_of(number)): image_of(number) for number in range(5)}
    street = plant(tmp_path / "street", {f"car/{id_}.png": image for id_, image in images.items()})
    merged = merged_from(tmp_path, {"street": street})
    assert merged.index.ids == tuple(sorted(images))
    expected = np.stack([dihedral_phashes(images[id_]) for id_ in merged.index.ids])
    assert np.array_equal(merged.hashes, expected)


def test_byte_and_pixel_duplicates_become_one_record_with_all_origins(tmp_path: Path) -> None:
    image, other = image_of(1), image_of(2)
    sources = {
        "street": plant(tmp_path / "street", {"car/a.png": image, "car/copy of a.png": image, "car/b.png": other}),
        "yard": plant(
            tmp_path / "yard",
            {"carro/a.webp": encoded(image, "WEBP", lossless=True), "carro/a.bmp": encoded(image, "BMP")},
        ),
    }
    merged = merged_from(tmp_path, sources)
    record = next(record for record in merged.index if record.id == pixel_id(image))
    assert record.origins == (
        Origin("street", "car/a.png", "car"),
        Origin("street", "car/copy of a.png", "car"),
        Origin("yard", "carro/a.webp", "carro"),
        Origin("yard", "carro/a.bmp", "carro"),
    )
    assert set(merged.index.sources.tolist()) == {"street"}
    assert (len(merged.index), merged.num_files) == (2, 5)
    assert (merged.num_byte_duplicates, merged.num_pixel_duplicates) == (1, 2)
    assert merged.excluded == ()


def test_of_pixel_duplicates_the_first_files_bytes_are_kept(tmp_path: Path) -> None:
    webp = encoded(image_of(1), "WEBP", lossless=True)
    street = plant(tmp_path / "street", {"car/1.webp": webp, "car/2.png": image_of(1)})
    merged = merged_from(tmp_path, {"street": street})
    assert list(stored(tmp_path).values()) == [webp]
    assert merged.index.files[0] == f"{pixel_id(image_of(1))}.webp"


def test_a_record_has_the_provenance_keys_of_all_its_duplicates(tmp_path: Path) -> None:
    exports = ("car/ride_mp4-1.png", "car/a_jpg.rf.KJ730oDTFPdXdJxvSLnX.png", "car/ride_mp4-1.bmp", "carro/plain.png")
    street = plant(tmp_path / "street", {path: encoded(image_of(1), path[-3:].upper()) for path in exports})
    merged = merged_from(tmp_path, {"street": street})
    assert merged.index.provenance_keys == (("stem:street/car/a", "video:street/ride"),)


def test_captures_come_of_exif_data_and_where_there_are_none_of_the_names_that_phones_give(tmp_path: Path) -> None:
    taken, bare = with_capture(image_of(1), "2024:05:01 10:11:12", format="PNG"), encoded(image_of(1), "PNG")
    contents = {
        "car/IMG_20200101_080000.png": taken,
        "car/copy.png": bare,
        "car/IMG_20240501_101113.png": encoded(image_of(2), "PNG"),
        "car/clip_frame_1.png": with_capture(image_of(3), "0000:00:00 00:00:00", format="PNG"),
        "car/ride_frame_1.png": with_capture(image_of(4), "2024:05:01 10:11:12", camera="", format="PNG"),
    }
    merged = merged_from(tmp_path, {"street": plant(tmp_path / "street", contents)})
    keys = dict(zip(merged.index.ids, merged.index.provenance_keys, strict=True))
    assert [keys[pixel_id(image_of(number))] for number in range(1, 5)] == [
        ("captured:2024-05-01T10:11:12 EOS 6D",),
        ("captured:2024-05-01T10:11:13 street/names like img_<time>",),
        ("frame:street",),
        ("video:street/ride",),
    ]


def test_one_image_under_two_classes_is_excluded_and_never_guessed(tmp_path: Path) -> None:
    disputed = image_of(1)
    sources = {
        "street": plant(tmp_path / "street", {"car/1.png": disputed, "car/1b.png": disputed, "car/2.png": image_of(2)}),
        "yard": plant(tmp_path / "yard", {"caminhão/9.webp": encoded(disputed, "WEBP", lossless=True)}),
    }
    merged = merged_from(tmp_path, sources)
    assert merged.index.ids == (pixel_id(image_of(2)),)
    assert [(each.source, each.path, each.label, each.reason) for each in merged.excluded] == [
        ("street", "car/1.png", "car", "conflict"),
        ("street", "car/1b.png", "car", "conflict"),
        ("yard", "caminhão/9.webp", "caminhão", "conflict"),
    ]
    name = f"{pixel_id(disputed)}.png"
    assert {each.detail for each in merged.excluded} == {f"the same image ({name}) is labelled car and truck"}
    assert name in stored(tmp_path), "a person may want to look at it"


def test_two_boxes_of_one_place_and_two_classes_are_a_conflict(tmp_path: Path) -> None:
    box = Box(0.0, 0.0, 0.5, 0.5)
    annotations = [
        Annotation("1.png", "car", box),
        Annotation("1.png", "truck", box),
        Annotation("1.png", "car", Box(0.5, 0.0, 0.5, 1.0)),
    ]
    merged = merged_from(
        tmp_path, {"yolo": boxed(tmp_path / "yolo", {"1.png": image_of(1)}, annotations, BoxPolicy("crop", 0.0, 8))}
    )
    assert reasons(merged) == {"conflict": 2}
    assert len(merged.index) == 1


def test_ignored_and_unlabelled_images_are_listed_whatever_they_are(tmp_path: Path) -> None:
    street = plant(tmp_path / "street", {"car/1.png": image_of(1), "bus/2.png": b"no image"})
    street = SourceAnnotations(street.root, [*street.annotations, Annotation("not there.png", "")], None)
    merged = merged_from(tmp_path, {"street": street}, ignore=["bus"])
    assert [(each.path, each.reason) for each in merged.excluded] == [
        ("bus/2.png", "ignored_label"),
        ("not there.png", "unlabelled"),
    ]
    assert merged.num_files == 1


def test_an_unknown_label_stops_the_merge(tmp_path: Path) -> None:
    street = plant(tmp_path / "street", {"lorry/1.png": b"no image"})
    with pytest.raises(UnknownLabelError, match=r"street has label 'lorry' \(1 image\)"):
        merged_from(tmp_path, {"street": street})


def test_boxes_without_a_policy_stop_the_ingest(tmp_path: Path) -> None:
    street = SourceAnnotations(
        plant(tmp_path / "yolo", {"1.png": image_of(1)}).root, [Annotation("1.png", "car", Box(0, 0, 1, 1))], None
    )
    with pytest.raises(DataError, match=r"sources\.yolo\.boxes"):
        merged_from(tmp_path, {"yolo": street})


def test_crops_are_the_boxes_pixels_and_share_their_image(tmp_path: Path) -> None:
    image = image_of(1, width=100, height=80)
    annotations = [
        Annotation("1.png", "car", Box(0.1, 0.25, 0.3, 0.5)),
        Annotation("1.png", "truck", Box(0.5, 0.5, 0.5, 0.5)),
    ]
    merged = merged_from(
        tmp_path, {"yolo": boxed(tmp_path / "yolo", {"1.png": image}, annotations, BoxPolicy("crop", 0.0, 8))}
    )
    by_label = {record.label: record for record in merged.index}
    assert by_label["car"].id == pixel_id(image.crop((10, 20, 40, 60)))
    assert by_label["truck"].id == pixel_id(image.crop((50, 40, 100, 80)))
    assert set(merged.index.provenance_keys) == {("image:yolo/1.png",)}
    assert (by_label["car"].width, by_label["car"].height) == (30, 40)
    assert merged.num_files == 1


def test_a_crops_margin_is_clipped_at_the_border(tmp_path: Path) -> None:
    image = image_of(1, width=100, height=80)
    annotations = [
        Annotation("1.png", "car", Box(0.0, 0.5, 0.2, 0.5)),
        Annotation("1.png", "truck", Box(0.4, 0.4, 0.2, 0.2)),
    ]
    merged = merged_from(
        tmp_path, {"yolo": boxed(tmp_path / "yolo", {"1.png": image}, annotations, BoxPolicy("crop", 0.5, 8))}
    )
    by_label = dict(zip(merged.index.labels.tolist(), merged.index.ids, strict=True))
    assert by_label["car"] == pixel_id(image.crop((0, 20, 30, 80)))
    assert by_label["truck"] == pixel_id(image.crop((30, 24, 70, 56)))


def test_a_crop_below_the_least_side_is_excluded_and_not_stored(tmp_path: Path) -> None:
    image = image_of(1, width=100, height=80)
    annotations = [
        Annotation("1.png", "car", Box(0.0, 0.0, 0.5, 0.1)),
        Annotation("1.png", "car", Box(0.0, 0.0, 0.5, 0.11)),
    ]
    merged = merged_from(
        tmp_path, {"yolo": boxed(tmp_path / "yolo", {"1.png": image}, annotations, BoxPolicy("crop", 0.0, 9))}
    )
    assert [(each.path, each.reason, each.detail) for each in merged.excluded] == [
        ("1.png", "small_box", "the crop's shorter side is below 9 pixels")
    ]
    assert list(stored(tmp_path)) == [f"{pixel_id(image.crop((0, 0, 50, 9)))}.png"]


def test_a_crop_of_less_than_a_pixel_is_the_pixel_that_it_touches(tmp_path: Path) -> None:
    image = Image.new("RGB", (10, 10), "white")
    street = boxed(
        tmp_path / "yolo",
        {"1.png": image},
        [Annotation("1.png", "car", Box(0.99, 0.99, 0.01, 0.01))],
        BoxPolicy("crop", 0.0, 1),
    )
    assert merged_from(tmp_path, {"yolo": street}).index.ids == (pixel_id(Image.new("RGB", (1, 1), "white")),)


def test_boxes_lie_in_the_image_as_a_person_sees_it(tmp_path: Path) -> None:
    """Annotation tools show an image upright, and so must the crop be cut."""
    upright = image_of(1, width=40, height=60)
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = encoded(upright.rotate(90, expand=True), "PNG", exif=exif)
    annotations = [Annotation("1.png", "car", Box(0.0, 0.0, 0.5, 0.5))]
    street = SourceAnnotations(plant(tmp_path / "yolo", {"1.png": lying}).root, annotations, BoxPolicy("crop", 0.0, 8))
    assert merged_from(tmp_path, {"yolo": street}).index.ids == (pixel_id(upright.crop((0, 0, 20, 30))),)


def test_a_detection_source_read_whole_keeps_images_of_one_class(tmp_path: Path) -> None:
    box, other = Box(0.0, 0.0, 0.5, 0.5), Box(0.5, 0.5, 0.5, 0.5)
    annotations = [
        Annotation("1.png", "car", box),
        Annotation("1.png", "carro", other),
        Annotation("2.png", "car", box),
        Annotation("2.png", "truck", other),
        Annotation("3.png", ""),
    ]
    images = {f"{number}.png": image_of(number) for number in (1, 2, 3)}
    merged = merged_from(tmp_path, {"yolo": boxed(tmp_path / "yolo", images, annotations, BoxPolicy("whole", 0.0, 8))})
    assert merged.index.ids == (pixel_id(image_of(1)),)
    assert reasons(merged) == {"mixed_labels": 1, "unlabelled": 1}


BAD = {
    "car/empty.jpg": b"",
    "car/pointer.jpg": b"version https://git-lfs.github.com/spec/v1\n",
    "car/page.jpg": b"<html>not found</html>",
    "car/cut.jpg": encoded(image_of(7), "JPEG")[:-100],
    "car/tiny.png": encoded(image_of(8, width=20, height=7)),
    "car/huge.png": encoded(image_of(9, width=1001, height=1000)),
}


def test_corrupt_files_are_listed_by_reason(tmp_path: Path) -> None:
    street = plant(tmp_path / "street", {"car/good.png": image_of(1), **BAD})
    merged = merged_from(tmp_path, {"street": street}, max_corrupt_fraction=0.9)
    assert {each.path: each.reason for each in merged.excluded} == {
        "car/empty.jpg": "empty",
        "car/pointer.jpg": "lfs_pointer",
        "car/page.jpg": "not_an_image",
        "car/cut.jpg": "truncated",
        "car/tiny.png": "too_small",
        "car/huge.png": "too_large",
    }
    assert all(each.detail for each in merged.excluded)
    assert merged.index.ids == (pixel_id(image_of(1)),)
    assert set(reasons(merged)) == {*CORRUPT_REASONS, *SIZE_REASONS}


def test_too_many_corrupt_files_stop_the_merge_with_counts_and_names(tmp_path: Path) -> None:
    street = plant(tmp_path / "street", {"car/good.png": image_of(1), "car/also empty.jpg": b"", **BAD})
    with pytest.raises(DataError) as caught:
        merged_from(tmp_path, {"street": street}, max_corrupt_fraction=0.5)
    message = str(caught.value)
    assert "5 of 8 files are corrupt, more than merge.max_corrupt_fraction = 0.5 allows: 2 empty, 1 " in message
    assert "street: car/empty.jpg: empty (the file is empty)" in message
    assert message.count("street: ") == 5, "the first five are named"


def test_the_fraction_of_corrupt_files_is_a_limit_that_may_be_reached(tmp_path: Path) -> None:
    good = {f"car/{number}.png": image_of(number) for number in range(3)}
    street = plant(tmp_path / "street", {**good, "car/empty.jpg": b""})
    assert reasons(merged_from(tmp_path, {"street": street}, max_corrupt_fraction=0.25)) == {"empty": 1}
    with pytest.raises(DataError, match=r"1 of 4 files are corrupt, .* = 0\.24 allows: 1 empty"):
        merged_from(tmp_path, {"street": street}, max_corrupt_fraction=0.24)


def test_images_that_are_too_small_or_too_large_are_counted_and_are_not_corrupt(tmp_path: Path) -> None:
    sizes = {name: data for name, data in BAD.items() if name in ("car/tiny.png", "car/huge.png")}
    street = plant(
        tmp_path / "street", {"car/good.png": image_of(1), "car/low.png": image_of(2, width=9, height=7), **sizes}
    )
    merged = merged_from(tmp_path, {"street": street}, max_corrupt_fraction=0.0)
    assert reasons(merged) == {"too_small": 2, "too_large": 1}
    assert merged_in_words(merged) == (
        "4 files, 1 different images; 1 too large images (ingest.max_pixels); 2 too small images (ingest.min_side_px)"
    )


def test_crops_and_conflicts_do_not_count_as_corrupt_files(tmp_path: Path) -> None:
    box = Box(0.0, 0.0, 0.5, 0.5)
    annotations = [
        Annotation("1.png", "car", box),
        Annotation("1.png", "truck", box),
        Annotation("1.png", "car", Box(0, 0, 1, 0.1)),
        Annotation("1.png", "car", Box(0, 0, 1, 1)),
    ]
    merged = merged_from(
        tmp_path, {"yolo": boxed(tmp_path / "yolo", {"1.png": image_of(1)}, annotations, BoxPolicy("crop", 0.0, 8))}
    )
    assert reasons(merged) == {"conflict": 2, "small_box": 1}


def test_a_corrupt_file_with_many_boxes_is_one_corrupt_file(tmp_path: Path) -> None:
    annotations = [Annotation("1.png", "car", Box(0.0, 0.0, width, 1.0)) for width in (0.5, 0.6, 0.7)]
    annotations += [Annotation("2.png", "car", Box(0.0, 0.0, 1.0, 1.0))]
    street = SourceAnnotations(
        plant(tmp_path / "yolo", {"1.png": b"", "2.png": image_of(2)}).root, annotations, BoxPolicy("crop", 0.0, 8)
    )
    assert reasons(merged_from(tmp_path, {"yolo": street}, max_corrupt_fraction=0.5)) == {"empty": 3}
    with pytest.raises(DataError, match="1 of 2 files are corrupt"):
        merged_from(tmp_path, {"yolo": street}, max_corrupt_fraction=0.4)


def test_a_merge_that_leaves_nothing_counts_the_reasons(tmp_path: Path) -> None:
    street = plant(
        tmp_path / "street", {"bus/1.png": image_of(1), "car/2.png": image_of(2), "truck/2.png": image_of(2)}
    )
    with pytest.raises(DataError, match=r"no image is left \(2 conflict, 1 ignored_label\)"):
        merged_from(tmp_path, {"street": street}, ignore=["bus"])
    (tmp_path / "yard").mkdir()
    unlabelled = [Annotation("2.png", "", detail="no file of labels at 'labels/2.txt'"), Annotation("3.png", "")]
    message = (
        r"no image is left \(2 unlabelled\)\. The first of each:\n  unlabelled: street: 2\.png \(no file of labels at"
    )
    with pytest.raises(DataError, match=message):
        merged_from(tmp_path, {"street": SourceAnnotations(tmp_path / "yard", unlabelled, None)})
    with pytest.raises(
        DataError, match=r"no image is left \(none was found\); look at labels and at the sources' folders"
    ):
        merged_from(tmp_path, {"street": SourceAnnotations(tmp_path / "yard", [], None)})


def many(tmp_path: Path) -> dict[str, SourceAnnotations]:
    """More images than are decoded at once, some of them duplicates, in conflict or corrupt."""
    street: dict[str, Any] = {f"car/{number:03}.png": image_of(number) for number in range(70)}
    street |= {f"truck/{number:03}.bmp": encoded(image_of(number), "BMP") for number in range(60, 90)}
    street |= {f"car/{number:03}.jpg": encoded(image_of(number), "JPEG") for number in range(90, 120)}
    yard = {f"carro/{number:03}.webp": encoded(image_of(number), "WEBP", lossless=True) for number in range(0, 100, 3)}
    yard |= {"carro/cut.png": encoded(image_of(1))[:-60]}
    return {"street": plant(tmp_path / "street", street), "yard": plant(tmp_path / "yard", yard)}


def test_the_same_inputs_give_the_same_bytes_however_many_workers(tmp_path: Path) -> None:
    sources = many(tmp_path)
    found = []
    for run, workers in enumerate((1, 4, 4)):
        (tmp_path / f"run{run}").mkdir()
        merged = merged_from(tmp_path / f"run{run}", sources, workers=workers, max_corrupt_fraction=0.5)
        folder = tmp_path / f"run{run}" / "ingest"
        digests = {path.relative_to(folder).as_posix(): sha256(path) for path in sorted(folder.glob("*/*"))}
        found.append((merged.index, merged.excluded, merged.hashes.tobytes(), merge_summary(merged), digests))
    assert found[0] == found[1] == found[2]
    # 60-69 are cars and trucks of the street, four of them cars of the yard too; six of 70-89 are trucks and cars
    assert reasons(merged) == {"conflict": 2 * 10 + 4 + 2 * 6, "truncated": 1}


def test_the_summary_counts_what_was_planted(tmp_path: Path) -> None:
    sources = {
        "street": plant(
            tmp_path / "street",
            {"car/1.png": image_of(1), "car/2.png": image_of(2), "truck/3.png": image_of(3), "bus/4.png": image_of(4)},
        ),
        "yard": plant(
            tmp_path / "yard",
            {
                "car/1.png": image_of(1),
                "car/2.bmp": encoded(image_of(2), "BMP"),
                "car/5.png": image_of(5),
                "car/6.png": b"",
            },
        ),
    }
    assert merge_summary(merged_from(tmp_path, sources, ignore=["bus"], max_corrupt_fraction=0.5)) == {
        "images": 4,
        "files": 7,
        "byte_duplicates": 1,
        "pixel_duplicates": 1,
        "classes": {"car": 3, "truck": 1},
        "sources": {"street": 3, "yard": 1},
        "excluded": {"empty": 1, "ignored_label": 1},
    }


def test_what_is_saved_is_what_later_stages_read(tmp_path: Path) -> None:
    sources = {
        "street": plant(tmp_path / "street", {"car/1.png": image_of(1), "truck/2.png": image_of(2), "bus/3.png": b""})
    }
    merged = merged_from(tmp_path, sources, ignore=["bus"])
    save_merged(merged, tmp_path)
    assert load_index(tmp_path / "index.csv") == merged.index
    assert read_json(tmp_path / "classes.json") == ["car", "truck"]
    assert np.array_equal(np.load(tmp_path / "hashes.npy"), merged.hashes)
    assert read_csv(tmp_path / "excluded.csv") == [
        {"source": "street", "path": "bus/3.png", "label": "bus", "reason": "ignored_label", "detail": ""}
    ]


def exif_of(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


KINDS: dict[str, bytes] = {
    "plain.png": encoded(image_of(1)),
    "gray.png": encoded(image_of(1).convert("L")),
    "turned.png": encoded(image_of(1), exif=exif_of(6)),
    "turned.jpg": encoded(image_of(1), "JPEG", exif=exif_of(8)),
    "turned.webp": encoded(image_of(1), "WEBP", exif=exif_of(5)),
    "profile.jpg": encoded(image_of(1), "JPEG", icc_profile=b"a profile that nobody can read"),
    "gray.jpg": encoded(image_of(1).convert("L"), "JPEG"),
    "cmyk.jpg": encoded(image_of(1).convert("CMYK"), "JPEG"),
    "cmyk.tif": encoded(image_of(1).convert("CMYK"), "TIFF"),
    "palette.png": encoded(image_of(1).quantize(16)),
    "palette, one clear.png": encoded(image_of(1).quantize(16), transparency=2),
    "palette, all half clear.png": encoded(image_of(1).quantize(16), transparency=bytes([128] * 16)),
    "color key.png": encoded(image_of(1), transparency=image_of(1).getpixel((0, 0))),
    "gray key.png": encoded(image_of(1).convert("L"), transparency=image_of(1).convert("L").getpixel((0, 0))),
    "half clear.png": encoded(Image.merge("RGBA", [*image_of(1).split(), image_of(2).convert("L")])),
    "half clear.webp": encoded(Image.merge("RGBA", [*image_of(1).split(), image_of(2).convert("L")]), "WEBP"),
    "gray and alpha.png": encoded(Image.merge("LA", [image_of(1).convert("L"), image_of(2).convert("L")])),
    "16 bit.png": encoded(Image.fromarray(np.arange(48 * 36, dtype=np.uint16).reshape(36, 48) * 37)),
    "float.tif": encoded(image_of(1).convert("F"), "TIFF"),
    "1 bit.png": encoded(image_of(1).convert("1")),
    "still.gif": encoded(image_of(1), "GIF"),
    "moving.gif": encoded(image_of(1), "GIF", save_all=True, append_images=[image_of(2)]),
    "moving.webp": encoded(image_of(1), "WEBP", save_all=True, append_images=[image_of(2)]),
    "phone.jpg": encoded(image_of(1), "MPO", save_all=True, append_images=[image_of(2)]),
    "image.avif": encoded(image_of(1), "AVIF"),
}


@pytest.mark.parametrize("name", KINDS)
def test_the_stored_file_holds_the_pixels_of_the_records_id(tmp_path: Path, name: str) -> None:
    merged = merged_from(tmp_path, {"street": plant(tmp_path / "street", {f"car/{name}": KINDS[name]})})
    [record] = merged.index
    data = stored(tmp_path)[record.file]
    again = decode(data, min_side_px=1, max_pixels=10_000)
    assert pixel_id(again.image) == record.id == pixel_id(decode(KINDS[name], min_side_px=1, max_pixels=10_000).image)
    assert again.image.size == (record.width, record.height)
    assert record.file == f"{record.id}.{again.extension}", "plain RGB or gray, with the extension of its format"
    naive = Image.open(io.BytesIO(data)).convert("RGB")
    assert pixel_id(naive) == record.id, "and any other reader sees the same"


def test_annotations_are_read_from_the_sources_folders_by_their_format(tmp_path: Path) -> None:
    plant(tmp_path / "street", {"car/1.png": image_of(1)})
    (tmp_path / "yolo" / "labels").mkdir(parents=True)
    plant(tmp_path / "yolo", {"images/1.png": image_of(2)})
    (tmp_path / "yolo" / "data.yaml").write_text("names: [truck]\n")
    (tmp_path / "yolo" / "labels" / "1.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    boxes = BoxPolicy("crop", 0.1, 4)
    stated = {
        "street": source("archive", path="street.zip"),
        "yolo": source("archive", path="yolo.zip", format="yolo", boxes=boxes),
    }
    sources = {name: read_source(each, files=tmp_path / name) for name, each in stated.items()}
    assert sources == {
        "street": SourceAnnotations(tmp_path / "street", [Annotation("car/1.png", "car")], None),
        "yolo": SourceAnnotations(
            tmp_path / "yolo",
            [Annotation("images/1.png", "truck", Box(0.25, 0.25, 0.5, 0.5))],
            boxes,
        ),
    }
    assert merged_from(tmp_path, sources).index.labels.tolist().count("truck") == 1


def test_the_summary_lists_labels_that_are_joined_by_folding_alone(tmp_path: Path) -> None:
    images = {"cár/1.png": image_of(1), "car/2.png": image_of(2), "truck/3.png": image_of(3)}
    merged = merged_from(tmp_path, {"street": plant(tmp_path / "street", images)})
    summary = merge_summary(merged)
    assert summary["joined_by_folding"] == [
        {"source": "street", "label": "car", "class_name": "car", "num_annotations": 1},
        {"source": "street", "label": "cár", "class_name": "car", "num_annotations": 1},
    ]
    words = merged_in_words(merged)
    assert words.endswith("labels joined without case and accents: 'car' of street as car, 'cár' of street as car")


def test_what_an_annotation_says_against_its_use_is_listed(tmp_path: Path) -> None:
    street = plant(tmp_path / "street", {"car/1.png": image_of(1)})
    outside = Annotation("1.png", "truck", None, "empty_box", "a.txt, line 2: nothing of the box lies in the image")
    street = SourceAnnotations(street.root, [*street.annotations, outside], None)
    (excluded,) = merged_from(tmp_path, {"street": street}).excluded
    assert (excluded.path, excluded.label, excluded.reason) == ("1.png", "truck", "empty_box")
    assert excluded.detail == "a.txt, line 2: nothing of the box lies in the image"


def test_annotations_that_cannot_be_used_are_counted_and_said_and_too_many_stop_the_merge(tmp_path: Path) -> None:
    street = plant(
        tmp_path / "street", {"car/1.png": image_of(1), "car/2.png": image_of(2), "truck/3.png": image_of(3)}
    )
    bad = Annotation("1.png", "", None, "bad_annotation", "a.txt, line 2 is not a line of numbers")
    street = SourceAnnotations(street.root, [*street.annotations, bad], None)
    merged = merged_from(tmp_path, {"street": street}, max_corrupt_fraction=0.25)
    assert reasons(merged) == {"bad_annotation": 1}
    assert "; 1 annotation that cannot be used" in merged_in_words(merged)
    with pytest.raises(DataError, match=r"1 of 4 annotations of street cannot be used, more than .* = 0\.24 allows"):
        merged_from(tmp_path / "again", {"street": street}, max_corrupt_fraction=0.24)


def test_an_image_is_stored_by_the_first_source_that_uses_it_and_bears_that_ones_suffix(tmp_path: Path) -> None:
    webp = encoded(image_of(1), "WEBP", lossless=True)
    sources = {
        "yard": plant(tmp_path / "yard", {"bus/1.png": image_of(1)}),
        "street": plant(tmp_path / "street", {"car/1.webp": webp, "truck/2.png": image_of(2)}),
    }
    merged = merged_from(tmp_path, sources, ignore=["bus"])
    row = merged.index.ids.index(pixel_id(image_of(1)))
    assert merged.index.files[row] == f"{pixel_id(image_of(1))}.webp"
    assert merged.stored.shards[row] == "street/images-00000.tar"
    assert merged.stored.packed(tmp_path / "ingest")[row].read_bytes() == webp
    assert merged.stored.sha256[row] == hashlib.sha256(webp).hexdigest()
    assert merged.stored.ids == merged.index.ids
