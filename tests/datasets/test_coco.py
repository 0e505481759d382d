"""COCO in the layouts of its exporters: every id means one thing, every annotation is accounted for."""

import json
import math

import pytest

from planted_sources import assert_bad, plant, write
from tandem.datasets.formats import coco, registry
from tandem.datasets.formats.annotations import Box
from tandem.errors import DataError

NAMES = ("a.jpg", "b.jpg")
IMAGES = [{"id": number, "file_name": name, "width": 200, "height": 100} for number, name in enumerate(NAMES)]
NOTES = [{"id": 1, "image_id": 0, "category_id": 1, "bbox": [0, 0, 100, 50]}]
CATEGORIES = [{"id": 1, "name": "Bus"}, {"id": 2, "name": "Car"}]


def coco_json(*, images=IMAGES, annotations=NOTES, categories=CATEGORIES):
    return json.dumps({"images": images, "annotations": annotations, "categories": categories})


def source(root, **changes):
    return write(plant(root, *NAMES), {"instances.json": coco_json(**changes)})


def test_a_plain_file_is_read(tmp_path):
    assert [(each.path, each.label) for each in coco.read(source(tmp_path))] == [("a.jpg", "Bus"), ("b.jpg", "")]


@pytest.mark.parametrize(
    ("json_path", "folder"),
    [
        ("labels.json", "data"),
        ("export/labels.json", "export/data"),
        ("annotations/instances_train.json", "images/train"),
        ("annotations/instances_default.json", "images/default"),
        ("set/annotations/instances_train2017.json", "set/images/train2017"),
        ("set/labels/train.json", "set/train/images"),
        ("train/labels.json", "train/data"),
        ("a/b/c/anything.json", "d/e/f"),
    ],
)
def test_images_are_found_where_exporters_put_them(tmp_path, json_path, folder):
    root = plant(tmp_path, *(f"{folder}/{name}" for name in NAMES))
    write(root, {json_path: coco_json()})
    assert {each.path for each in registry.read_annotations(root, format="auto")} == {f"{folder}/{n}" for n in NAMES}


@pytest.mark.parametrize("name", ["images/a.jpg", "images\\a.jpg", "set/images/a.jpg"])
def test_a_file_name_may_hold_folders(tmp_path, name):
    root = write(plant(tmp_path, "set/images/a.jpg", "other/a.jpg"), {})
    write(root, {"set/x.json": coco_json(images=[{**IMAGES[0], "file_name": name}])})
    assert [each.path for each in coco.read(root)] == ["set/images/a.jpg"]


def test_equal_names_in_the_folders_of_two_splits_are_told_apart(tmp_path):
    root = plant(tmp_path, *(f"images/{split}/{name}" for split in ("train", "val") for name in NAMES))
    other = [{**NOTES[0], "category_id": 2}]
    write(root, {f"annotations/instances_{split}.json": coco_json() for split in ("train", "val")})
    write(root, {"annotations/instances_val.json": coco_json(annotations=other)})
    found = {each.path: each.label for each in coco.read(root)}
    assert (found["images/train/a.jpg"], found["images/val/a.jpg"]) == ("Bus", "Car")


def test_a_file_name_that_could_be_several_images_is_refused_with_them(tmp_path):
    root = write(plant(tmp_path, "one/a.jpg", "two/a.jpg", "b.jpg"), {"x.json": coco_json()})
    with pytest.raises(
        DataError, match=r"the first is 'a.jpg', which could be 'one/a.jpg', 'two/a.jpg'; get the source"
    ):
        coco.read(root)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"categories": [*CATEGORIES, {"id": 1, "name": "Truck"}]},
            "the id 1 stands twice in categories, with name 'Bus' and 'Truck'; give each its own id",
        ),
        (
            {"images": [*IMAGES, {**IMAGES[0], "file_name": "b.jpg"}]},
            "the id 0 stands twice in images, with file_name 'a.jpg' and 'b.jpg'",
        ),
        (
            {"images": [*IMAGES, {**IMAGES[0], "id": 7}]},
            "the images '0' and '7' have the same file 'a.jpg', and both are used",
        ),
        (
            {
                "categories": [*CATEGORIES, {"id": 3, "name": "Bus"}],
                "annotations": [*NOTES, {**NOTES[0], "id": 2, "category_id": 3}],
            },
            "the categories '1' and '3' have the same name 'Bus', and both are used",
        ),
    ],
)
def test_an_id_or_name_used_twice_is_refused(tmp_path, changes, message):
    with pytest.raises(DataError, match=message) as caught:
        coco.read(source(tmp_path, **changes))
    assert str(tmp_path / "instances.json") in str(caught.value)


