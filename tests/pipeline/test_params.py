"""Reading params.yaml: numbers as YAML 1.2 has them, sections as settings, one message for what cannot be read."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tandem.curation.settings import CandidateSettings, CurateSettings, SplitFractions
from tandem.datasets.settings import LabelSettings, LabelsOfSource
from tandem.errors import ParamsError
from tandem.pipeline.params import PARAMS_PATH, key_lines, read_params, section, sections
from tandem.sources.settings import ArchiveSource, BoxPolicy, Source
from tandem.studies.settings import StudySettings
from tandem.training.settings import TrainSettings

ROOT = Path(__file__).parents[2]


BOMB = "".join(f"a{n}: &a{n} [{'{join}'.join([f'*a{n - 1}'] * 60) if n else '{item}'}]\n" for n in range(9))
MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 12))


def read(tmp_path: Path, text: str | bytes) -> object:
    path = tmp_path / "params.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_params(path)


def test_the_committed_file_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert read_params() == read_params(ROOT / PARAMS_PATH)
    assert "sources" in read_params()


def test_numbers_are_numbers_and_words_are_words(tmp_path: Path) -> None:
    text = "lr: 1e-3\npixels: 100_000_000\nplain: 0.001\nword: no\nlist: [1, 2.5]\nsection: {on: off, 'x': null}\n"
    assert read(tmp_path, text) == {
        "lr": 0.001,
        "pixels": 100_000_000,
        "plain": 0.001,
        "word": "no",
        "list": [1, 2.5],
        "section": {"on": "off", "x": None},
    }


def test_a_missing_file_says_where_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"params\.yaml is missing here; .*copy a preset over it"):
        read_params(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("train:\n  lr: [1, 2\n", "line 2, column 7"),
        ("train:\n\tlr: 1\n", "line 2, column 1"),
        ("train:\n\tlr: 1\n", "indent by spaces"),
        ("train: {lr: 1}\ntrain: {lr: 2}\n", 'duplicate key "train"'),
        ("train: !secret x\n", "!secret"),
        ("a: 1\n---\nb: 2\n", "another document"),
        ("a: " + "[" * 5000, "it is nested too deeply"),
        ("".join(f"{depth * ' '}a:\n" for depth in range(600)), "it is nested too deeply"),
        ("a: " + "9" * 5000, "Exceeds the limit"),
        ("a: &a [*a]\n", "line 1: *a lies within what it stands for"),
        ("a: &a {b: 1, <<: *a}\n", "line 1: *a lies within what it stands for"),
        (BOMB.format(join=", ", item="[1, 2]"), "line 4: its aliases stand for too many values"),
        (MERGES, "its aliases stand for too many values"),
        ("bell: \a\n", "#x0007"),
        ("day: 2024-13-01\n", "month must be in 1..12"),
    ],
)
def test_what_is_no_yaml_says_what_and_where(tmp_path: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(ParamsError, match=r"params\.yaml is not valid YAML") as caught:
        read(tmp_path, text)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", r"params\.yaml is empty; copy a preset over it"),
        (b"# only words\n", r"params\.yaml is empty; copy a preset over it"),
        (b"label: caminh\xe3o\n", r"not UTF-8 on line 1 \(.*byte 0xe3 in position 13: .*\); save it as UTF-8"),
        ("train: {}".encode("utf-16"), "is UTF-16 or no text at all; save it as UTF-8, or copy a preset over it"),
        ("train: {}".encode("utf-16-le"), "is UTF-16 or no text at all"),
        (b"\x00" * 100, "is UTF-16 or no text at all"),
        (b"a: 1\n" * 300_000, "has 1500000 bytes, and no parameters are that many; copy a preset over it"),
    ],
)
def test_what_is_no_text_of_parameters_says_what_it_is(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(ParamsError, match=words):
        read(tmp_path, data)


def test_a_folder_in_its_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").mkdir()
    with pytest.raises(ParamsError, match=r"params\.yaml is a folder; remove it, and copy a preset to its place"):
        read_params(tmp_path / "params.yaml")


def test_a_mark_before_utf_8_is_no_part_of_the_text_and_few_aliases_are_read(tmp_path: Path) -> None:
    assert read(tmp_path, b"\xef\xbb\xbfa: 1\n") == {"a": 1}
    assert read(tmp_path, "a: &a [1, 2]\nb: {c: *a, d: *a}\n") == {"a": [1, 2], "b": {"c": [1, 2], "d": [1, 2]}}


def test_the_line_of_each_key_is_known(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("train: # one\n  lr: 1\n\nlabels: {classes: {car: [1,\n  2]}}\n")
    lines = key_lines(path)
    assert lines["train", "lr"] == 2
    assert (lines["labels", "classes", "car", "0"], lines["labels", "classes", "car", "1"]) == (4, 5)


@pytest.mark.parametrize(("text", "found"), [("- a\n- b\n", r"\['a', 'b'\]"), ("3\n", "3")])
def test_a_file_without_sections_is_refused(tmp_path: Path, text: str, found: str) -> None:
    with pytest.raises(ParamsError, match=f"must hold sections with keys; it holds {found};"):
        read(tmp_path, text)


SOURCES = {
    "yard": {
        "kind": "archive",
        "archive": {"path": "yard.zip"},
        "format": "yolo",
        "boxes": {"use": "crop", "margin": 0.1, "min_side_px": 32},
    },
    "street": {"kind": "archive", "archive": {"path": "street", "sha256": "a" * 64}, "format": "auto"},
}


def test_a_section_is_read_as_its_settings_with_those_within_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    curate = section(read_params(), "curate", CurateSettings)
    assert curate.candidates == CandidateSettings(min_similarity=0.955, max_hash_distance=64, num_neighbors=5)
    assert curate.fractions == SplitFractions(train=0.7, val=0.15, test=0.15)
    assert section(read_params(), "study", StudySettings).lr == (0.01, 0.001)


def test_a_mapping_of_any_keys_keeps_them_and_its_lists_become_tuples() -> None:
    one = {"classes": {"truck": ["machine"]}, "ignore": []}
    labels = {"classes": {"car": ["carro"], "truck": []}, "ignore": ["bus"], "by_source": {"yard": one}}
    assert section({"labels": labels}, "labels", LabelSettings) == LabelSettings(
        classes={"car": ("carro",), "truck": ()},
        ignore=("bus",),
        by_source={"yard": LabelsOfSource(classes={"truck": ("machine",)}, ignore=())},
    )


@pytest.mark.parametrize("layers", [3, {"resnet50": 2}])
def test_a_value_of_two_types_is_read_as_either(layers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    params = read_params()
    params["train"]["trainable_backbone_layers"] = layers
    assert section(params, "train", TrainSettings).trainable_backbone_layers == layers


def test_sections_of_one_kind_are_read_by_their_names() -> None:
    yard, street = ArchiveSource("yard.zip"), ArchiveSource("street", sha256="a" * 64)
    assert sections({"sources": SOURCES}, "sources", Source) == {
        "yard": Source(kind="archive", format="yolo", archive=yard, boxes=BoxPolicy("crop", 0.1, 32)),
        "street": Source(kind="archive", format="auto", archive=street),
    }
    assert section({"sources": SOURCES}, "sources.yard", Source).description == yard


@pytest.mark.parametrize(
    ("params", "name", "words"),
    [
        ({}, "study", r"params\.yaml has no section study; add it \(presets/ hold complete files\)"),
        ({"sources": SOURCES}, "sources.web", r"params\.yaml has no section sources\.web; add it"),
        ({"sources": None}, "sources.web", r"params\.yaml has no section sources\.web; add it"),
        ({"study": None}, "study", r"params\.yaml: study is None; keys with values are needed"),
        ({"study": [1]}, "study", r"params\.yaml: study is \[1\]; keys with values are needed"),
        ({"study": {"lr": [1]}}, "study", r"study cannot be read: .*missing 2 required .*; `tandem check` says more"),
        (
            {"study": {"lrs": [1]}},
            "study",
            r"study cannot be read: .*unexpected keyword argument 'lrs'; `tandem check`",
        ),
    ],
)
def test_a_section_that_does_not_fit_is_named(params: dict[str, Any], name: str, words: str) -> None:
    with pytest.raises(ParamsError, match=words):
        section(params, name, StudySettings)


def test_settings_that_contradict_each_other_are_named() -> None:
    params = {"curate": {"train": 0.7, "val": 0.2, "test": 0.2}}
    with pytest.raises(
        ParamsError, match=r"curate cannot be read: train, val and test must add up to 1; .* 1\.1; `tandem"
    ):
        section(params, "curate", SplitFractions)


@pytest.mark.parametrize("value", [None, [1], 3])
def test_sections_that_are_none_are_named(value: Any) -> None:
    with pytest.raises(ParamsError, match=r"params\.yaml: sources is .*; keys with values are needed"):
        sections({"sources": value}, "sources", Source)


def test_a_stage_does_not_wait_for_pydantic() -> None:
    rooms = sorted(path.parent.name for path in (ROOT / "src/tandem").glob("*/settings.py"))
    assert len(rooms) > 6
    imports = [f"tandem.{room}.settings" for room in rooms]
    code = f"import sys, tandem.pipeline.params, {', '.join(imports)}; print('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "False\n"
