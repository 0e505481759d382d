"""Reading params.yaml: numbers as YAML 1.2 has them, and one message for what cannot be read."""

from pathlib import Path

import pytest

from tandem.errors import ParamsError
from tandem.pipeline.params import PARAMS_PATH, read_params

ROOT = Path(__file__).parents[2]


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
    ("text", "told"),
    [
        ("train:\n  lr: [1, 2\n", "line 2, column 7"),
        ("train:\n\tlr: 1\n", "line 2, column 1"),
        ("train: {lr: 1}\ntrain: {lr: 2}\n", 'duplicate key "train"'),
        ("train: !secret x\n", "!secret"),
        ("a: 1\n---\nb: 2\n", "another document"),
        (b"label: caminh\xe3o\n", "can't decode byte 0xe3 in position 13"),
        ("bell: \a\n", "#x0007"),
        ("day: 2024-13-01\n", "month must be in 1..12"),
    ],
)
def test_what_is_no_yaml_says_what_and_where(tmp_path: Path, text: str | bytes, told: str) -> None:
    with pytest.raises(ParamsError, match=r"params\.yaml is not valid YAML") as caught:
        read(tmp_path, text)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "found"), [("", "None"), ("# only words\n", "None"), ("- a\n- b\n", r"\['a', 'b'\]"), ("3\n", "3")]
)
def test_a_file_without_sections_is_refused(tmp_path: Path, text: str, found: str) -> None:
    with pytest.raises(ParamsError, match=f"must hold sections with keys; it holds {found};"):
        read(tmp_path, text)