def test_what_is_listed_twice_in_the_same_words_and_a_name_of_a_category_without_boxes_are_no_mistake(tmp_path):
    """Roboflow lists the project's name beside its classes."""
    root = source(
        tmp_path,
        images=[*IMAGES, IMAGES[0]],
        annotations=NOTES * 2,
        categories=[*CATEGORIES, CATEGORIES[0], {"id": 0, "name": "Bus"}],
    )
    assert [(each.path, each.label) for each in coco.read(root)] == [("a.jpg", "Bus"), ("b.jpg", "")]


def test_a_key_that_stands_twice_is_refused(tmp_path):
    text = coco_json().replace('"name": "Bus"', '"name": "Bus", "name": "Car"')
    with pytest.raises(
        DataError, match=r"instances\.json is not valid JSON \(the key 'name' stands twice in one object"
    ):
        coco.read(write(plant(tmp_path, *NAMES), {"instances.json": text}))


@pytest.mark.parametrize(
    "bbox",
    [
        [0, 0, -5, 5],
        [0, 0, 5, -0.1],
        [math.nan, 0, 5, 5],
        [0, 0, math.inf, 5],
        [0, 0, 10**400, 5],
        [True, 0, 5, 5],
        [[0], 0, 5, 5],
        {"x": 0},
        "0 0 5 5",
        5,
        [0, 0, 5, 5, 5],
    ],
)
def test_an_impossible_box_is_a_bad_annotation_and_the_others_are_read(tmp_path, bbox):
    notes = [{**NOTES[0], "bbox": bbox}, {**NOTES[0], "id": 2, "image_id": 1}]
    found = coco.read(source(tmp_path, annotations=notes))
    bad = assert_bad(found, r"instances\.json: annotation 1 has box .* in an image of 200 x 100 pixels")
    assert (bad.path, bad.label) == ("a.jpg", "Bus")
    assert [(each.path, each.label) for each in found if not each.reason] == [("b.jpg", "Bus")]


@pytest.mark.parametrize("sides", [{"width": math.nan}, {"height": -3}, {"width": [[]]}])
def test_boxes_of_an_image_of_an_impossible_size_are_bad_annotations(tmp_path, sides):
    found = coco.read(source(tmp_path, images=[{**IMAGES[0], **sides}]))
    assert_bad(found, r"in an image of (nan x 100|200 x -3|\[\[\]\] x 100) pixels")


@pytest.mark.parametrize("form", [str, float, int])
@pytest.mark.parametrize("key", ["id", "image_id", "category_id"])
def test_an_id_is_the_same_as_a_text_a_float_or_a_whole_number(tmp_path, form, key):
    """pandas writes whole numbers of a column with gaps as floats; other tools write all ids as texts."""
    notes = [{**NOTES[0], key: form(NOTES[0][key])}, {"id": 2, "image_id": 1, "category_id": 2, "bbox": [0, 0, 9, 9]}]
    images = [{**each, "id": form(each["id"]) if key == "id" else each["id"]} for each in IMAGES]
    found = coco.read(source(tmp_path, annotations=notes, images=images))
    assert [(each.path, each.label) for each in found] == [("a.jpg", "Bus"), ("b.jpg", "Car")]


@pytest.mark.parametrize(
    ("note", "message"),
    [
        (
            {**NOTES[0], "image_id": {}},
            r"instances\.json: annotations holds .*, whose image_id {} is neither a text",
        ),
        ({**NOTES[0], "category_id": [1]}, r"whose category_id \[1\] is neither"),
        ({**NOTES[0], "category_id": None}, r"whose category_id None is neither"),
        ({"id": 5, "image_id": 0}, r"which lacks some of \['category_id', 'image_id'\]"),
        (None, "annotations holds None, which lacks"),
    ],
)
def test_one_annotation_that_is_none_is_a_bad_one(tmp_path, note, message):
    found = coco.read(source(tmp_path, annotations=[note, {**NOTES[0], "image_id": 1}]))
    assert_bad(found, message)
    assert [each.path for each in found if each.label and not each.reason] == ["b.jpg"]


