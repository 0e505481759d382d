"""What is not read is named as what it is, and a container is never offered as a label."""

import pytest

from planted_sources import plant, write
from tandem.datasets.formats import class_folders, registry
from tandem.datasets.formats.foreign import flat_layout, foreign_layout
from tandem.errors import DataError

CVAT = '<?xml version="1.0"?><annotations><version>1.1</version><image id="0" name="a.jpg"/></annotations>'


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"annotations.xml": CVAT}, r"this is CVAT's XML \(annotations\.xml\), which is not read: export it as COCO"),
        ({"images/a.json": '{"version": "5", "shapes": [], "imagePath": "a.jpg"}'}, "LabelMe's JSON"),
        ({"via.json": '{"a.jpg1": {"filename": "a.jpg", "regions": []}}'}, r"VGG Image Annotator \(VIA\)"),
        ({"x.createml.json": '[{"image": "a.jpg", "annotations": [{"coordinates": {}}]}]'}, "Create ML's JSON"),
        ({"ann/a.jpg.json": '{"objects": [{"classTitle": "car"}]}'}, "Supervisely's JSON"),
        (
            {"test.json": '{"images": [{"id": 0, "file_name": "a.jpg"}]}'},
            "COCO's JSON without annotations or categories",
        ),
        ({"annotations/default.json": '{"categories": {}, "items": []}'}, "Datumaro's own JSON"),
        ({"panoptic.json": '{"annotations": [{"segments_info": []}]}'}, "COCO's panoptic JSON"),
        ({"project.json": '[{"annotations": [{"result": [{"from_name": "x"}]}]}]'}, "Label Studio's JSON"),
        ({"samples.json": '{"samples": [{"filepath": "data/a.jpg"}]}'}, "FiftyOneDataset"),
        ({"metadata.jsonl": '{"file_name": "b.jpg", "text": "red"}'}, "a table in JSON lines"),
        ({"train.tfrecord": b"\0"}, "TFRecord"),
        ({"train-00000-of-00001.parquet": b"PAR1"}, "Parquet or Arrow"),
        ({"labels.mat": b"MATLAB"}, r"MATLAB's \.mat"),
        ({"train.h5": b"\x89HDF"}, "HDF5"),
        ({"x_train.npy": b"\x93NUMPY"}, "arrays of NumPy"),
        ({"data_batch_1.pkl": b""}, "pickled arrays"),
        ({"train-images-idx3-ubyte": b"\0"}, "the IDX files of MNIST"),
        ({"data.mdb": b"\0"}, "LMDB"),
        ({"annotations/a.txt": "0 0.5 0.5 0.25 0.25\n"}, "YOLO's labels .* but the names of the classes are missing"),
        (
            {"x/c.txt": "0 0.5 0.5 0.2 0.2", "classes.txt": "car"},
            "YOLO's labels .* but their images are not found by name",
        ),
        (
            {"label_2/a.txt": "Car 0.00 0 -1.58 1 2 3 4 1.5 1.6 3.7 0.1 1.5 20.1 -1.5"},
            r"KITTI's labels \(label_2/a\.txt\)",
        ),
        ({"labelTxt/a.txt": "1.0 1 9 1 9 9 1 9 small-vehicle 0\n"}, "DOTA's labels"),
        ({"masks/a.png": b""}, "masks of a segmentation"),
        ({"clip.MP4": b"\0"}, "video"),
    ],
)
@pytest.mark.parametrize("folder", ["images", "shots"])
def test_layouts_that_are_not_read_are_named(tmp_path, files, name, folder):
    root = write(plant(tmp_path, f"{folder}/a.jpg"), files)
    if folder == "shots" and "masks/a.png" in files:
        return  # two folders of images are two classes
    with pytest.raises(DataError, match=name):
        registry.read_annotations(root, format="auto")


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({}, r"Their names begin with 'cat', 'dog': if these are the classes, move each into a folder of that name"),
        ({"labels.json": "{}"}, r"labels\.json is of no layout that is known: save it as a CSV file with the columns"),
        (
            {"train.txt": "images/cat.1.jpg 0\n"},
            r"these are lines of an image and its label \(train\.txt\), .* save it as",
        ),
        ({"x.csv": "emotion,pixels,Usage\n0,1 2 3,Training\n"}, r"this is images as numbers in a CSV file \(x\.csv\)"),
        ({"x.csv": "label,pixel0,pixel1,pixel2\n0,1,2,3\n"}, r"this is images as numbers in a CSV file \(x\.csv\)"),
        (
            {"via.csv": "filename,region_count,region_shape_attributes\ncat.1.jpg,0,{}\n"},
            r"this is the CSV of VGG Image Annotator \(VIA\) \(via\.csv\), which is not read: export it as COCO",
        ),
        (
            {"x.jsonl": '{"messages": []}\n'},
            r"a table in JSON lines without names of images, as of PaliGemma",
        ),
        ({"x.json": '[{"id": 1, "image": "1.jpg", "choice": "a", "annotator": 1}]'}, "Label Studio's short JSON"),
    ],
)
def test_images_in_one_folder_are_refused_with_what_could_say_their_classes(tmp_path, texts, message):
    root = write(
        plant(tmp_path, *(f"images/{name}.{number}.jpg" for name in ("cat", "dog") for number in (1, 2))), texts
    )
    with pytest.raises(DataError, match=message):
        registry.read_annotations(root, format="auto")


