"""Merging of sources planted as files: small drawn images in class folders, and boxes stated as items."""

import hashlib
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tandem.datasets import merge as merging
from tandem.datasets.examples import BoxPolicy, SourceItems
from tandem.datasets.formats.annotations import Annotation, Box
from tandem.datasets.labels import label_map
from tandem.datasets.merge import Merged
from tandem.errors import DataError, UnknownLabelError
from tandem.images.decode import decode, pixel_id
from tandem.images.hashing import dihedral_phashes
from tandem.tables.index import Origin

CLASSES = {"car": ["carro"], "truck": ["caminhão"]}
LIMITS = {"min_side_px": 8, "max_pixels": 1_000_000, "max_broken_share": 0.0, "workers": 2}


def drawn(number: int, *, width: int = 48, height: int = 36) -> Image.Image:
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


def plant(root: Path, contents: Mapping[str, bytes | Image.Image]) -> SourceItems:
    """Class folders: the label is the first folder of each path."""
    for path, content in contents.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content if isinstance(content, bytes) else encoded(content))
    return SourceItems(root, [Annotation(path, path.split("/")[0]) for path in contents], None)


def boxed(root: Path, images: Mapping[str, Image.Image], items: Sequence[Annotation], boxes: BoxPolicy) -> SourceItems:
    return SourceItems(plant(root, images).root, items, boxes)


def merge(tmp_path: Path, offers: Mapping[str, SourceItems], *, ignore: Sequence[str] = (), **changes: Any) -> Merged:
    images_dir = tmp_path / "images"
    images_dir.mkdir(exist_ok=True)
    labels = label_map(classes=CLASSES, ignore=ignore, by_source={})
    return merging.merge(offers, labels=labels, images_dir=images_dir, **{**LIMITS, **changes})


def reasons(merged: Merged) -> dict[str, int]:
    return dict(Counter(drop.reason for drop in merged.dropped))


def stored(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "images").iterdir())


def test_every_image_becomes_a_record_that_says_where_it_came_from(tmp_path: Path) -> None:
    offer = plant(
        tmp_path / "street", {"car/1.png": drawn(1), "carro/2.png": drawn(2, width=30), "truck/3.png": drawn(3)}
    )
    merged = merge(tmp_path, {"street": offer})
    by_path = {record.origins[0].path: record for record in merged.index.records}
    assert {path: record.label for path, record in by_path.items()} == {
        "car/1.png": "car",
        "carro/2.png": "car",
        "truck/3.png": "truck",
    }
    second = by_path["carro/2.png"]
    assert second.id == pixel_id(drawn(2, width=30))
    assert (second.width, second.height, second.provenance_keys) == (30, 36, ())
    assert second.origins == (Origin("street", "carro/2.png", "carro"),)
    assert (tmp_path / "images" / second.file).read_bytes() == (tmp_path / "street" / "carro/2.png").read_bytes()
    assert (merged.dropped, merged.num_files, merged.num_byte_duplicates, merged.num_pixel_duplicates) == ((), 3, 0, 0)


def test_hashes_stand_in_the_order_of_the_records(tmp_path: Path) -> None:
    images = {pixel_id(drawn(number)): drawn(number) for number in range(5)}
    offer = plant(tmp_path / "street", {f"car/{id_}.png": image for id_, image in images.items()})
    merged = merge(tmp_path, {"street": offer})
    assert merged.index.ids == sorted(images)
    expected = np.stack([dihedral_phashes(images[id_]) for id_ in merged.index.ids])
    assert np.array_equal(merged.hashes, expected)


def test_copies_of_bytes_and_of_pixels_become_one_record_with_all_origins(tmp_path: Path) -> None:
    image, other = drawn(1), drawn(2)
    offers = {
        "street": plant(tmp_path / "street", {"car/a.png": image, "car/copy of a.png": image, "car/b.png": other}),
        "yard": plant(
            tmp_path / "yard",
            {"carro/a.webp": encoded(image, "WEBP", lossless=True), "carro/a.bmp": encoded(image, "BMP")},
        ),
    }
    merged = merge(tmp_path, offers)
    record = next(record for record in merged.index.records if record.id == pixel_id(image))
    assert record.origins == (
        Origin("street", "car/a.png", "car"),
        Origin("street", "car/copy of a.png", "car"),
        Origin("yard", "carro/a.webp", "carro"),
        Origin("yard", "carro/a.bmp", "carro"),
    )
    assert record.source == "street"
    assert (len(merged.index.records), merged.num_files) == (2, 5)
    assert (merged.num_byte_duplicates, merged.num_pixel_duplicates) == (1, 2)
    assert merged.dropped == ()


