"""YOLO in the layouts of its exporters, and every annotation accounted for."""

import pytest

from planted_sources import assert_bad, plant, write
from tandem.datasets.formats import registry, yolo
from tandem.errors import DataError

NAMES = "names: [Bus, Car]\n"
BOX = "1 0.5 0.5 1 1\n"


def labels(annotations):
    return {each.path: each.label for each in annotations}


@pytest.mark.parametrize(
    ("names", "image", "label_file"),
    [
        ({"dataset.yaml": "names:\n  0: Bus\n  1: Car\nval: ./images/val/\n"}, "images/val/a.jpg", "labels/val/a.txt"),
        ({"data.yml": NAMES}, "train/images/a.jpg", "train/labels/a.txt"),
        ({"Data.YAML": NAMES}, "train/images/a.jpg", "train/labels/a.txt"),
        ({"vehicles.yaml": "nc: 2\n" + NAMES}, "images/a.jpg", "labels/a.txt"),
        ({"data.yaml": NAMES.encode("utf-16")}, "images/a.jpg", "labels/a.txt"),
        ({"classes.txt": "Bus\nCar\n", "notes.json": "{}"}, "images/a.jpg", "labels/a.txt"),
        ({"labels/classes.txt": "Bus\nCar\n"}, "images/a.jpg", "labels/a.txt"),
        ({"images/classes.txt": "Bus\nCar\n", "data.yaml": NAMES}, "images/a.jpg", "images/a.txt"),
        ({"classes.txt": "Bus\r\nCar"}, "a.jpg", "a.txt"),
        ({"obj.names": "Bus\nCar\n"}, "obj_train_data/a.jpg", "obj_train_data/a.txt"),
        ({"obj.names": "Bus\nCar\n", "images.txt": "data/a.jpg\n"}, "data/a.jpg", "data/a.txt"),
        ({"coco.names": "Bus\nCar\n"}, "data/a.jpg", "data/a.txt"),
        ({"coco.names": "person\n", "obj.names": "Bus\nCar\n"}, "data/a.jpg", "data/a.txt"),
        ({"train/_darknet.labels": "Bus\nCar\n"}, "train/a.jpg", "train/a.txt"),
        ({"data.yaml": NAMES}, "data/a.jpg", "labels/a.txt"),
        ({"data.yaml": NAMES}, "JPEGImages/a.jpg", "labels/a.txt"),
        ({"data.yaml": NAMES}, "train/images/a.jpg", "labels/a.txt"),
        ({"data.yaml": NAMES}, "images/a.jpg", "labels/a.TXT"),
        ({"data.yaml": NAMES}, "images/A1.JPG", "labels/a1.txt"),
        ({"data.yaml": NAMES}, "IMAGES/a.jpg", "Labels/a.txt"),
        ({"data.yaml": NAMES}, "images/e\u0301.jpg", "labels/\u00e9.txt"),
    ],
)
@pytest.mark.parametrize("base", ["", "export/"])
def test_labels_are_found_where_exporters_put_them(tmp_path, names, image, label_file, base):
    root = plant(tmp_path, f"{base}{image}")
    write(root, {f"{base}{name}": text for name, text in {**names, label_file: BOX}.items()})
    assert registry.detect_format(root) == "yolo"
    assert labels(registry.read_annotations(root, format="auto")) == {f"{base}{image}": "Car"}


@pytest.mark.parametrize("line", ["1.0 0.5 0.5 1 1", "\ufeff1 0.5 0.5 1 1", "1 5e-01 5E-1 1e+0 1", "\n1\t.5 .5 1. 1.0"])
def test_labels_beside_images_are_known_in_any_notation_of_numbers(tmp_path, line):
    root = write(plant(tmp_path, "a.jpg"), {"classes.txt": "Bus\nCar\n", "a.txt": line})
    assert labels(registry.read_annotations(root, format="auto")) == {"a.jpg": "Car"}


