"""Every format and the registry on planted trees, and on the real archives where they are at hand."""

import json
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from planted_sources import assert_bad, plant, write
from tandem.datasets.formats import class_folders, coco, registry, yolo
from tandem.datasets.formats.annotations import Annotation, Box
from tandem.errors import DataError, ParamsError
from tandem.sources.unpacking.unpack import unpack

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
NAMES = "names: [Bus, Car]\n"


def labels(annotations: list[Annotation]) -> dict[str, str]:
    return {each.path: each.label for each in annotations}


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("vehicle/Train/Car/x.jpg", "Car"),
        ("Car/train/x.jpg", "Car"),
        ("Car/VALID/images/x.jpg", "Car"),
        ("Car/training_set/x.jpg", "Car"),
        ("Car/fold2/x.jpg", "Car"),
        ("training/train car/x.jpg", "train car"),
        ("fold/x.jpg", "fold"),
        ("part_1/x.jpg", "part_1"),
        ("seg_train/seg_train/sea/1.jpg", "sea"),
        ("dataset/carro/x.jpg", "carro"),
        ("train/carro/x_jpg.rf.c4bc955d4a913762ea57883592c4550c.jpg", "carro"),
        ("a/b/c/d/x.PNG", "d"),
        ("Ônibus grande/x.JPEG", "Ônibus grande"),
    ],
)
def test_the_label_is_the_nearest_folder_that_is_no_split(tmp_path: Path, path: str, label: str) -> None:
    assert class_folders.read(plant(tmp_path, path)) == [Annotation(path, label)]
    assert class_folders.matches(tmp_path)


@pytest.mark.parametrize(
    "split",
    [
        "train",
        "valid",
        "val",
        "validation",
        "test",
        "testing",
        "training",
        "dev",
        "images",
        "seg_train",
        "seg_test",
        "seg_pred",
        "TRAIN",
        "Val",
        "training_set",
        "Test Images",
        "images_val",
        "train2017",
        "trainset",
        "test1",
        "fold_3",
        "split-2",
    ],
)
def test_a_split_is_never_a_label(tmp_path: Path, split: str) -> None:
    assert class_folders.read(plant(tmp_path, f"{split}/{split}/1.jpg")) == [Annotation(f"{split}/{split}/1.jpg", "")]
    assert not class_folders.matches(tmp_path)


def test_images_outside_class_folders_have_no_label(tmp_path: Path) -> None:
    plant(tmp_path, "top.jpg", "set/train/Car/1.jpg", "set/test/2.jpg", "seg_pred/seg_pred/3.jpg")
    assert labels(class_folders.read(tmp_path)) == {
        "seg_pred/seg_pred/3.jpg": "",
        "set/test/2.jpg": "",
        "set/train/Car/1.jpg": "Car",
        "top.jpg": "",
    }


def test_one_class_alone_keeps_its_name(tmp_path: Path) -> None:
    plant(tmp_path, "Car/train/1.jpg", "Car/test/2.jpg")
    assert set(labels(class_folders.read(tmp_path)).values()) == {"Car"}


def test_names_decide_what_is_an_image_and_contents_do_not(tmp_path: Path) -> None:
    images = [
        f"Car/1.{suffix}"
        for suffix in ["jpg", "jpeg", "jpe", "png", "webp", "bmp", "gif", "tif", "tiff", "avif", "heic", "jfif", "JPG"]
    ]
    texts = [
        "README.roboflow.txt",
        "a.json",
        "a.csv",
        "a.yaml",
        "a.xml",
        ".DS_Store",
        "._1.jpg",
        "README",
        "LICENSE",
        "Thumbs.db",
    ]
    write(tmp_path, dict.fromkeys([*images, "Car/bare", *(f"Car/{name}" for name in texts)], "no image"))
    write(tmp_path, {"bare": "", "LICENSE": "", "test/bare": "", "__MACOSX/Car/1.jpg": ""})
    assert [each.path for each in class_folders.read(tmp_path)] == sorted([*images, "Car/bare"])