def test_of_pixel_copies_the_first_files_bytes_are_kept(tmp_path: Path) -> None:
    webp = encoded(drawn(1), "WEBP", lossless=True)
    offer = plant(tmp_path / "street", {"car/1.webp": webp, "car/2.png": drawn(1)})
    merged = merge(tmp_path, {"street": offer})
    assert [(tmp_path / "images" / name).read_bytes() for name in stored(tmp_path)] == [webp]
    assert merged.index.records[0].file == f"{pixel_id(drawn(1))}.webp"


def test_a_record_has_the_hints_of_all_its_copies(tmp_path: Path) -> None:
    exports = ("car/ride_mp4-1.png", "car/a_jpg.rf.KJ730oDTFPdXdJxvSLnX.png", "car/ride_mp4-1.bmp", "carro/plain.png")
    offer = plant(tmp_path / "street", {path: encoded(drawn(1), path[-3:].upper()) for path in exports})
    merged = merge(tmp_path, {"street": offer})
    assert [record.provenance_keys for record in merged.index.records] == [("stem:street/car/a", "video:street/ride")]


def test_one_image_under_two_classes_is_set_aside_and_never_guessed(tmp_path: Path) -> None:
    disputed = drawn(1)
    offers = {
        "street": plant(tmp_path / "street", {"car/1.png": disputed, "car/1b.png": disputed, "car/2.png": drawn(2)}),
        "yard": plant(tmp_path / "yard", {"caminhão/9.webp": encoded(disputed, "WEBP", lossless=True)}),
    }
    merged = merge(tmp_path, offers)
    assert merged.index.ids == [pixel_id(drawn(2))]
    assert [(drop.source, drop.path, drop.label, drop.reason) for drop in merged.dropped] == [
        ("street", "car/1.png", "car", "conflict"),
        ("street", "car/1b.png", "car", "conflict"),
        ("yard", "caminhão/9.webp", "caminhão", "conflict"),
    ]
    name = f"{pixel_id(disputed)}.png"
    assert {drop.detail for drop in merged.dropped} == {f"the same image ({name}) is labelled car and truck"}
    assert name in stored(tmp_path), "a person may want to look at it"


def test_two_boxes_of_one_place_and_two_classes_are_a_conflict(tmp_path: Path) -> None:
    box = Box(0.0, 0.0, 0.5, 0.5)
    items = [
        Annotation("1.png", "car", box),
        Annotation("1.png", "truck", box),
        Annotation("1.png", "car", Box(0.5, 0.0, 0.5, 1.0)),
    ]
    merged = merge(tmp_path, {"yolo": boxed(tmp_path / "yolo", {"1.png": drawn(1)}, items, BoxPolicy("crop", 0.0, 8))})
    assert reasons(merged) == {"conflict": 2}
    assert len(merged.index.records) == 1


def test_ignored_and_unlabelled_images_are_listed_and_not_opened(tmp_path: Path) -> None:
    offer = plant(tmp_path / "street", {"car/1.png": drawn(1), "bus/2.png": b"no image"})
    offer = SourceItems(offer.root, [*offer.items, Annotation("not there.png", "")], None)
    merged = merge(tmp_path, {"street": offer}, ignore=["bus"])
    assert [(drop.path, drop.reason) for drop in merged.dropped] == [
        ("bus/2.png", "ignored_label"),
        ("not there.png", "unlabelled"),
    ]
    assert merged.num_files == 1


def test_an_unknown_label_stops_the_merge_before_a_image_is_read(tmp_path: Path) -> None:
    offer = plant(tmp_path / "street", {"lorry/1.png": b"no image"})
    with pytest.raises(UnknownLabelError, match=r"street has label 'lorry' \(1 image\)"):
        merge(tmp_path, {"street": offer})
    assert stored(tmp_path) == []