def test_label_files_of_images_that_differ_by_case_alone_are_told_apart(tmp_path):
    root = plant(tmp_path, "images/a.jpg", "images/A.jpg")
    write(root, {"data.yaml": NAMES, "labels/a.txt": "0 0.5 0.5 1 1", "labels/A.txt": BOX})
    assert labels(yolo.read(root)) == {"images/A.jpg": "Car", "images/a.jpg": "Bus"}


def test_an_image_with_two_files_of_labels_that_differ_is_refused(tmp_path):
    root = plant(tmp_path, "images/a.jpg")
    write(root, {"data.yaml": NAMES, "labels/a.txt": BOX, "images/a.txt": BOX})
    assert labels(yolo.read(root)) == {"images/a.jpg": "Car"}
    write(root, {"images/a.txt": "0 0.5 0.5 1 1"})
    with pytest.raises(DataError, match=r"'images/a.jpg' has two files of labels, 'labels/a.txt' and 'images/a.txt'"):
        yolo.read(root)


@pytest.mark.parametrize("folder", ["annotations", "b/labels_yolo", "x/y/z"])
def test_labels_in_a_folder_of_any_name_are_found_if_no_other_image_could_have_them(tmp_path, folder):
    root = plant(tmp_path, "a/images/a.jpg", "b/images/b.jpg")
    write(root, {"data.yaml": NAMES, "a/labels/a.txt": BOX, f"{folder}/b.txt": BOX, "captions/b.txt": "a red car"})
    assert labels(yolo.read(root)) == {"a/images/a.jpg": "Car", "b/images/b.jpg": "Car"}


def test_folders_tell_equal_names_apart(tmp_path):
    root = plant(tmp_path, "train/1.jpg", "val/1.jpg", "test/1.jpg")
    write(root, {"data.yaml": NAMES, "text/train/1.txt": BOX, "text/val/1.txt": "0 0.5 0.5 1 1"})
    assert labels(yolo.read(root)) == {"train/1.jpg": "Car", "val/1.jpg": "Bus", "test/1.jpg": ""}


def test_labels_that_could_be_of_two_images_are_refused(tmp_path):
    root = write(plant(tmp_path, "train/1.jpg", "val/1.jpg"), {"data.yaml": NAMES, "labels/1.txt": BOX})
    with pytest.raises(
        DataError, match=r"the labels 'labels/1.txt' could be of 'train/1.jpg', 'val/1.jpg'; put them into"
    ):
        registry.read_annotations(root, format="auto")


def test_an_image_whose_name_ends_in_txt_is_no_file_of_labels(tmp_path):
    root = write(plant(tmp_path, "images/a.jpg", "images/a.txt"), {"data.yaml": NAMES, "labels/a.txt": BOX})
    assert labels(yolo.read(root)) == {"images/a.jpg": "Car", "images/a.txt": "Car"}


def test_an_image_without_labels_says_whether_a_file_is_missing_or_empty(tmp_path):
    root = plant(tmp_path, "images/a.jpg", "images/b.jpg", "images/c.jpg")
    write(root, {"data.yaml": NAMES, "labels/a.txt": BOX, "labels/b.txt": "\n"})
    details = {each.path: each.detail for each in yolo.read(root)}
    assert details["images/b.jpg"] == "its labels are empty"
    assert details["images/c.jpg"] == "no file of labels at 'labels/c.txt', 'images/c.txt'"


def test_images_of_which_none_has_labels_are_refused(tmp_path):
    root = write(plant(tmp_path, "images/a.jpg", "images/b.jpg"), {"data.yaml": NAMES, "annotations/c.txt": BOX})
    with pytest.raises(
        DataError, match=r"none of the 2 images has a file of labels; looked for that of 'images/a.jpg'"
    ):
        yolo.read(root)


