"""One source ingested: what is decoded how often, what is stored, and what is said of it. See also test_merge.py."""

import hashlib
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from factories import ingest_settings, label_settings, merge_settings
from planted_images import png, with_capture
from tandem.datasets.examples import SourceAnnotations
from tandem.datasets.formats.annotations import Annotation, Box
from tandem.datasets.ingest import ingest
from tandem.datasets.ingested import Found, Ingested, ingested_in_words
from tandem.datasets.labels import label_map
from tandem.datasets.merge import Merged, merge
from tandem.errors import UnknownLabelError
from tandem.images import signatures
from tandem.images.decode import pixel_id
from tandem.sources.settings import BoxPolicy


def noise(number: int, *, size: tuple[int, int] = (48, 36)) -> Image.Image:
    rng = np.random.default_rng(number)
    return Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), dtype=np.uint8))


def plant(root: Path, contents: dict[str, bytes]) -> list[Annotation]:
    for path, data in contents.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return [Annotation(path, path.split("/")[0]) for path in contents]


def ingested(root: Path, annotations: list[Annotation], boxes: BoxPolicy | None = None, **settings: int) -> Ingested:
    folder = root / "ingested"
    folder.mkdir(parents=True, exist_ok=True)
    source = SourceAnnotations(root, annotations, boxes)
    return ingest("yard", source, ingest_settings(**settings), folder=folder, workers=1)


def test_each_file_is_decoded_once_however_many_boxes_and_labels_and_copies_it_has(
    tmp_path: Path, decodes: Counter[bytes]
) -> None:
    data = {name: png(noise(number)) for number, name in enumerate("abc")}
    plant(tmp_path, {"1.png": data["a"], "copy of 1.png": data["a"], "2.png": data["b"], "3.png": data["c"]})
    left, right = Box(0, 0, 0.5, 1), Box(0.5, 0, 0.5, 1)
    annotations = [
        Annotation(path, "car", box) for path in ("1.png", "2.png", "copy of 1.png") for box in (left, right)
    ]
    annotations += [Annotation("1.png", "truck", right), Annotation("3.png", "")]
    found = ingested(tmp_path, annotations, BoxPolicy("crop", 0.0, 4))
    assert decodes == {data["a"]: 1, data["b"]: 1}, "and what has no label is not decoded"
    assert len(found.images) == 4
    assert found.found["1.png", left] == found.found["copy of 1.png", left]


def test_a_large_file_of_an_images_name_has_the_digest_of_all_its_bytes_and_is_held_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decodes: Counter[bytes]
) -> None:
    monkeypatch.setattr(signatures, "_LARGE_BYTES", 10_000)
    ride = b"\0\0\0\x20ftypisom" + bytes(90_000)
    image = png(noise(1, size=(90, 80)))
    assert len(image) > 10_000
    annotations = plant(tmp_path, {"car/ride.jpg": ride, "car/1.png": image})
    found = ingested(tmp_path, annotations)
    assert found.found["car/ride.jpg", None].reason == "not_an_image"
    digests = [found.found[each.path, None].sha256 for each in annotations]
    assert digests == [hashlib.sha256(data).hexdigest() for data in (ride, image)]
    assert decodes == {ride[:512]: 1, image: 1}


def test_a_file_of_more_bytes_than_an_image_has_is_named_and_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decodes: Counter[bytes]
) -> None:
    monkeypatch.setattr(signatures, "_LARGE_BYTES", 10_000)
    monkeypatch.setattr(signatures, "_MAX_BYTES", 20_000)
    slide = b"II*\0" + bytes(30_000)
    annotations = plant(tmp_path, {"car/slide.tif": slide, "car/1.png": png(noise(1))})
    found = ingested(tmp_path, annotations).found["car/slide.tif", None]
    assert (found.reason, found.sha256) == ("too_large", hashlib.sha256(slide).hexdigest())
    assert list(decodes) == [png(noise(1))]


@pytest.mark.parametrize("workers", [2, 16])
def test_where_an_image_is_stored_does_not_depend_on_how_many_files_are_in_memory_at_once(
    tmp_path: Path, workers: int
) -> None:
    """One crop of the first file's bytes, another one of the same bytes under the last name, 70 files later."""
    files = {f"{number:02}.png": png(noise(number, size=(12, 9))) for number in range(70)}
    plant(tmp_path, files | {"99.png": files["00.png"]})
    left, right = Box(0, 0, 0.5, 1), Box(0.5, 0, 0.5, 1)
    annotations = [Annotation(name, "car", left) for name in files] + [Annotation("99.png", "car", right)]
    source = SourceAnnotations(tmp_path, annotations, BoxPolicy("crop", 0.0, 4))
    (tmp_path / "out").mkdir()
    settings = ingest_settings(min_side_px=4)
    found = ingest("yard", source, settings, folder=tmp_path / "out", workers=workers)
    assert [image.id for image in found.images][-1] == found.found["99.png", right].id
    assert len(found.images) == 71


def merged(found: Ingested, **labels: object) -> Merged:
    return merge({"yard": found}, label_map(label_settings(**labels)), merge_settings())  # type: ignore[arg-type]