def test_boxes_without_a_word_on_them_stop_the_merge(tmp_path: Path) -> None:
    offer = SourceItems(
        plant(tmp_path / "yolo", {"1.png": drawn(1)}).root, [Annotation("1.png", "car", Box(0, 0, 1, 1))], None
    )
    with pytest.raises(DataError, match=r"sources\.yolo\.boxes"):
        merge(tmp_path, {"yolo": offer})


def test_crops_are_the_boxes_pixels_and_share_their_image(tmp_path: Path) -> None:
    image = drawn(1, width=100, height=80)
    items = [
        Annotation("1.png", "car", Box(0.1, 0.25, 0.3, 0.5)),
        Annotation("1.png", "truck", Box(0.5, 0.5, 0.5, 0.5)),
    ]
    merged = merge(tmp_path, {"yolo": boxed(tmp_path / "yolo", {"1.png": image}, items, BoxPolicy("crop", 0.0, 8))})
    by_label = {record.label: record for record in merged.index.records}
    assert by_label["car"].id == pixel_id(image.crop((10, 20, 40, 60)))
    assert by_label["truck"].id == pixel_id(image.crop((50, 40, 100, 80)))
    assert {record.provenance_keys for record in merged.index.records} == {("image:yolo/1.png",)}
    assert (by_label["car"].width, by_label["car"].height) == (30, 40)
    assert merged.num_files == 1


def test_a_crops_margin_is_clipped_at_the_border(tmp_path: Path) -> None:
    image = drawn(1, width=100, height=80)
    items = [Annotation("1.png", "car", Box(0.0, 0.5, 0.2, 0.5)), Annotation("1.png", "truck", Box(0.4, 0.4, 0.2, 0.2))]
    merged = merge(tmp_path, {"yolo": boxed(tmp_path / "yolo", {"1.png": image}, items, BoxPolicy("crop", 0.5, 8))})
    by_label = {record.label: record.id for record in merged.index.records}
    assert by_label["car"] == pixel_id(image.crop((0, 20, 30, 80)))
    assert by_label["truck"] == pixel_id(image.crop((30, 24, 70, 56)))


def test_a_crop_below_the_least_side_is_left_out_and_not_stored(tmp_path: Path) -> None:
    image = drawn(1, width=100, height=80)
    items = [Annotation("1.png", "car", Box(0.0, 0.0, 0.5, 0.1)), Annotation("1.png", "car", Box(0.0, 0.0, 0.5, 0.11))]
    merged = merge(tmp_path, {"yolo": boxed(tmp_path / "yolo", {"1.png": image}, items, BoxPolicy("crop", 0.0, 9))})
    assert [(drop.path, drop.reason, drop.detail) for drop in merged.dropped] == [
        ("1.png", "small_box", "the crop's shorter side is below 9 pixels")
    ]
    assert stored(tmp_path) == [f"{pixel_id(image.crop((0, 0, 50, 9)))}.png"]


def test_a_crop_of_less_than_a_pixel_is_the_pixel_that_it_touches(tmp_path: Path) -> None:
    image = Image.new("RGB", (10, 10), "white")
    offer = boxed(
        tmp_path / "yolo",
        {"1.png": image},
        [Annotation("1.png", "car", Box(0.99, 0.99, 0.01, 0.01))],
        BoxPolicy("crop", 0.0, 1),
    )
    assert merge(tmp_path, {"yolo": offer}).index.ids == [pixel_id(Image.new("RGB", (1, 1), "white"))]


def test_boxes_lie_in_the_image_as_a_person_sees_it(tmp_path: Path) -> None:
    """Annotation tools show an image upright, and so must the crop be cut."""
    upright = drawn(1, width=40, height=60)
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = encoded(upright.rotate(90, expand=True), "PNG", exif=exif)
    items = [Annotation("1.png", "car", Box(0.0, 0.0, 0.5, 0.5))]
    offer = SourceItems(plant(tmp_path / "yolo", {"1.png": lying}).root, items, BoxPolicy("crop", 0.0, 8))
    assert merge(tmp_path, {"yolo": offer}).index.ids == [pixel_id(upright.crop((0, 0, 20, 30)))]