def test_captions_beside_images_in_class_folders_are_no_labels(tmp_path):
    root = plant(tmp_path, "Bus/a.jpg", "Car/b.jpg")
    write(root, {"classes.txt": "Bus\nCar\n", "Bus/a.txt": "a red bus", "Car/b.txt": "12 cars\n"})
    assert registry.detect_format(root) == "class_folders"


def test_class_folders_beside_a_data_yaml_are_class_folders(tmp_path):
    root = write(plant(tmp_path, "images/Bus/a.jpg", "images/Car/b.jpg"), {"data.yaml": NAMES + "train: images\n"})
    assert labels(registry.read_annotations(root, format="auto")) == {
        "images/Bus/a.jpg": "Bus",
        "images/Car/b.jpg": "Car",
    }


def test_labels_beside_images_whose_own_image_is_missing_are_counted_and_other_texts_are_not(tmp_path):
    root = write(plant(tmp_path, "a.jpg"), {"classes.txt": "Bus\nCar\n", "a.txt": BOX, "gone.txt": "0 .5 0.5 1 1e-1\n"})
    write(root, {"train.txt": "a.jpg\n", "README.txt": "1 set\n", "notes.txt": ""})
    assert [(each.path, each.reason) for each in yolo.read(root)] == [("a.jpg", ""), ("gone.txt", "no_image")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 32 32 40 40", r"a\.txt, line 2: '1 32 32 40 40' has values far above 1, like pixels"),
        ("1 1 1 2 2", "has values far above 1, like pixels"),
        ("1 4.5 4.5 8 8", "has values far above 1, like pixels"),
        ("1 0 0 64 0 64 64 0 64", "has values far above 1, like pixels"),
        ("1 0.5 0.5 -0.5 0.5", "has a box with a side below 0"),
        ("1 inf 0.5 1 1", "is not a line of numbers"),
        ("1e300 0.5 0.5 1 1", "has class 1e\\+300, which"),
        ("1 " + "0.5 " * 20_001, "has 20002 values; a box has 5 or 6"),
    ],
)
def test_lines_that_are_no_fractions_are_bad_annotations_with_file_and_line(tmp_path, line, message):
    root = write(plant(tmp_path, "images/a.jpg"), {"data.yaml": NAMES, "labels/a.txt": f"{BOX}{line}\n"})
    found = yolo.read(root)
    assert_bad(found, message)
    assert [each.label for each in found if not each.reason] == ["Car"]


@pytest.mark.parametrize("data", [b"\0" * 40, b"1 0.5 0.5 1 \xff\xfe"])
def test_a_damaged_file_of_labels_is_a_bad_annotation_of_its_image(tmp_path, data):
    root = plant(tmp_path, "images/a.jpg", "images/b.jpg")
    write(root, {"data.yaml": NAMES, "labels/a.txt": data, "labels/b.txt": BOX})
    found = yolo.read(root)
    assert assert_bad(found, r"^/.*labels/a\.txt, line 1: ").path == "images/a.jpg"
    assert labels(each for each in found if not each.reason) == {"images/b.jpg": "Car"}