def test_the_id_of_an_annotation_may_stand_twice_or_be_anything(tmp_path):
    """As in files that were joined: nothing refers to it."""
    notes = [NOTES[0], {**NOTES[0], "image_id": 1, "category_id": 2}, {**NOTES[0], "id": [1], "bbox": [9, 9, 9, 9]}]
    found = [(each.path, each.label) for each in coco.read(source(tmp_path, annotations=notes))]
    assert found == [("a.jpg", "Bus"), ("a.jpg", "Bus"), ("b.jpg", "Car")]


def test_texts_that_only_look_like_numbers_stay_texts(tmp_path):
    images = [{**IMAGES[0], "id": "01"}, {**IMAGES[1], "id": 1}]
    notes = [{**NOTES[0], "image_id": "01"}, {**NOTES[0], "id": 2, "image_id": 1, "category_id": 2}]
    found = coco.read(source(tmp_path, images=images, annotations=notes))
    assert [(each.path, each.label) for each in found] == [("a.jpg", "Bus"), ("b.jpg", "Car")]


def test_an_id_that_stands_twice_in_two_forms_is_refused(tmp_path):
    with pytest.raises(DataError, match="the id 0 stands twice in images"):
        coco.read(source(tmp_path, images=[IMAGES[0], {**IMAGES[1], "id": "0"}]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": [{**IMAGES[0], "id": [1]}]}, r"whose id \[1\] is neither a text nor a whole number"),
        ({"images": [{**IMAGES[0], "id": None}]}, "whose id None is neither"),
        ({"images": [{**IMAGES[0], "file_name": {"a": 1}}]}, "whose file_name {'a': 1} is neither"),
        ({"categories": [{"id": 1.5, "name": "Bus"}]}, "whose id 1.5 is neither"),
        ({"categories": [{"id": 1, "name": None}]}, "whose name None is neither"),
        ({"categories": [{"id": 1, "name": ["x" * 10_000]}]}, "whose name .* is neither"),
        ({"annotations": {}}, "annotations is no list"),
    ],
)
def test_values_that_are_none_of_cocos_are_refused_in_a_short_sentence(tmp_path, changes, message):
    with pytest.raises(DataError, match=message) as caught:
        coco.read(source(tmp_path, **changes))
    assert len(str(caught.value)) < 1200


def test_boxes_in_fractions_are_refused(tmp_path):
    root = source(tmp_path, annotations=[{**NOTES[0], "bbox": [0.1, 0.2, 0.5, 0.5]}])
    with pytest.raises(
        DataError, match="no box reaches beyond 1, so they look like fractions; COCO states boxes in pix"
    ):
        coco.read(root)


@pytest.mark.parametrize("bbox", [[0, 0, 0, 0], [300, 0, 5, 5], [-10, -10, 10, 10]])
def test_a_box_of_which_nothing_lies_in_the_image_says_so(tmp_path, bbox):
    notes = [*NOTES, {**NOTES[0], "id": 2, "bbox": bbox}, {**NOTES[0], "id": 3, "bbox": bbox}]
    used, *excluded = (each for each in coco.read(source(tmp_path, annotations=notes)) if each.path == "a.jpg")
    assert used.reason == ""
    assert [each.reason for each in excluded] == ["empty_box"] * 2
    assert excluded[0].detail.endswith("instances.json: annotation 2: nothing of the box lies in the image")


@pytest.mark.parametrize("box", [{}, {"bbox": None}, {"bbox": []}])
def test_a_file_without_boxes_labels_whole_images(tmp_path, box):
    note = {"id": "x", "image_id": 0, "category_id": 2, **box}
    assert [(each.path, each.label, each.box) for each in coco.read(source(tmp_path, annotations=[note]))] == [
        ("a.jpg", "Car", None),
        ("b.jpg", "", None),
    ]


def test_an_empty_box_among_others_leaves_the_image_without_a_label(tmp_path):
    root = source(tmp_path, annotations=[*NOTES, {"id": 2, "image_id": 1, "category_id": 2, "bbox": []}])
    assert [(each.path, each.label) for each in coco.read(root)] == [("a.jpg", "Bus"), ("b.jpg", "")]


