"""Texts that strangers wrote: what is read, and what is refused in one sentence and little time."""

import pytest

from planted_sources import write
from tandem.datasets.formats import text
from tandem.datasets.formats.text import first_names, load_json, load_text, load_yaml, shorten
from tandem.errors import DataError

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_text_of_every_encoding_with_a_mark_is_read(tmp_path, encoding):
    write(tmp_path, {"a.txt": "caminhão\n".encode(encoding)})
    assert load_text(tmp_path / "a.txt") == "caminhão\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            "car\nônibus\n".encode("latin-1"),
            r"a\.txt, line 2: the byte 0xf4 is not of utf-8 text; save",
        ),
        (b"\xff\xfea", "is not of utf-16 text"),
        ("car\n\nbus".encode("utf-16-le"), r"a\.txt, line 1: a zero byte, which no text has"),
    ],
)
def test_text_of_another_encoding_is_refused_with_its_line(tmp_path, data, message):
    write(tmp_path, {"a.txt": data})
    with pytest.raises(DataError, match=message):
        load_text(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ('{"a": 1', r"a\.json is not valid JSON \(Expecting"),
        ('{"a": {"b": 1, "c": 2, "b": 3}}', "the key 'b' stands twice in one object"),
        ("[" * 100_000, r"a\.json is nested too deeply"),
        ('{"a":' * 100_000, r"a\.json is nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "is not valid JSON"),
        ("", "is not valid JSON"),
    ],
)
def test_json_that_cannot_be_read_is_refused(tmp_path, value, message):
    write(tmp_path, {"a.json": value})
    with pytest.raises(DataError, match=message) as caught:
        load_json(tmp_path / "a.json")
    assert len(str(caught.value)) < 1000


def test_yaml_holds_texts_as_they_are_written(tmp_path):
    value = "names: [no, 1.0, 007, .inf, null, 2020-01-01, '']\nmore: {0: a, 1: {b: [c]}}\nown: &own [x]\nsame: *own\n"
    write(tmp_path, {"a.yaml": value})
    assert load_yaml(tmp_path / "a.yaml") == {
        "names": ["no", "1.0", "007", ".inf", "null", "2020-01-01", ""],
        "more": {"0": "a", "1": {"b": ["c"]}},
        "own": ["x"],
        "same": ["x"],
    }


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_yaml_without_a_value_is_an_empty_text(tmp_path, text):
    assert load_yaml(write(tmp_path, {"a.yaml": text}) / "a.yaml") == ""


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("names: [Car", r"not valid YAML \(line 1: did not find|line 1: "),
        ("names: [a]\nnames: [b]\n", "the key 'names' stands twice in one mapping"),
        ("[" * 2000, "nested more than 20 deep"),
        ("{" * 2000, "nested more than 20 deep"),
        ("- " * 3000, "nested more than 20 deep"),
        ("? " * 300, "nested more than 20 deep"),
        ("{[a]: b}", r"the key \['a'\] is none that is read here"),
        ("{&a [*a]: b}", "the alias .a stands before its anchor ends"),
        ("a: &a [*a]", "the alias .a stands before its anchor ends"),
        ("a: &a {b: 1}\nc: {<<: *a}", "the key '<<' is none that is read here"),
        ("a: [\n" + "x, " * 400_000 + "]", "1200006 characters; at most 1000000 are read"),
    ],
)
def test_yaml_that_cannot_be_read_is_refused(tmp_path, value, message):
    write(tmp_path, {"a.yaml": value})
    with pytest.raises(DataError, match=message) as caught:
        load_yaml(tmp_path / "a.yaml")
    assert len(str(caught.value)) < 1000


def test_aliases_of_aliases_are_one_value_and_not_a_billion(tmp_path):
    value = load_yaml(write(tmp_path, {"a.yaml": BOMB}) / "a.yaml")
    assert value["i"][0] is value["h"]
    assert len(shorten(value)) < 2000


def test_what_is_shown_of_a_value_is_short_whatever_its_size():
    deep: list = []
    for _ in range(900):
        deep = [deep]
    for value in (deep, "x" * 10_000, list(range(10_000)), {"a": "b" * 5000}):
        assert len(shorten(value)) < 300
    assert first_names(["a", "b", "c", "d", "e"]) == "'a', 'b', 'c' and 2 more"
    assert first_names(["a"]) == "'a'"


def test_yaml_of_very_many_values_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(text, "_MAX_NODES", 10)  # the real bound takes seconds
    assert load_yaml(write(tmp_path, {"a.yaml": "[a, b, c, d, e, f, g, h]"}) / "a.yaml") == list("abcdefgh")
    with pytest.raises(DataError, match=r"a\.yaml is not valid YAML \(more than 10 values\)"):
        load_yaml(write(tmp_path, {"a.yaml": "[a, b, c, d, e, f, g, h, i]"}) / "a.yaml")
