"""What is found in folders and archives as people have them, and the messages of those that cannot be read."""

import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from planted_data import drawn, plant_classes, plant_yolo, zipped
from tandem.errors import DataError, SourceError
from tandem.projects.inspection import InspectedSource, described, inspect_sources
from tandem.sources.settings import BoxPolicy


def inspect(path: Path, scratch: Path) -> InspectedSource:
    (source,) = inspect_sources([path], scratch)
    return source


def test_an_archive_is_named_by_its_file_and_pinned_by_its_digest(tmp_path: Path) -> None:
    path = zipped(plant_classes(tmp_path / "Flores é 2.v1", {"train/rose": 2, "test/rose": 1, "train/tulip": 3}))
    source = inspect(path, tmp_path / "scratch")
    assert (source.name, source.path, source.format) == ("flores_e_2_v1", path, "class_folders")
    assert source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert source.labels == {"rose": 3, "tulip": 3}
    assert list(described(source)) == ["6 images, format class_folders: rose 3, tulip 3"]


def test_a_folder_is_read_where_it_lies_and_left_as_it_is(tmp_path: Path) -> None:
    folder = plant_classes(tmp_path / "pets", {"cat": 2, "dog": 1})
    (folder / ".git").mkdir()
    (folder / ".git/hidden.png").write_bytes(drawn(7))
    before = sorted(folder.rglob("*"))
    source = inspect(folder, tmp_path / "scratch")
    assert (source.sha256, source.labels, source.boxes) == (None, {"cat": 2, "dog": 1}, None)
    assert all((source.root / each.path).read_bytes() for each in source.annotations)
    assert sorted(folder.rglob("*")) == before


def test_sources_of_one_name_are_told_apart(tmp_path: Path) -> None:
    paths = [plant_classes(tmp_path / name / "images", {"cat": 1, "dog": 1}) for name in ("a", "b", "c")]
    assert [each.name for each in inspect_sources(paths, tmp_path / "scratch")] == ["images", "images_2", "images_3"]


def test_a_relative_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant_classes(tmp_path / "pets", {"cat": 1, "dog": 1})
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert inspect(Path("../pets"), tmp_path / "scratch").path == tmp_path / "pets"


def test_images_without_a_label_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    folder = plant_classes(tmp_path / "pets", {"cat": 2, "dog": 1, "images": 2})
    source = inspect(folder, tmp_path / "scratch")
    assert list(described(source))[1] == (
        "2 of them have no label and are left out, the first images/0.png (it lies in no class folder)"
    )


def test_boxes_of_one_class_an_image_are_read_as_whole_images(tmp_path: Path) -> None:
    source = inspect(plant_yolo(tmp_path / "yolo", {"a": "00", "b": "1", "c": ""}), tmp_path / "scratch")
    assert source.boxes == BoxPolicy("whole", 0, 32)
    assert source.labels == {"cat": 1, "dog": 1}
    assert "each image holds boxes of one class: it is read as a whole" in described(source)


def test_boxes_of_several_classes_an_image_are_read_as_images_of_their_own(tmp_path: Path) -> None:
    source = inspect(plant_yolo(tmp_path / "yolo", {"a": "01", "b": "1"}), tmp_path / "scratch")
    assert source.boxes == BoxPolicy("crop", 0.1, 32)
    assert source.labels == {"cat": 1, "dog": 2}
    assert "1 of 2 images hold boxes of several classes: each box is an image of its own" in described(source)


def test_few_images_of_several_classes_among_many_are_left_out_and_counted(tmp_path: Path) -> None:
    boxes = {f"{number}": "01" if number == 3 else "0" for number in range(20)}
    source = inspect(plant_yolo(tmp_path / "yolo", boxes), tmp_path / "scratch")
    assert source.boxes == BoxPolicy("whole", 0, 32)
    assert "all but 1 of 20 images hold boxes of one class: read as a whole, without these" in described(source)


def test_many_labels_are_shown_in_part(tmp_path: Path) -> None:
    source = inspect(plant_classes(tmp_path / "a", {f"c{n:02}": 1 for n in range(15)}), tmp_path / "scratch")
    assert list(described(source, most=2)) == ["15 images, format class_folders: c00 1, c01 1 and 13 more labels"]


# --- what cannot be read


def test_a_path_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=rf"there is no file or folder {tmp_path}/nowhere\.zip; correct what --data"):
        inspect(tmp_path / "nowhere.zip", tmp_path / "scratch")


def test_a_path_that_is_named_twice_is_told(tmp_path: Path) -> None:
    folder = plant_classes(tmp_path / "pets", {"cat": 1, "dog": 1})
    with pytest.raises(DataError, match=rf"{folder} is named twice"):
        inspect_sources([folder, folder / "../pets"], tmp_path / "scratch")


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=rf"the folder {tmp_path}/empty holds no files; fill it"):
        inspect(tmp_path / "empty", tmp_path / "scratch")