def test_no_change_of_labels_decodes_an_image(tmp_path: Path, decodes: Counter[bytes]) -> None:
    paths = [f"{label}/{number}.png" for label in ("car", "van", "lorry") for number in range(2)]
    contents = {path: png(noise(seed)) for seed, path in enumerate(paths)}
    found = ingested(tmp_path, plant(tmp_path, contents))
    assert decodes.total() == 6
    decodes.clear()
    first = merged(found, classes={"car": ["van"], "lorry": []})
    moved = merged(found, classes={"car": [], "lorry": ["van"]})
    renamed = merged(found, classes={"automobile": ["car", "van"], "lorry": []})
    fewer = merged(found, classes={"car": [], "lorry": []}, ignore=["van"])
    own = {"yard": {"classes": {"lorry": ["van"]}, "ignore": []}}
    of_source = merged(found, classes={"car": [], "lorry": []}, by_source=own)
    assert not decodes
    assert first.stored.ids == moved.stored.ids == renamed.stored.ids == of_source.stored.ids
    assert [Counter(each.index.labels.tolist()) for each in (first, moved, renamed, fewer, of_source)] == [
        {"car": 4, "lorry": 2},
        {"car": 2, "lorry": 4},
        {"automobile": 4, "lorry": 2},
        {"car": 2, "lorry": 2},
        {"car": 2, "lorry": 4},
    ]
    with pytest.raises(UnknownLabelError):
        merged(found, classes={"car": [], "lorry": []})


def test_an_image_whose_label_stands_for_none_is_decoded_and_joins_the_class_that_names_it_later(
    tmp_path: Path,
) -> None:
    named, missing = plant(tmp_path, {"car/1.png": png(noise(1)), "car/2.png": png(noise(2))})
    source = ingested(tmp_path, [named, Annotation(missing.path, "nan", None, "missing_label", "why")])

    def counts(classes: dict[str, list[str]]) -> Counter[str]:
        merged = merge({"yard": source}, label_map(label_settings(classes)), merge_settings())
        return Counter([*merged.index.labels.tolist(), *(e.reason for e in merged.excluded if e.path == missing.path)])

    assert counts({"car": [], "bus": []}) == {"car": 1, "unlabelled": 1}
    assert counts({"car": [], "bus": ["NaN"]}) == {"car": 1, "bus": 1}


def test_what_is_larger_is_stored_smaller_and_keeps_its_own_size_and_id(tmp_path: Path) -> None:
    large, small = noise(1, size=(400, 200)), noise(2, size=(90, 100))
    found = ingested(tmp_path, plant(tmp_path, {"car/1.png": png(large), "car/2.png": png(small)}), max_side_px=100)
    assert [(each.id, each.width, each.height) for each in found.images] == [
        (pixel_id(large), 400, 200),
        (pixel_id(small), 90, 100),
    ]
    with tarfile.open(tmp_path / "ingested/images-00000.tar") as tar:
        stored = [Image.open(tar.extractfile(member)).size for member in tar]  # type: ignore[arg-type]
    assert stored == [(100, 50), (90, 100)]


def test_what_comes_of_each_file_is_said(tmp_path: Path) -> None:
    contents = {"car/1.png": png(noise(1)), "car/2.png": b"", "car/3.png": png(noise(3))[:-40]}
    found = ingested(tmp_path, plant(tmp_path, contents))
    assert {path: (each.id, each.reason) for (path, _), each in found.found.items()} == {
        "car/1.png": (pixel_id(noise(1)), ""),
        "car/2.png": ("", "empty"),
        "car/3.png": ("", "truncated"),
    }
    assert all(isinstance(each, Found) and bool(each.detail) == bool(each.reason) for each in found.found.values())
    assert ingested_in_words(found) == "3 files, 1 different images, 1 empty, 1 truncated"


def test_a_source_without_a_label_is_empty_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(png(noise(1)))
    found = ingested(tmp_path, [Annotation("1.png", "")])
    assert (found.images, found.hashes.shape, dict(found.found)) == ((), (0, 8, 32), {})


def test_what_a_file_states_of_its_capture_is_found_of_it_and_of_no_other_that_holds_its_pixels(tmp_path: Path) -> None:
    taken = with_capture(noise(1), "2024:05:01 10:11:12", format="PNG")
    contents = {"car/1.png": taken, "car/bare.png": png(noise(1)), "car/2.png": b"", "car/same.png": taken}
    found = ingested(tmp_path, plant(tmp_path, contents)).found
    assert {path: (each.captured_at, each.camera) for (path, _), each in found.items()} == {
        "car/1.png": ("2024-05-01T10:11:12", "EOS 6D"),
        "car/bare.png": ("", ""),
        "car/2.png": ("", ""),
        "car/same.png": ("2024-05-01T10:11:12", "EOS 6D"),
    }
    assert found["car/1.png", None].id == found["car/bare.png", None].id


def test_all_crops_of_a_file_have_its_capture(tmp_path: Path) -> None:
    plant(tmp_path, {"1.jpg": with_capture(noise(1), "2024:05:01 10:11:12")})
    annotations = [Annotation("1.jpg", "car", box) for box in (Box(0, 0, 0.5, 1), Box(0.5, 0, 0.5, 1), Box(0, 0, 0, 0))]
    found = ingested(tmp_path, annotations, BoxPolicy("crop", 0.0, 4)).found
    assert [each.captured_at for each in found.values()] == ["2024-05-01T10:11:12", "2024-05-01T10:11:12", ""]