@pytest.mark.parametrize("line", ["1 1.4 0.5 0.5 0.5", "1 0.5 0.5 0 0"])
def test_a_box_of_which_nothing_lies_in_the_image_says_so(tmp_path, line):
    root = write(plant(tmp_path, "images/a.jpg"), {"data.yaml": NAMES, "labels/a.txt": BOX + line})
    used, excluded = yolo.read(root)
    assert (used.reason, excluded.reason, excluded.label) == ("", "empty_box", "Car")
    assert excluded.detail.endswith(f"a.txt, line 2: '{line}': nothing of the box lies in the image")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: {0: Car, '0': Bus}", "the key '0' stands twice"),
        ("names: {0: Car, 00: Bus}", "names class 0 twice: 'Car' and 'Bus'"),
        ("names: {.inf: Car}", r"has no list of names \(\{'.inf': 'Car'\}\)"),
        ("names: {-1: Car}", "has no list of names"),
        ("names: [[Car], Bus]", "has no list of names"),
        ("names: [Car, '']", "has no list of names"),
        ("names: &a [*a]", "stands before its anchor ends"),
        ("names: " + "[" * 300, "nested more than 20 deep"),
    ],
)
def test_names_that_lead_nowhere_are_refused(tmp_path, text, message):
    root = write(plant(tmp_path, "images/a.jpg"), {"data.yaml": text, "labels/a.txt": BOX})
    with pytest.raises(DataError, match=message):
        registry.read_annotations(root, format="auto")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("classes.txt", "0 Bus\n1 Car\n"),
        ("classes.txt", "\ufeff0: Bus\r\n1: Car\r\n\r\n"),
        ("obj.names", "0,Bus\n1,Car"),
        ("classes.txt", "0. Bus\n1. Car"),
        ("classes.txt", "Bus,0\nCar,1"),
        ("data.yaml", "names: ['0 Bus', '1 Car']"),
        ("data.yaml", "names: {0: Bus, 1: Car}"),
    ],
)
def test_numbers_of_classes_are_no_part_of_their_names(tmp_path, file, text):
    root = plant(tmp_path, "images/a.jpg", "images/b.jpg")
    write(root, {file: text, "labels/a.txt": "0 0.5 0.5 1 1", "labels/b.txt": BOX})
    assert labels(yolo.read(root)) == {"images/a.jpg": "Bus", "images/b.jpg": "Car"}


@pytest.mark.parametrize(
    "names", [["2 doors", "4 doors"], ["0 stars", "1 star", "3 stars"], ["5", "6"], ["0,5 l", "1,5 l"]]
)
def test_numbers_that_are_no_numbers_of_classes_stay(tmp_path, names):
    root = plant(tmp_path, "images/a.jpg")
    write(root, {"classes.txt": "\n".join(names), "labels/a.txt": BOX})
    assert labels(yolo.read(root)) == {"images/a.jpg": names[1]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 Bus\n2 Car\n", r"classes\.txt numbers its classes from 1 \('1 Bus', '2 Car'\), and YOLO from 0: write the"),
        ("Bus\n\nCar\n", r"classes\.txt, line 2 is blank, and a class is the number of its line: remove blank lines"),
        ("Bus\nBus\n", r"classes '0' and '1' have the same name 'Bus', and both are used"),
    ],
)
def test_lists_of_which_a_class_could_be_another_are_refused(tmp_path, text, message):
    root = plant(tmp_path, "images/a.jpg", "images/b.jpg")
    write(root, {"classes.txt": text, "labels/a.txt": "0 0.5 0.5 1 1", "labels/b.txt": BOX})
    with pytest.raises(DataError, match=message):
        registry.read_annotations(root, format="auto")


def test_a_name_that_two_classes_in_use_share_is_refused(tmp_path):
    root = plant(tmp_path, "images/a.jpg", "images/b.jpg")
    write(root, {"data.yaml": "names: [Car, Bus, Car]", "labels/a.txt": "2 0.5 0.5 1 1", "labels/b.txt": BOX})
    assert labels(yolo.read(root)) == {"images/a.jpg": "Car", "images/b.jpg": "Bus"}
    write(root, {"labels/b.txt": "0 0.5 0.5 1 1"})
    with pytest.raises(DataError, match=r"the classes '0' and '2' have the same name 'Car', and both are used"):
        yolo.read(root)


def test_two_files_of_names_that_differ_are_refused_and_the_usual_name_goes_before_others(tmp_path):
    root = write(plant(tmp_path, "images/a.jpg"), {"labels/a.txt": BOX, "one.yaml": NAMES, "two.yml": "names: [A, B]"})
    with pytest.raises(DataError, match=r"one\.yaml and .*two\.yml name different classes; keep the one that is right"):
        yolo.read(root)
    write(root, {"data.yaml": "names: [X, Y]", "deeper/data.yaml": "names: [Z, W]"})
    assert labels(yolo.read(root)) == {"images/a.jpg": "Y"}
