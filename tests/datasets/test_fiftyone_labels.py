"""FiftyOne's labels.json, as its exporters write it."""

import json

import pytest

from planted_sources import assert_bad, plant, write
from tandem.datasets.formats import fiftyone_labels, registry
from tandem.datasets.formats.annotations import Annotation, Box
from tandem.errors import DataError

CLASSES = ["Bus", "Car"]


def source(root, labels, *, classes=CLASSES, base=""):
    plant(root, f"{base}data/a.jpg", f"{base}data/sub/b.jpg")
    return write(root, {f"{base}labels.json": json.dumps({"classes": classes, "labels": labels})})


@pytest.mark.parametrize("base", ["", "export/"])
@pytest.mark.parametrize("label", [1, "Car", {"label": 1, "confidence": 0.9}, {"label": "Car"}, ["Car"]])
def test_every_form_of_a_label_is_read(tmp_path, label, base):
    root = source(tmp_path, {"a": label}, base=base)
    assert registry.detect_format(root) == "fiftyone"
    assert registry.read_annotations(root, format="auto") == [
        Annotation(f"{base}data/a.jpg", "Car"),
        Annotation(f"{base}data/sub/b.jpg", ""),
    ]


@pytest.mark.parametrize("label", [None, "", {"label": None}, [{"label": ""}], "nan"])
def test_an_entry_without_a_label_leaves_its_image_without_one(tmp_path, label):
    first, other = fiftyone_labels.read(source(tmp_path, {"a": label, "sub/b": "Bus"}))
    assert (first.path, first.label, first.reason) in [("data/a.jpg", "", ""), ("data/a.jpg", "nan", "missing_label")]
    assert other.label == "Bus"


def test_names_without_classes_folders_in_names_and_images_without_a_label_are_read(tmp_path):
    root = source(tmp_path, {"a.jpg": None, "sub/b": "Bus"}, classes=None)
    assert fiftyone_labels.read(root) == [Annotation("data/a.jpg", ""), Annotation("data/sub/b.jpg", "Bus")]


def test_boxes_are_read(tmp_path):
    boxes = [{"label": 0, "bounding_box": [0.25, 0.25, 0.5, 0.5]}, {"label": 1, "bounding_box": [1.2, 0, 0.1, 0.1]}]
    used, excluded = fiftyone_labels.read(source(tmp_path, {"a": boxes, "sub/b": []}))[:2]
    assert used == Annotation("data/a.jpg", "Bus", Box(0.25, 0.25, 0.5, 0.5))
    assert (excluded.label, excluded.reason) == ("Car", "empty_box")


@pytest.mark.parametrize("entry", [2, -1, True, 1.5, {"label": 2}, {"label": {}}, {"label": True}])
def test_a_class_that_is_not_listed_is_a_bad_annotation(tmp_path, entry):
    found = fiftyone_labels.read(source(tmp_path, {"a": entry, "sub/b": 0}))
    assert_bad(found, r"labels\.json: 'a' has label .*, but the classes are \['Bus', 'Car'\]")
    assert [(each.path, each.label) for each in found if not each.reason] == [("data/sub/b.jpg", "Bus")]


@pytest.mark.parametrize("box", [[0, 0, 64, 64], [0, 0, -1, 1], [float("nan"), 0, 1, 1], [0, 0, 1], "0 0 1 1", None])
def test_a_box_that_is_not_four_fractions_is_a_bad_annotation(tmp_path, box):
    found = fiftyone_labels.read(source(tmp_path, {"a": {"label": 1, "bounding_box": box}, "sub/b": 0}))
    assert assert_bad(found, "'a' has box .*; four fractions of the image's sides are needed").label == "Car"
    assert [(each.path, each.label) for each in found if not each.reason] == [("data/sub/b.jpg", "Bus")]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"gone": 1, "away": 1}, "names 2 of 2 images that are not there, the first is 'gone'; get the source again"),
        ({"../a/x": 1}, "names 1 of 1 images that are not there"),
        (["a"], r"labels\.json has no `labels` by image"),
    ],
)
def test_labels_that_lead_nowhere_are_refused(tmp_path, labels, message):
    with pytest.raises(DataError, match=message):
        registry.read_annotations(source(tmp_path, labels), format="auto")


def test_labels_of_missing_images_are_accounted_for_beside_others(tmp_path):
    box = {"label": 0, "bounding_box": [0, 0, 1, 1]}
    found = fiftyone_labels.read(source(tmp_path, {"gone": [box, box], "../data/a": 1, "away": None}))
    assert [(each.path, each.label, each.reason) for each in found if each.label or each.reason] == [
        ("data/a.jpg", "Car", ""),
        ("labels.json", "", "no_image"),
        ("labels.json", "Bus", "no_image"),
    ]
    assert found[-1].detail.endswith("labels.json: 'gone': the image is not there")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"a": 0, "a.jpg": 1}, "the images 'a' and 'a.jpg' have the same file 'data/a.jpg', and both are used"),
        ({"a": 0, "sub/b": {"label": 2}}, "the classes '0' and '2' have the same name 'Car', and both are used"),
    ],
)
def test_an_image_or_class_under_two_names_is_refused(tmp_path, labels, message):
    with pytest.raises(DataError, match=message):
        fiftyone_labels.read(source(tmp_path, labels, classes=["Car", "Bus", "Car"]))


def test_an_image_that_stands_twice_is_refused(tmp_path):
    root = write(plant(tmp_path, "data/a.jpg"), {"labels.json": '{"classes": [], "labels": {"a": "Bus", "a": "Car"}}'})
    with pytest.raises(DataError, match="the key 'a' stands twice in one object"):
        fiftyone_labels.read(root)