def test_yolo_has_an_annotation_a_line_and_one_without_box_for_images_without_lines(tmp_path: Path) -> None:
    root = plant(tmp_path, *(f"train/images/{name}.jpg" for name in "abcd"))
    write(root, {"data.yaml": r"path: C:\Users//x y" + "\ntrain: ../elsewhere\nnc: 2\n" + NAMES})
    boxes = "1 0.5 0.5 0.5 0.25\n\n0 0.25 0.25 0.5 0.5\n1 0.5 0.5 0.5 0.25\n"
    write(root, {"train/labels/a.txt": boxes, "train/labels/b.txt": "", "train/labels/nobody.txt": "7 rubbish"})
    write(root, {"train/labels/classes.txt": "Bus\nCar\n"})
    write(root, {"train/labels/d.txt": b"\xef\xbb\xbf1 0.5 0.5 1 1\r\n"})
    assert yolo.read(root) == [
        Annotation("train/images/a.jpg", "Bus", Box(0, 0, 0.5, 0.5)),
        Annotation("train/images/a.jpg", "Car", Box(0.25, 0.375, 0.5, 0.25)),
        Annotation("train/images/b.jpg", ""),
        Annotation("train/images/c.jpg", ""),
        Annotation("train/images/d.jpg", "Car", Box(0, 0, 1, 1)),
        Annotation("train/labels/nobody.txt", "", None, "no_image"),
    ]


@pytest.mark.parametrize("base", ["", "export/"])
@pytest.mark.parametrize("names", ["names: [Bus, Car]", "names: {0: Bus, 1: Car}", "names:\n  '0': Bus\n  '1': Car\n"])
def test_yolo_finds_images_beside_labels_in_both_orders(tmp_path: Path, base: str, names: str) -> None:
    root = plant(tmp_path, f"{base}images/val/a.jpg", f"{base}test/images/b.v2.jpg")
    line = "1 0.5 0.5 1 1"
    write(root, {f"{base}labels/val/a.txt": line, f"{base}test/labels/b.v2.txt": line, f"{base}data.yaml": names})
    assert labels(registry.read_annotations(root, format="auto")) == {
        f"{base}images/val/a.jpg": "Car",
        f"{base}test/images/b.v2.jpg": "Car",
    }


@pytest.mark.parametrize(
    ("line", "box"),
    [
        ("0 0.5 0.5 0.5 0.5 0.93", (0.25, 0.25, 0.5, 0.5)),
        ("0.0 0 1 0.5 0.5", (0, 0.75, 0.25, 0.25)),
        ("0 0.5 0.5 1.5 1.5", (0, 0, 1, 1)),
        ("0 0.1 0.2 0.5 0.2 0.3 0.6", (0.1, 0.2, 0.4, 0.4)),
        ("0 -0.1 0.2 0.5 0.2 0.5 1.6 0.3 0.4", (0, 0.2, 0.5, 0.8)),
        ("0 0.5 0.5 0 0.5", None),
        ("0 1.5 0.5 0.5 0.5", None),
        ("0 1.3 0.5 0.4 0.5", None),
    ],
)
def test_yolo_lines_become_boxes_inside_the_image(
    tmp_path: Path, line: str, box: tuple[float, float, float, float] | None
) -> None:
    root = write(plant(tmp_path, "images/a.jpg"), {"data.yaml": NAMES, "labels/a.txt": line})
    (annotation,) = yolo.read(root)
    assert (annotation.label, annotation.box) == ("Bus", pytest.approx(box) if box else None)
    assert annotation.reason == ("" if box else "empty_box")


