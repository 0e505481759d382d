"""What `tandem predict` prints of images of the classes, of doubtful ones, and of one that is of none."""

import csv
import errno
import io
import json
import os
from pathlib import Path

import pytest
from PIL import Image

from tandem.cli import predict
from tandem.cli.predict import find_files, print_predictions
from tandem.errors import DataError
from tandem.inference.export import write_model
from toy_model import CARD, colors_model

TABLE = {"output": "table", "top_k": 1, "explain_dir": None, "is_fast": False, "workers": 1}
IMAGES = {"gray": (90, 90, 90), "orange": (255, 187, 0), "red": (255, 0, 0)}


@pytest.fixture
def model_path(tmp_path):
    write_model(colors_model(num_views=2), CARD, tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


@pytest.fixture
def printed(model_path, tmp_path, capsys):
    """What is printed of the images, by the output that is asked for."""
    for name, color in IMAGES.items():
        Image.new("RGB", (40, 30), color).save(tmp_path / f"{name}.png")
    paths = [str(tmp_path / f"{name}.png") for name in IMAGES]

    def print_as(output):
        assert print_predictions(paths, model_path=model_path, **TABLE | {"output": output}) == 0
        return capsys.readouterr().out

    return print_as


def test_a_line_ends_with_what_is_to_be_known_of_its_image(printed):
    gray, orange, red = printed("table").splitlines()
    assert gray.endswith("0.333  one of red, green, blue  none of these  left to a person")
    assert orange.endswith("red 0.894  left to a person")
    assert red.endswith("red 0.999")


def test_a_name_with_a_line_break_stays_on_its_line(model_path, tmp_path, capsys):
    Image.new("RGB", (40, 30), IMAGES["red"]).save(tmp_path / "a\nb\x1b[31m é.png")
    (tmp_path / "c\rd.png").write_bytes(b"")
    assert print_predictions([str(tmp_path / "a*"), str(tmp_path / "c*")], model_path=model_path, **TABLE) == 1
    printed = capsys.readouterr()
    assert printed.out.startswith(rf"{tmp_path}/a\nb\x1b[31m é.png") and printed.out.count("\n") == 1
    assert rf"error: {tmp_path}/c\rd.png: the file is empty" in printed.err


@pytest.mark.parametrize("files", [[], ["notes.txt"]])
def test_a_folder_without_images_is_an_error(files, model_path, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in files:
        (folder / name).write_text("to do")
    with pytest.raises(DataError, match=r"there is no image in .*photos; name other files or folders"):
        print_predictions([str(folder)], model_path=model_path, **TABLE)


def test_special_files_are_errors_where_they_are_named_and_counted_in_folders(model_path, tmp_path, capsys):
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    Image.new("RGB", (40, 30), IMAGES["red"]).save(folder / "red.png")
    os.mkfifo(folder / "sub/pipe.png")
    (folder / "sub/link.png").symlink_to("nowhere.png")
    assert print_predictions([str(folder)], model_path=model_path, **TABLE) == 1
    said = capsys.readouterr().err
    assert f"error: {folder}/sub/link.png: No such file or directory" in said
    assert "1 images predicted, 1 failed, 1 other files in folders are no images" in said
    assert print_predictions(["/dev/zero", str(folder / "sub/pipe.png")], model_path=model_path, **TABLE) == 2
    said = capsys.readouterr().err
    assert "error: /dev/zero: a device, pipe or socket; name a file, or - for standard input" in said
    assert f"error: {folder}/sub/pipe.png: a device, pipe or socket" in said


def test_what_a_shell_hands_over_by_a_descriptor_is_predicted(model_path, capsys):
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as pipe:
        Image.new("RGB", (40, 30), IMAGES["red"]).save(pipe, "PNG")
    assert print_predictions([f"/dev/fd/{reading}"], model_path=model_path, **TABLE) == 0
    os.close(reading)
    assert "red 0.999" in capsys.readouterr().out


def test_programs_have_a_boolean_the_score_and_the_set(printed):
    rows = [json.loads(line) for line in printed("json").splitlines()]
    assert list(rows[0]) == ["path", "label", "confidence", "reject", "none_of_these", "ood_score", "set", "probs"]
    assert [row["none_of_these"] for row in rows] == [True, False, False]
    assert [row["ood_score"] > CARD.ood_threshold for row in rows] == [row["none_of_these"] for row in rows]
    assert [len(row["set"]) for row in rows] == [3, 1, 1]
    assert all(row["set"][0] == row["label"] for row in rows)


def test_a_table_for_programs_has_a_column_for_it(printed):
    rows = list(csv.DictReader(io.StringIO(printed("csv"))))
    assert list(rows[0]) == ["path", "label", "confidence", "reject", "none_of_these", "ood_score", "set"]
    assert [row["none_of_these"] for row in rows] == ["True", "False", "False"]
    assert [float(row["ood_score"]) > CARD.ood_threshold for row in rows] == [True, False, False]
    assert [sorted(json.loads(row["set"])) for row in rows] == [sorted(CARD.class_names), ["red"], ["red"]]


def test_a_set_of_many_classes_is_counted_in_a_line() -> None:
    assert predict._several(["car"]) == []
    assert predict._several(["car", "truck"]) == ["one of car, truck"]
    assert predict._several([str(number) for number in range(6)]) == ["one of 6 classes"]


def test_a_linked_folder_is_followed_and_not_for_ever(tmp_path):
    for name in ("photos/a.png", "photos/.hidden/b.png", "elsewhere/c.png", "elsewhere/sub/d.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "photos/linked").symlink_to("../elsewhere")
    (tmp_path / "photos/itself").symlink_to(".")
    (tmp_path / "elsewhere/sub/back").symlink_to("../../photos")
    (tmp_path / "photos/.secret").symlink_to("../elsewhere")
    named, in_folders = find_files([str(tmp_path / "photos")])
    assert named == []
    below = [path.relative_to(tmp_path / "photos").as_posix() for path in in_folders]
    assert below == ["a.png", "linked/c.png", "linked/sub/d.png"]


def test_a_folder_that_cannot_be_read_is_an_error_and_not_passed_over(tmp_path, monkeypatch):
    (tmp_path / "photos/closed").mkdir(parents=True)
    list_folder = Path.iterdir

    def denied(folder):  # root, as whom tests may run, can read any folder
        if folder.name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied")
        return list_folder(folder)

    monkeypatch.setattr(Path, "iterdir", denied)
    with pytest.raises(DataError, match=r"the folder .*/photos/closed cannot be read: Permission denied; check its"):
        find_files([str(tmp_path / "photos")])