def test_a_detection_source_read_whole_keeps_images_of_one_class(tmp_path: Path) -> None:
    box, other = Box(0.0, 0.0, 0.5, 0.5), Box(0.5, 0.5, 0.5, 0.5)
    items = [
        Annotation("1.png", "car", box),
        Annotation("1.png", "carro", other),
        Annotation("2.png", "car", box),
        Annotation("2.png", "truck", other),
        Annotation("3.png", ""),
    ]
    images = {f"{number}.png": drawn(number) for number in (1, 2, 3)}
    merged = merge(tmp_path, {"yolo": boxed(tmp_path / "yolo", images, items, BoxPolicy("whole", 0.0, 8))})
    assert merged.index.ids == [pixel_id(drawn(1))]
    assert reasons(merged) == {"mixed_labels": 1, "unlabelled": 1}


BAD = {
    "car/empty.jpg": b"",
    "car/page.jpg": b"<html>not found</html>",
    "car/cut.jpg": encoded(drawn(7), "JPEG")[:-100],
    "car/tiny.png": encoded(drawn(8, width=20, height=7)),
    "car/huge.png": encoded(drawn(9, width=1001, height=1000)),
}


def test_broken_files_are_listed_by_reason(tmp_path: Path) -> None:
    offer = plant(tmp_path / "street", {"car/good.png": drawn(1), **BAD})
    merged = merge(tmp_path, {"street": offer}, max_broken_share=0.9)
    assert {drop.path: drop.reason for drop in merged.dropped} == {
        "car/empty.jpg": "empty",
        "car/page.jpg": "not_an_image",
        "car/cut.jpg": "truncated",
        "car/tiny.png": "too_small",
        "car/huge.png": "too_large",
    }
    assert all(drop.detail for drop in merged.dropped)
    assert merged.index.ids == [pixel_id(drawn(1))]
    assert set(reasons(merged)) == set(merging.CORRUPT_REASONS)


def test_too_many_broken_files_stop_the_merge_with_counts_and_names(tmp_path: Path) -> None:
    offer = plant(tmp_path / "street", {"car/good.png": drawn(1), "car/also empty.jpg": b"", **BAD})
    with pytest.raises(DataError) as caught:
        merge(tmp_path, {"street": offer}, max_broken_share=0.5)
    message = str(caught.value)
    assert "6 of 7 files are broken, more than merge.max_broken_share = 0.5 allows: 2 empty, 1 " in message
    assert "street: car/empty.jpg: empty (the file is empty)" in message
    assert message.count("street: ") == 5, "the first five are named"


def test_the_share_of_broken_files_is_a_limit_that_may_be_reached(tmp_path: Path) -> None:
    good = {f"car/{number}.png": drawn(number) for number in range(3)}
    offer = plant(tmp_path / "street", {**good, "car/empty.jpg": b""})
    assert reasons(merge(tmp_path, {"street": offer}, max_broken_share=0.25)) == {"empty": 1}
    with pytest.raises(DataError, match=r"1 of 4 files are broken, .* = 0\.24 allows: 1 empty"):
        merge(tmp_path, {"street": offer}, max_broken_share=0.24)


def test_crops_and_conflicts_do_not_count_as_broken_files(tmp_path: Path) -> None:
    box = Box(0.0, 0.0, 0.5, 0.5)
    items = [
        Annotation("1.png", "car", box),
        Annotation("1.png", "truck", box),
        Annotation("1.png", "car", Box(0, 0, 1, 0.1)),
        Annotation("1.png", "car", Box(0, 0, 1, 1)),
    ]
    merged = merge(tmp_path, {"yolo": boxed(tmp_path / "yolo", {"1.png": drawn(1)}, items, BoxPolicy("crop", 0.0, 8))})
    assert reasons(merged) == {"conflict": 2, "small_box": 1}