def test_yolo_keypoints_are_no_polygon(tmp_path: Path) -> None:
    root = write(plant(tmp_path, "images/a.jpg"), {"data.yaml": NAMES + "kpt_shape: [2, 3]\n"})
    write(root, {"labels/a.txt": "0 0.5 0.5 0.5 0.5 0.9 0.9 2 0.1 0.1 2"})
    assert yolo.read(root) == [Annotation("images/a.jpg", "Bus", Box(0.25, 0.25, 0.5, 0.5))]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "2 0.5 0.5 1 1",
            r"a\.txt, line 2: '2 0\.5 0\.5 1 1' has class 2, which .*data\.yaml does not name \(0 Bus, 1 Car",
        ),
        ("-1 0.5 0.5 1 1", "has class -1, which"),
        ("0.5 0.5 0.5 1 1", r"has class 0\.5, which"),
        ("Car 0.5 0.5 1 1", r"a\.txt, line 2: 'Car 0\.5 0\.5 1 1' is not a line of numbers"),
        ("0 nan 0.5 1 1", "'0 nan 0.5 1 1' is not a line of numbers"),
        ("0 0.5 0.5", r"'0 0\.5 0\.5' has 3 values; a box has 5 or 6"),
        ("0 1 1 1 1 1 1 1", "has 8 values; a box has 5 or 6"),
    ],
)
def test_yolo_lines_that_are_no_box_or_polygon_are_bad_annotations(tmp_path: Path, line: str, message: str) -> None:
    write(plant(tmp_path, "images/a.jpg"), {"data.yaml": NAMES, "labels/a.txt": f"0 0.5 0.5 1 1\n{line}\n"})
    found = yolo.read(tmp_path)
    assert assert_bad(found, message).path == "images/a.jpg"
    assert [each.label for each in found if not each.reason] == ["Bus"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nc: 2", r"data\.yaml has no list of names \(None\)"),
        ("names: Car", r"data\.yaml has no list of names \('Car'\)"),
        ("names: []", r"has no list of names \(\[\]\)"),
        ("names: {Car: 0}", r"has no list of names \(\{'Car': '0'\}\)"),
        ("- names", r"has no list of names \(None\)"),
        ("names: [Car", r"data\.yaml is not valid YAML"),
        (
            b"nc: 1\nnames: [\xff\xfe]",
            r"data\.yaml, line 2: the byte 0xff is not of utf-8 text; save the file as UTF-8",
        ),
    ],
)
def test_a_data_yaml_without_names_is_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    write(plant(tmp_path, "images/a.jpg"), {"data.yaml": text})
    with pytest.raises(DataError, match=message):
        yolo.read(tmp_path)


def test_yolo_without_data_yaml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"{tmp_path} has no data\.yaml"):
        yolo.read(tmp_path)


def coco_json(**changes: Any) -> str:
    value = {
        "images": [
            {"id": 7, "file_name": "b.jpg", "width": 200, "height": 100},
            {"id": 8, "file_name": "a.jpg", "width": 200, "height": 100},
        ],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 2, "bbox": [50, 25, 100, 50]},
            {"id": 2, "image_id": 7, "category_id": 1, "bbox": [150, -10, 100, 60]},
            {"id": 3, "image_id": 7, "category_id": 1, "bbox": [250, 0, 10, 10]},
        ],
        "categories": [{"id": 0, "name": "vehicles"}, {"id": 1, "name": "Bus"}, {"id": 2, "name": "Car"}],
    }
    return json.dumps({**value, **changes})


def test_coco_boxes_are_in_fractions_of_the_sides(tmp_path: Path) -> None:
    root = write(plant(tmp_path, "train/a.jpg", "train/b.jpg"), {"train/_annotations.coco.json": coco_json()})
    assert registry.read_annotations(root, format="auto") == [
        Annotation("train/a.jpg", ""),
        Annotation("train/b.jpg", "Car", Box(0.25, 0.25, 0.5, 0.5)),
        Annotation("train/b.jpg", "Bus", Box(0.75, 0, 0.25, 0.5)),
        Annotation("train/b.jpg", "Bus", None, "empty_box"),
    ]


@pytest.mark.parametrize(
    ("json_path", "folder"),
    [
        ("annotations/instances_val2017.json", "annotations"),
        ("annotations/instances_val2017.json", "."),
        ("annotations/instances_val2017.json", "images"),
        ("annotations/instances_val2017.json", "val2017"),
        ("set/annotations/val.json", "set/val"),
        ("set/labels.json", "set/images"),
        ("labels.json", "images"),
        ("labels.json", "labels"),
        ("a/b/x_annotations.coco.json", "a/images"),
    ],
)
def test_coco_images_are_found_where_exports_put_them(tmp_path: Path, json_path: str, folder: str) -> None:
    plant(tmp_path, f"{folder}/a.jpg", f"{folder}/b.jpg")
    write(tmp_path, {json_path: b"\xef\xbb\xbf" + coco_json().encode()})
    assert {Path(each.path).parent.as_posix() for each in coco.read(tmp_path)} == {folder}