def test_names_that_differ_say_nothing_of_classes(tmp_path):
    with pytest.raises(DataError, match=r"columns filename and label$"):
        registry.read_annotations(plant(tmp_path, "images/a1.jpg", "images/b2.jpg", "images/c3.jpg"), format="auto")


def test_a_table_of_attributes_is_named_where_one_folder_holds_all_images(tmp_path):
    root = plant(tmp_path, "img_align/a.jpg", "img_align/b.jpg")
    write(root, {"attr.csv": "image_id,Smiling,Male\na.jpg,1,-1\nb.jpg,-1,-1\n"})
    with pytest.raises(
        DataError,
        match=r"attr\.csv: the column 'image_id' names images, but which of .* if 'img_align' is the class of all",
    ):
        registry.read_annotations(root, format="auto")


def test_a_table_that_names_no_image_is_named(tmp_path):
    root = write(plant(tmp_path, "images/a.jpg"), {"labels.csv": "file,label\na.png,Car\nb.png,Bus\n"})
    with pytest.raises(DataError, match=r"no column of labels\.csv holds the names of most images, such as 'images/a"):
        registry.read_annotations(root, format="auto")


def test_class_folders_beside_such_files_are_still_read(tmp_path):
    root = write(plant(tmp_path, "Car/a.jpg", "Bus/b.jpg"), {"model.h5": "", "clip.mp4": "", "notes.xml": CVAT})
    assert {each.label for each in registry.read_annotations(root, format="auto")} == {"Car", "Bus"}
    assert {each.label for each in registry.read_annotations(root, format="class_folders")} == {"Car", "Bus"}


def test_a_stated_format_that_does_not_fit_is_told_what_lies_there(tmp_path):
    root = write(plant(tmp_path, "images/a.jpg"), {"annotations.xml": CVAT})
    with pytest.raises(DataError, match=r"is not of format coco; .*; this is CVAT's XML"):
        registry.read_annotations(root, format="coco")


def test_a_folder_of_nothing_known_has_no_sentence(tmp_path):
    assert foreign_layout(tmp_path) == ""
    assert flat_layout(tmp_path) == ""


@pytest.mark.parametrize(
    "folder", ["", "images/", "data/", "train/images/", "JPEGImages/", "dataset/test/", "_unlabeled/"]
)
def test_flat_images_are_told_to_lie_in_folders_and_a_container_is_no_label(tmp_path, folder):
    root = plant(tmp_path, f"{folder}a.jpg", f"{folder}b.jpg")
    assert {each.label for each in class_folders.read(root)} == {""}
    with pytest.raises(DataError, match=r"2 images lie in no class folder, the first in .*: make a folder for each"):
        registry.read_annotations(root, format="auto")


def test_names_of_yolo_without_labels_say_so(tmp_path):
    root = write(plant(tmp_path, "images/a.jpg", "images/b.jpg"), {"data.yaml": "names: [car]\n"})
    with pytest.raises(
        DataError, match=r"data\.yaml names classes, as of YOLO, but none of the 2 images has a file of lab"
    ):
        registry.read_annotations(root, format="auto")


def test_netpbm_images_are_images(tmp_path):
    root = plant(tmp_path, "GTSRB/Final_Training/Images/00001/1.ppm", "GTSRB/Final_Training/Images/00002/1.PGM")
    assert {each.label for each in registry.read_annotations(root, format="auto")} == {"00001", "00002"}