def test_a_broken_file_with_many_boxes_is_one_broken_file(tmp_path: Path) -> None:
    items = [Annotation("1.png", "car", Box(0.0, 0.0, share, 1.0)) for share in (0.5, 0.6, 0.7)]
    items += [Annotation("2.png", "car", Box(0.0, 0.0, 1.0, 1.0))]
    offer = SourceItems(
        plant(tmp_path / "yolo", {"1.png": b"", "2.png": drawn(2)}).root, items, BoxPolicy("crop", 0.0, 8)
    )
    assert reasons(merge(tmp_path, {"yolo": offer}, max_broken_share=0.5)) == {"empty": 3}
    with pytest.raises(DataError, match="1 of 2 files are broken"):
        merge(tmp_path, {"yolo": offer}, max_broken_share=0.4)


def test_a_merge_that_leaves_nothing_says_where_all_went(tmp_path: Path) -> None:
    offer = plant(tmp_path / "street", {"bus/1.png": drawn(1), "car/2.png": drawn(2), "truck/2.png": drawn(2)})
    with pytest.raises(DataError, match=r"no image is left \(2 conflict, 1 ignored_label\)"):
        merge(tmp_path, {"street": offer}, ignore=["bus"])
    with pytest.raises(DataError, match=r"no image is left \(none was found\)"):
        merge(tmp_path, {"street": SourceItems(tmp_path, [], None)})


def many(tmp_path: Path) -> dict[str, SourceItems]:
    """More images than are in work at once, some of them copies, conflicts and broken."""
    street: dict[str, Any] = {f"car/{number:03}.png": drawn(number) for number in range(70)}
    street |= {f"truck/{number:03}.bmp": encoded(drawn(number), "BMP") for number in range(60, 90)}
    street |= {f"car/{number:03}.jpg": encoded(drawn(number), "JPEG") for number in range(90, 120)}
    yard = {f"carro/{number:03}.webp": encoded(drawn(number), "WEBP", lossless=True) for number in range(0, 100, 3)}
    yard |= {"carro/cut.png": encoded(drawn(1))[:-60]}
    return {"street": plant(tmp_path / "street", street), "yard": plant(tmp_path / "yard", yard)}


def test_the_same_inputs_give_the_same_bytes_however_many_workers(tmp_path: Path) -> None:
    offers = many(tmp_path)
    found = []
    for run, workers in enumerate((1, 4, 4)):
        (tmp_path / f"run{run}").mkdir()
        merged = merge(tmp_path / f"run{run}", offers, workers=workers, max_broken_share=0.5)
        folder = tmp_path / f"run{run}" / "images"
        digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
        found.append((merged.index, merged.dropped, merged.hashes.tobytes(), merging.merge_summary(merged), digests))
    assert found[0] == found[1] == found[2]
    # 60-69 are cars and trucks of the street, four of them cars of the yard too; six of 70-89 are trucks and cars
    assert reasons(merged) == {"conflict": 2 * 10 + 4 + 2 * 6, "truncated": 1}


def test_the_summary_counts_what_was_planted(tmp_path: Path) -> None:
    offers = {
        "street": plant(
            tmp_path / "street",
            {"car/1.png": drawn(1), "car/2.png": drawn(2), "truck/3.png": drawn(3), "bus/4.png": drawn(4)},
        ),
        "yard": plant(
            tmp_path / "yard",
            {"car/1.png": drawn(1), "car/2.bmp": encoded(drawn(2), "BMP"), "car/5.png": drawn(5), "car/6.png": b""},
        ),
    }
    assert merging.merge_summary(merge(tmp_path, offers, ignore=["bus"], max_broken_share=0.5)) == {
        "images": 4,
        "files": 7,
        "byte_copies": 1,
        "pixel_copies": 1,
        "classes": {"car": 3, "truck": 1},
        "sources": {"street": 3, "yard": 1},
        "dropped": {"empty": 1, "ignored_label": 1},
    }