def test_two_coco_files_of_the_same_images_are_joined(tmp_path: Path) -> None:
    plant(tmp_path, "images/a.jpg", "images/b.jpg")
    other = [{"id": 1, "image_id": 8, "category_id": 1, "bbox": [0, 0, 200, 100]}]
    write(tmp_path, {"annotations/1.json": coco_json(), "annotations/2.json": coco_json(annotations=other)})
    write(tmp_path, {"annotations/captions.json": '{"images": [], "annotations": []}', "annotations/no.json": "{"})
    assert [(each.path, each.label) for each in coco.read(tmp_path)] == [
        ("images/a.jpg", "Bus"),
        ("images/b.jpg", "Car"),
        ("images/b.jpg", "Bus"),
        ("images/b.jpg", "Bus"),
    ]


NOTE = {"id": 5, "image_id": 7, "category_id": 1, "bbox": [0, 0, 1, 1]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": ["a.jpg"]}, "images holds 'a.jpg', which lacks"),
        ({"categories": 4}, "is not a COCO file"),
    ],
)
def test_coco_files_that_lead_nowhere_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    plant(tmp_path, "train/a.jpg", "train/b.jpg")
    write(tmp_path, {"train/_annotations.coco.json": coco_json(**changes)})
    with pytest.raises(DataError, match=message) as caught:
        coco.read(tmp_path)
    assert str(tmp_path / "train" / "_annotations.coco.json") in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"category_id": 9}, "annotation 5 has category 9, but known are 0 vehicles, 1 Bus"),
        ({"image_id": 99}, "annotation 5 is of image 99, which the file does not list"),
        ({"bbox": [1, 2, 3]}, r"annotation 5 has box \[1, 2, 3\] in an image of 200 x 100"),
        ({"bbox": 4}, "annotation 5 has box 4"),
        ({"bbox": ["a", 0, 1, 1]}, r"has box \['a', 0, 1, 1\]"),
    ],
)
def test_coco_annotations_that_lead_nowhere_are_bad_ones(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    plant(tmp_path, "train/a.jpg", "train/b.jpg")
    notes = [{**NOTE, **changes}, {**NOTE, "id": 6}]
    write(tmp_path, {"train/_annotations.coco.json": coco_json(annotations=notes)})
    found = coco.read(tmp_path)
    assert str(tmp_path / "train" / "_annotations.coco.json") in assert_bad(found, message).detail
    assert [each.label for each in found if each.label and not each.reason] == ["Bus"]


def test_a_truncated_coco_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"_annotations.coco.json": coco_json()[:-5]})
    with pytest.raises(DataError, match=r"_annotations\.coco\.json is not valid JSON \(Unterminated string"):
        coco.read(tmp_path)


@pytest.mark.parametrize("name", ["gone.jpg", "../outside.jpg", "/etc/hostname", ""])
def test_coco_images_that_are_all_missing_are_counted_and_the_first_is_named(tmp_path: Path, name: str) -> None:
    root = plant(tmp_path / "root", "train/a.jpg")
    plant(tmp_path, "outside.jpg")
    images = [{"id": place, "file_name": file, "width": 8, "height": 4} for place, file in enumerate([name, "x"])]
    write(root, {"train/_annotations.coco.json": coco_json(images=images, annotations=[])})
    with pytest.raises(
        DataError, match=f"names 2 of 2 images that are not there, the first is {name!r}; get the source"
    ):
        coco.read(root)


@pytest.mark.parametrize("path", ["/etc/hostname", "../outside.jpg", "a/../../outside.jpg"])
def test_an_annotation_outside_its_sources_folder_is_refused(path: str) -> None:
    with pytest.raises(DataError, match=f"the path '{path}' of an image must lie inside its source's folder; correct"):
        Annotation(path, "car")


