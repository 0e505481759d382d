"""params.yaml by what lies in data: it is valid as it stands, and it says what was found."""

import shutil
from pathlib import Path

import pytest

from planted_data import drawn, plant_classes, plant_yolo, zipped
from tandem.datasets.labels import label_map
from tandem.errors import DataError
from tandem.pipeline.params import key_lines, read_params
from tandem.pipeline.preflight import check_project
from tandem.pipeline.schema import check_params
from tandem.projects.inspection import inspect_sources
from tandem.projects.parameters import parameters_for

PRESETS = Path(__file__).resolve().parents[2] / "presets"


def written(folder: Path, *paths: Path, name: str = "vehicles") -> Path:
    """params.yaml in a folder, for data."""
    sources = inspect_sources(paths, folder / "scratch")
    text, _ = parameters_for(sources, (PRESETS / f"{name}.yaml").read_text(encoding="utf-8"), name=name)
    (folder / "params.yaml").write_text(text, encoding="utf-8")
    return folder / "params.yaml"


def comment_of(path: Path, *keys: str) -> str:
    """What stands behind a key, on its line."""
    return path.read_text(encoding="utf-8").splitlines()[key_lines(path)[keys] - 1].partition(" # ")[2]


@pytest.mark.parametrize("name", ["vehicles", "sample"])
def test_all_but_sources_labels_and_splits_is_as_in_the_preset_with_its_comments(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, zipped(plant_classes(tmp_path / "pets", {"cat": 12, "dog": 12})), name=name)
    lines = path.read_text(encoding="utf-8").splitlines()
    before = (PRESETS / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    kept = before[before.index("merge:") :]
    changed = [line.split(":")[0] for line in kept if line not in lines]
    assert [key for key in changed if key not in ("  fractions", "  seed")] == []
    assert "  fractions" in changed
    new = [line for line in lines[lines.index("merge:") :] if line not in kept]
    assert new[0].startswith("  fractions: {train: 0.5, val: 0.25, test: 0.25} # larger than usual")
    assert f"the preset `{name}`" in lines[1]


def test_the_file_is_valid_without_a_warning_and_says_what_was_found(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        zipped(plant_classes(tmp_path / "web", {"Train/Cat": 20, "Train/Dog": 12, "test_set": 3, "Train/yak": 2})),
        plant_yolo(tmp_path / "yolo", {f"{number}": "01"[number % 2] for number in range(8)}),
    )
    shutil.copytree(PRESETS, tmp_path / "presets")
    params, warnings = check_project(tmp_path)
    assert warnings == []
    assert [source["format"] for source in params["sources"].values()] == ["class_folders", "yolo"]
    assert params["sources"]["yolo"]["boxes"] == {"use": "whole", "margin": 0, "min_side_px": 32}
    assert params["labels"]["classes"] == {"Cat": [], "Dog": []}
    assert params["labels"]["ignore"] == ["yak"]
    assert comment_of(path, "labels", "classes", "Cat") == "24 images"
    assert comment_of(path, "labels", "ignore", "0").startswith("2 images, and a class needs 6")
    assert comment_of(path, "curate", "fractions").endswith("the smallest class, Dog, has 16 images")
    text = path.read_text(encoding="utf-8")
    assert "    # 37 images, format class_folders: Cat 20, Dog 12, yak 2\n" in text
    assert "    # each image holds boxes of one class: it is read as a whole\n" in text


ODD = (
    "yes",
    "no",
    "1",
    "a: b",
    "- c",
    "#d",
    "ünï 'q' \"d\"",
    "[x]",
    "{y}",
    "*z",
    "~",
    "e\\f",
    "1e3",
    "2020-01-01",
    "w x",
)


PER_LABEL = 10


def test_labels_are_read_again_as_they_were_whatever_yaml_thinks_of_them(tmp_path: Path) -> None:
    folder, rows = tmp_path / "data", ["filename,label\n"]
    folder.mkdir()
    for number in range(PER_LABEL * len(ODD)):
        label = ODD[number // PER_LABEL].replace('"', '""')
        rows.append(f'{number}.png,"{label}"\n')
        (folder / f"{number}.png").write_bytes(drawn(number))
    (folder / "labels.csv").write_text("".join(rows), encoding="utf-8")
    params = check_params(read_params(written(tmp_path, folder)))
    assert set(params.labels.classes) == set(ODD)
    labels = label_map(params.labels)
    assert [labels.resolve(label, source="data") for label in ODD] == list(ODD)


def test_a_path_that_yaml_would_misread_is_quoted(tmp_path: Path) -> None:
    folder = plant_classes(tmp_path / "my, #1 {pets}: é", {"cat": 6, "dog": 6})
    params = read_params(written(tmp_path, folder))
    assert params["sources"]["my_1_pets_e"]["archive"] == {"path": str(folder)}


def test_large_classes_keep_the_splits_of_the_preset(tmp_path: Path) -> None:
    path = written(tmp_path, plant_classes(tmp_path / "pets", {"cat": 100, "dog": 100}))
    curate = read_params(path)["curate"]
    assert curate == read_params(PRESETS / "vehicles.yaml")["curate"]


def test_a_class_whose_images_are_all_the_same_is_ignored_for_that(tmp_path: Path) -> None:
    folder = plant_classes(tmp_path / "pets", {"cat": 7, "dog": 7, "emu": 7})
    for number in range(7):
        (folder / f"emu/{number}.png").write_bytes(drawn(99))
    path = written(tmp_path, folder)
    assert read_params(path)["labels"]["ignore"] == ["emu"]
    assert comment_of(path, "labels", "ignore", "0").startswith("7 images, too few different ones")


def test_a_class_whose_images_all_show_another_one_too_is_ignored_for_that(tmp_path: Path) -> None:
    boxes = {f"a{number}": "0" for number in range(200)} | {f"b{number}": "01" for number in range(6)}
    with pytest.raises(DataError, match=r"dog \(all its images show several classes\)"):
        written(tmp_path, plant_yolo(tmp_path / "yolo", boxes))


def test_letters_by_case_are_compared_as_written(tmp_path: Path) -> None:
    path = written(tmp_path, plant_classes(tmp_path / "hand", {"A": 6, "a": 6}))
    assert read_params(path)["labels"]["match"] == "exact"
    assert set(check_params(read_params(path)).labels.classes) == {"A", "a"}


def test_where_the_labels_are_no_classes_what_was_not_read_is_named_too(tmp_path: Path) -> None:
    folder = plant_classes(tmp_path / "data", {f"{name}/patient_{n}": 1 for n in range(3) for name in ("ill", "well")})
    with pytest.raises(DataError, match="two classes are needed") as caught:
        written(tmp_path, folder)
    assert str(caught.value).endswith("data: the labels are the inner folders; those above them are ill, well")


def test_bad_annotations_are_the_reason_where_they_leave_no_two_classes_and_are_left_to_the_run_elsewhere(
    tmp_path: Path,
) -> None:
    few = plant_yolo(tmp_path / "few", {f"{n}": "01"[n % 2] for n in range(40)} | {"x": "9", "y": "9"})
    assert check_params(read_params(written(tmp_path, few))).labels.classes.keys() == {"cat", "dog"}
    (tmp_path / "other").mkdir()
    with pytest.raises(DataError, match=r"12 of 12 annotations of all cannot be used, more than .* The first ones:\n"):
        written(tmp_path / "other", plant_yolo(tmp_path / "all", {f"{n}": "9" for n in range(12)}))