def exif_of(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


KINDS: dict[str, bytes] = {
    "plain.png": encoded(drawn(1)),
    "gray.png": encoded(drawn(1).convert("L")),
    "turned.png": encoded(drawn(1), exif=exif_of(6)),
    "turned.jpg": encoded(drawn(1), "JPEG", exif=exif_of(8)),
    "turned.webp": encoded(drawn(1), "WEBP", exif=exif_of(5)),
    "profile.jpg": encoded(drawn(1), "JPEG", icc_profile=b"a profile that nobody can read"),
    "gray.jpg": encoded(drawn(1).convert("L"), "JPEG"),
    "cmyk.jpg": encoded(drawn(1).convert("CMYK"), "JPEG"),
    "cmyk.tif": encoded(drawn(1).convert("CMYK"), "TIFF"),
    "palette.png": encoded(drawn(1).quantize(16)),
    "palette, one clear.png": encoded(drawn(1).quantize(16), transparency=2),
    "palette, all half clear.png": encoded(drawn(1).quantize(16), transparency=bytes([128] * 16)),
    "color key.png": encoded(drawn(1), transparency=drawn(1).getpixel((0, 0))),
    "gray key.png": encoded(drawn(1).convert("L"), transparency=drawn(1).convert("L").getpixel((0, 0))),
    "half clear.png": encoded(Image.merge("RGBA", [*drawn(1).split(), drawn(2).convert("L")])),
    "half clear.webp": encoded(Image.merge("RGBA", [*drawn(1).split(), drawn(2).convert("L")]), "WEBP"),
    "gray and alpha.png": encoded(Image.merge("LA", [drawn(1).convert("L"), drawn(2).convert("L")])),
    "16 bit.png": encoded(Image.fromarray(np.arange(48 * 36, dtype=np.uint16).reshape(36, 48) * 37)),
    "float.tif": encoded(drawn(1).convert("F"), "TIFF"),
    "1 bit.png": encoded(drawn(1).convert("1")),
    "still.gif": encoded(drawn(1), "GIF"),
    "moving.gif": encoded(drawn(1), "GIF", save_all=True, append_images=[drawn(2)]),
    "moving.webp": encoded(drawn(1), "WEBP", save_all=True, append_images=[drawn(2)]),
    "phone.jpg": encoded(drawn(1), "MPO", save_all=True, append_images=[drawn(2)]),
    "image.avif": encoded(drawn(1), "AVIF"),
}


@pytest.mark.parametrize("name", KINDS)
def test_the_stored_file_holds_the_pixels_of_the_records_id(tmp_path: Path, name: str) -> None:
    merged = merge(tmp_path, {"street": plant(tmp_path / "street", {f"car/{name}": KINDS[name]})})
    record = merged.index.records[0]
    data = (tmp_path / "images" / record.file).read_bytes()
    again = decode(data, min_side_px=1, max_pixels=10_000)
    assert pixel_id(again.image) == record.id == pixel_id(decode(KINDS[name], min_side_px=1, max_pixels=10_000).image)
    assert again.image.size == (record.width, record.height)
    assert record.file == f"{record.id}.{again.extension}", "plain RGB or gray, with the extension of its format"
    naive = Image.open(io.BytesIO(data)).convert("RGB")
    assert pixel_id(naive) == record.id, "and any other reader sees the same"


def test_offers_come_from_the_sources_folders_by_their_format(tmp_path: Path) -> None:
    plant(tmp_path / "street", {"car/1.png": drawn(1)})
    (tmp_path / "yolo" / "labels").mkdir(parents=True)
    plant(tmp_path / "yolo", {"images/1.png": drawn(2)})
    (tmp_path / "yolo" / "data.yaml").write_text("names: [truck]\n")
    (tmp_path / "yolo" / "labels" / "1.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    boxes = {"use": "crop", "margin": 0.1, "min_side_px": 4}
    offers = merging.read_sources(
        {"street": {"format": "auto"}, "yolo": {"format": "yolo", "boxes": boxes}}, downloads=tmp_path
    )
    assert offers == {
        "street": SourceItems(tmp_path / "street", [Annotation("car/1.png", "car")], None),
        "yolo": SourceItems(
            tmp_path / "yolo",
            [Annotation("images/1.png", "truck", Box(0.25, 0.25, 0.5, 0.5))],
            BoxPolicy("crop", 0.1, 4),
        ),
    }
    assert [record.label for record in merge(tmp_path, offers).index.records].count("truck") == 1