def test_a_detection_export_beats_folders(tmp_path: Path) -> None:
    plant(tmp_path, "Car/a.jpg", "Car/b.jpg")
    assert registry.detect_format(tmp_path) == "class_folders"
    write(tmp_path, {"Car/_annotations.coco.json": coco_json()})
    assert registry.detect_format(tmp_path) == "coco"
    write(plant(tmp_path, "images/a.jpg"), {"data.yaml": NAMES, "labels/a.txt": ""})
    assert registry.detect_format(tmp_path) == "yolo"


def test_a_stated_format_beats_detection(tmp_path: Path) -> None:
    write(plant(tmp_path, "Car/a.jpg", "Car/b.jpg"), {"Car/_annotations.coco.json": coco_json()})
    for name in ("class_folders", "roboflow_folder"):
        assert labels(registry.read_annotations(tmp_path, format=name)) == {"Car/a.jpg": "Car", "Car/b.jpg": "Car"}


def test_an_unknown_folder_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    write(tmp_path, {f"{number}.csv": "" for number in range(9)} | {"notes/a.txt": ""})
    message = (
        r"none of the formats yolo, coco, fiftyone, voc, csv, class_folders, roboflow_folder; it holds 0\.csv, .*, "
        r"7\.csv and 2 more; no file has the name of an image \(its suffixes: \.csv, \.txt\)"
    )
    with pytest.raises(DataError, match=message):
        registry.read_annotations(tmp_path, format="auto")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="it holds nothing"):
        registry.detect_format(tmp_path)


@pytest.mark.parametrize("format", ["yolo", "coco"])
def test_a_stated_format_that_does_not_fit_is_refused(tmp_path: Path, format: str) -> None:
    plant(tmp_path, "Car/a.jpg")
    with pytest.raises(
        DataError, match=f"{tmp_path} is not of format {format}; correct it, or say auto; it holds Car/"
    ):
        registry.read_annotations(tmp_path, format=format)


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="no format 'kitti'; known are auto, yolo, coco, fiftyone, voc, csv, c"):
        registry.read_annotations(tmp_path, format="kitti")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"the real archives are not at hand: there is no {SHARED}")
    place = tmp_path_factory.mktemp("real")
    for archive in sorted(SHARED.glob("*/*.zip")):
        (place / archive.stem).mkdir()
        unpack(archive, place / archive.stem)
    return place


SCENES = ("buildings", "forest", "glacier", "mountain", "sea", "street")


@pytest.mark.parametrize(
    ("name", "format", "counts"),
    [
        ("vehicle-type-recognition", "class_folders", {"Car": 98, "motorcycle": 99, "Truck": 98, "Bus": 97}),
        ("car-bike-dataset", "class_folders", {"Car": 215, "Bike": 215}),
        ("classificador-veiculos", "class_folders", {"carro": 19, "bicicleta": 20, "onibus": 20}),
        ("intel-scenes-sample", "class_folders", dict.fromkeys(SCENES, 55)),
        (
            "vehicles-openimages.v1.yolov8",
            "yolo",
            {"Car": 336, "Motorcycle": 180, "Truck": 182, "Ambulance": 26, "Bus": 26},
        ),
        ("vehicle-type-recognition.v1.folder", "class_folders", {"Bus": 2, "Car": 2, "Truck": 2, "motorcycle": 2}),
    ],
)
def test_real_archives_hold_what_their_notes_count(real: Path, name: str, format: str, counts: dict[str, int]) -> None:
    assert registry.detect_format(real / name) == format
    annotations = registry.read_annotations(real / name, format="auto")
    assert Counter(label for _, label in {(each.path, each.label) for each in annotations}) == counts
    assert [each.path for each in annotations] == sorted(each.path for each in annotations)
    assert all((real / name / each.path).is_file() for each in annotations)


def test_a_real_archive_is_unpacked_byte_by_byte(real: Path) -> None:
    archive = SHARED / "kaggle" / "car-bike-dataset.zip"
    with zipfile.ZipFile(archive) as file:
        for name in file.namelist():
            assert (real / "car-bike-dataset" / name).read_bytes() == file.read(name)