def test_a_file_that_is_no_archive_is_told(tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(drawn(0))
    with pytest.raises(SourceError, match=rf"{tmp_path}/cat\.png is no zip or tar archive"):
        inspect(tmp_path / "cat.png", tmp_path / "scratch")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.txt": b"1", "b.doc": b"2"}, r"no file has the name of an image \(its suffixes: \.doc, \.txt\)"),
        ({"one.png": drawn(0), "two.png": drawn(1)}, "2 images lie in no class folder"),
        ({"a.json": json.dumps({"shapes": [], "imagePath": "a"}).encode()}, "this is LabelMe's JSON"),
    ],
    ids=["no image", "no labels", "foreign"],
)
def test_a_layout_that_is_not_read_is_told_by_the_path_that_was_named(
    tmp_path: Path, files: dict[str, bytes], said: str
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"^{folder} has none of the formats .*{said}") as error:
        inspect(folder, tmp_path / "scratch")
    assert "scratch" not in str(error.value)


def test_labels_of_images_that_are_not_there_are_counted_and_are_no_images(tmp_path: Path) -> None:
    folder = tmp_path / "pets"
    folder.mkdir()
    for number in range(2):
        (folder / f"{number}.png").write_bytes(drawn(number))
    (folder / "labels.csv").write_text("filename,label\n0.png,cat\n1.png,dog\n2.png,dog\n3.png,cat\n")
    assert list(described(inspect(folder, tmp_path / "scratch"))) == [
        "2 images, format csv: cat 1, dog 1",
        "2 labels are of images that are not there, the first in labels.csv:4",
    ]


def test_images_of_several_labels_are_counted(tmp_path: Path) -> None:
    folder = plant_classes(tmp_path / "a", {"images": 3})
    (folder / "labels.csv").write_text("file,label\n0.png,Car\n1.png,Bus\n2.png,Bus\n2.png,Car\n")
    lines = list(described(inspect(folder, tmp_path / "scratch")))
    assert lines[1] == "1 image has labels of several classes, the first images/2.png"


def test_folders_above_those_of_the_labels_are_named_where_they_could_be_the_classes(tmp_path: Path) -> None:
    folder = plant_classes(tmp_path / "a", {"car/front": 1, "car/rear": 1, "bus/front": 1, "bus/rear": 1})
    folder = plant_classes(folder, {"train/van/rear": 1}, first=9)
    lines = list(described(inspect(folder, tmp_path / "scratch")))
    assert lines[1] == "the labels are the inner folders; those above them are bus, car, van"
    flat = plant_classes(tmp_path / "b", {"set/train/car": 1, "set/test/bus": 1})
    assert len(list(described(inspect(flat, tmp_path / "other")))) == 1


def test_annotations_that_cannot_be_used_are_counted_and_name_the_users_own_file(tmp_path: Path) -> None:
    folder = plant_yolo(tmp_path / "yolo", {"a": "0", "b": "1", "c": "9"})
    source = inspect(folder, tmp_path / "scratch")
    assert source.labels == {"cat": 1, "dog": 1}
    (line,) = (line for line in described(source) if "cannot be used" in line)
    assert line.startswith(f"1 annotation cannot be used, the first: {folder}/labels/c.txt, line 1: '9 ")
    assert "scratch" not in " ".join(described(source))


def test_a_file_of_bad_annotations_is_no_image(tmp_path: Path) -> None:
    folder = plant_classes(tmp_path / "a", {"images": 3})
    (folder / "labels.csv").write_text("file,label\n0.png,Car, red\n1.png,Bus\n2.png,Car\n")
    source = inspect(folder, tmp_path / "scratch")
    assert (source.num_images, len(source.bad), source.labels) == (3, 1, {"Bus": 1, "Car": 1})


def test_what_is_not_read_beside_the_images_is_named(tmp_path: Path) -> None:
    folder = plant_classes(tmp_path / "a", {"cat": 2, "dog": 2})
    names = [path.relative_to(folder).as_posix() for path in sorted(folder.glob("*/*"))]
    (folder / "meta.csv").write_text("file,night\n" + "".join(f"{name},{n % 2}\n" for n, name in enumerate(names)))
    (folder / "photo.dng").write_bytes(b"II*\0raw")
    with zipfile.ZipFile(folder / "test.zip", "w") as nested:
        nested.writestr("cat/1.jpg", b"")
    lines = list(described(inspect(folder, tmp_path / "scratch")))
    assert lines[0].endswith("format class_folders: cat 2, dog 2")
    assert "the folders are the labels, and not what meta.csv says (night); if it is, call its column `label`" in lines
    assert any(
        line.startswith("1 image is left out (unread_format), the first photo.dng: an image of") for line in lines
    )
    assert "1 image lies in test.zip, which is not opened; unpack it and name the folder as a source" in lines
