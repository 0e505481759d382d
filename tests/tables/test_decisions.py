"""A person's decisions: read, written, checked against one another."""

import re

import pytest

from tandem.errors import DataError
from tandem.tables.decisions import ACTIONS, Decision, Decisions, load_decisions, require_classes, save_decisions

ALL = (
    Decision("b", "relabel", "truck", "a pickup"),
    Decision("a", "drop", "", "logos, and more"),
    Decision("c", "keep"),
    Decision("e", "not_copy", "d", "two walls"),
    Decision("d", "copy", "f"),
)


def test_what_was_decided_is_told_by_question():
    found = Decisions(ALL)
    assert found.labels == {"b": "truck"}
    assert found.drops == {"a": "logos, and more"}
    assert found.kept == {"c"}
    assert found.copies == {("d", "f")}
    assert found.not_duplicates == {("d", "e")}


def test_a_table_reads_back_sorted_whatever_the_order(tmp_path):
    path = tmp_path / "review" / "decisions.csv"
    save_decisions(Decisions(ALL[::-1]), path)
    assert path.read_text(encoding="utf-8") == (
        'id,action,value,reason\na,drop,,"logos, and more"\nb,relabel,truck,a pickup\n'
        "c,keep,,\nd,copy,f,\nd,not_copy,e,two walls\n"
    )
    assert load_decisions(path) == Decisions(ALL)


def test_no_file_and_a_header_alone_hold_no_decisions(tmp_path):
    path = tmp_path / "decisions.csv"
    assert load_decisions(path) == Decisions()
    save_decisions(Decisions(), path)
    assert path.read_text(encoding="utf-8") == "id,action,value,reason\n"
    assert load_decisions(path) == Decisions()


def test_the_same_decision_twice_is_one():
    assert Decisions((ALL[3], Decision("d", "not_copy", "e", "two walls"))).decisions == (
        Decision("d", "not_copy", "e", "two walls"),
    )


def test_decisions_about_images_that_are_gone_are_told_and_counted():
    found = Decisions(ALL)
    assert found.gone("abcde") == (Decision("d", "copy", "f"),)
    assert found.gone("abcdef") == ()
    assert found.counts("bde") == {**dict.fromkeys(ACTIONS, 1), "gone": 3}


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (("a", "relabel", "car", "x"), ("a", "relabel", "bus"), "image a: relabel bus contradicts relabel car (x)"),
        (("a", "drop", "", "bad"), ("a", "keep"), "image a: drop (bad) contradicts keep; leave one"),
        (("a", "relabel", "car"), ("a", "drop"), "image a: drop contradicts relabel car"),
        (("a", "copy", "b"), ("b", "not_copy", "a", "no"), "image a and b: copy b contradicts not_copy b (no)"),
        (("a", "drop", "", "x"), ("a", "drop", "", "y"), "image a: drop (x) stands there twice"),
    ],
)  # fmt: skip
def test_contradictions_are_errors_that_name_both(one, other, message):
    for order in ((one, other), (other, one)):
        with pytest.raises(DataError, match=f"^{re.escape(message)}"):
            Decisions(tuple(Decision(*words) for words in order))


def test_a_image_can_be_kept_and_relabelled():
    found = Decisions((Decision("a", "keep"), Decision("a", "relabel", "car")))
    assert (found.kept, found.labels) == ({"a"}, {"a": "car"})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("a", "burn"), "image a: 'burn' is no decision; there are relabel, drop, keep, copy, not_copy"),
        (("a", "relabel"), "image a: relabel: its value must be a class"),
        (("a", "copy", "a"), "image a: copy a: its value must be another image's id"),
        (("a", "keep", "car"), "image a: keep car: its value must be none"),
        (("", "keep"), "image (none): keep"),
    ],
)
def test_what_is_no_decision_is_an_error(words, message):
    with pytest.raises(DataError, match=f"^{re.escape(message)}"):
        Decisions((Decision(*words),))


def test_an_error_in_a_file_names_the_file(tmp_path):
    path = tmp_path / "decisions.csv"
    path.write_text("id,action,value,reason\na,burn,,\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"decisions.csv: image a: 'burn' is no decision"):
        load_decisions(path)


@pytest.mark.parametrize("text", ["id,action\na,drop\n", "id,action,value,reason\na,drop\n"])
def test_other_columns_are_an_error_that_names_the_line(text, tmp_path):
    path = tmp_path / "decisions.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"decisions.csv, line 2: columns must be id,action,value,reason"):
        load_decisions(path)


def test_an_unknown_class_is_an_error_that_names_those_there_are():
    require_classes(Decisions(ALL), ["car", "truck"])
    with pytest.raises(DataError, match=r"gives image b the class 'truck'; there are car, bus"):
        require_classes(Decisions(ALL), ["car", "bus"])