def test_an_annotation_without_a_box_beside_boxes_of_the_same_image_is_excluded(tmp_path):
    root = source(tmp_path, annotations=[*NOTES, {"id": 2, "image_id": 0, "category_id": 2}])
    assert [(each.path, each.label, each.reason) for each in coco.read(root)] == [
        ("a.jpg", "Bus", ""),
        ("a.jpg", "Car", "no_box"),
        ("b.jpg", "", ""),
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_marked_encodings_are_read(tmp_path, encoding):
    root = write(plant(tmp_path, *NAMES), {"instances.json": coco_json().encode(encoding)})
    assert registry.detect_format(root) == "coco"
    assert len(coco.read(root)) == 2


def test_many_json_files_in_one_folder_are_a_file_for_each_image_and_not_searched(tmp_path):
    root = source(tmp_path)
    write(root, {f"labelme/{number}.json": coco_json(images=[]) for number in range(101)})
    assert [(each.path, each.label) for each in coco.read(root)] == [("a.jpg", "Bus"), ("b.jpg", "")]


def test_a_deeply_nested_file_is_refused(tmp_path):
    text = '{"images": [], "categories": [], "annotations": ' + "[" * 100_000
    with pytest.raises(DataError, match=r"x\.json is nested too deeply"):
        registry.read_annotations(write(plant(tmp_path, *NAMES), {"x.json": text}), format="auto")


@pytest.mark.parametrize("side", [{}, {"width": None, "height": None}, {"width": 0, "height": 0}])
def test_an_image_whose_size_is_not_stated_says_it_itself(tmp_path, side):
    images = [{"id": 0, "file_name": "a.jpg", **side}]
    root = source(tmp_path, images=images, annotations=[{**NOTES[0], "bbox": [2, 1, 4, 2]}])
    assert [each.box for each in coco.read(root)] == [Box(0.25, 0.25, 0.5, 0.5)]


@pytest.mark.parametrize(
    "name",
    [
        "/home/me/set/images/a.jpg",
        "C:\\Users\\me\\images\\a.jpg",
        "../images/a.jpg",
        "../../label-studio/data/media/upload/1/a.jpg",
        "https://some.where/bucket/images/a.jpg?versionId=3",
        "s3://bucket/images/a%2Ejpg",
        "A.JPG",
        "Images\\a.JPG",
    ],
)
def test_names_of_other_machines_addresses_and_other_case_are_understood(tmp_path, name):
    root = plant(tmp_path, "images/a.jpg", "images/b.jpg")
    write(root, {"annotations/x.json": coco_json(images=[{**IMAGES[0], "file_name": name}])})
    assert [(each.path, each.label) for each in coco.read(root)] == [("images/a.jpg", "Bus")]


def test_a_name_in_a_folder_that_is_not_there_is_no_image_of_another_folder(tmp_path):
    root = plant(tmp_path, "train/a.jpg", "b.jpg")
    images = [{**IMAGES[0], "file_name": "val/a.jpg"}, IMAGES[1]]
    write(root, {"x.json": coco_json(images=images)})
    assert [(each.path, each.reason) for each in coco.read(root)] == [("b.jpg", ""), ("x.json", "no_image")]


def test_images_that_differ_by_case_alone_are_told_apart(tmp_path):
    root = write(plant(tmp_path, "a.jpg", "A.jpg", "b.jpg"), {"x.json": coco_json()})
    assert [(each.path, each.label) for each in coco.read(root)] == [("a.jpg", "Bus"), ("b.jpg", "")]


def test_annotations_of_missing_images_are_accounted_for_one_by_one(tmp_path):
    gone = [{**IMAGES[0], "id": number, "file_name": f"{number}.jpg"} for number in (7, 8)]
    notes = [*NOTES, *({**NOTES[0], "id": number, "image_id": 7} for number in (2, 3))]
    found = coco.read(source(tmp_path, images=[*IMAGES, *gone], annotations=notes))
    assert [(each.path, each.label, each.reason) for each in found] == [
        ("a.jpg", "Bus", ""),
        ("b.jpg", "", ""),
        ("instances.json", "", "no_image"),
        ("instances.json", "Bus", "no_image"),
        ("instances.json", "Bus", "no_image"),
    ]
    assert found[2].detail == "instances.json: image 8: the image '8.jpg' is not there"
    assert found[3].detail.endswith("instances.json: annotation 2: the image '7.jpg' is not there")
