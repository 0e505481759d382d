"""A reviewer's decisions: read, written, checked against each other."""

import re

import pytest

from tandem.errors import DataError
from tandem.tables.decisions import ACTIONS, Decision, Decisions, load_decisions, require_classes, save_decisions

ALL = (
    Decision("b", "relabel", "truck", "a pickup"),
    Decision("a", "drop", "", "logos, and more"),
    Decision("c", "keep"),
    Decision("e", "not_duplicate", "d", "two walls"),
    Decision("d", "duplicate", "f"),
)


def test_decisions_are_read_by_what_they_decide():
    decisions = Decisions(ALL)
    assert decisions.labels == {"b": "truck"}
    assert decisions.drops == {"a": "logos, and more"}
    assert decisions.kept == {"c"}
    assert decisions.duplicates == {("d", "f")}
    assert decisions.not_duplicates == {("d", "e")}


def test_drop_and_keep_are_tags_of_their_image():
    assert [Decisions(ALL).tags(id_) for id_ in "abc"] == [("drop",), (), ("keep",)]


def test_a_table_reads_back_sorted_in_whatever_order_it_was_built(tmp_path):
    path = tmp_path / "review" / "decisions.csv"
    save_decisions(Decisions(ALL[::-1]), path)
    assert path.read_text(encoding="utf-8") == (
        'id,action,value,reason\na,drop,,"logos, and more"\nb,relabel,truck,a pickup\n'
        "c,keep,,\nd,duplicate,f,\nd,not_duplicate,e,two walls\n"
    )
    assert load_decisions(path) == Decisions(ALL)


def test_a_table_of_an_earlier_version_is_read_and_saved_with_the_actions_of_today(tmp_path):
    path = tmp_path / "decisions.csv"
    path.write_text("id,action,value,reason\nb,copy,a,the same car\na,drop,,\nc,not_copy,a,\n", encoding="utf-8")
    decisions = load_decisions(path)
    assert decisions.duplicates == {("a", "b")}
    assert decisions.not_duplicates == {("a", "c")}
    save_decisions(decisions, path)
    assert path.read_text(encoding="utf-8") == (
        "id,action,value,reason\na,drop,,\na,duplicate,b,the same car\na,not_duplicate,c,\n"
    )


def test_no_file_and_a_header_alone_hold_no_decisions(tmp_path):
    path = tmp_path / "decisions.csv"
    assert load_decisions(path) == Decisions()
    save_decisions(Decisions(), path)
    assert path.read_text(encoding="utf-8") == "id,action,value,reason\n"
    assert load_decisions(path) == Decisions()


def test_the_same_decision_twice_is_one():
    assert Decisions((ALL[3], Decision("d", "not_duplicate", "e", "two walls"))).decisions == (
        Decision("d", "not_duplicate", "e", "two walls"),
    )


def test_decisions_about_images_that_are_gone_are_listed_and_counted():
    decisions = Decisions(ALL)
    assert decisions.gone("abcde") == (Decision("d", "duplicate", "f"),)
    assert decisions.gone("abcdef") == ()
    assert decisions.counts("bde") == {**dict.fromkeys(ACTIONS, 1), "gone": 3}


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (("a", "relabel", "car", "x"), ("a", "relabel", "bus"), "image a: relabel bus contradicts relabel car (x)"),
        (("a", "drop", "", "bad"), ("a", "keep"), "image a: drop (bad) contradicts keep; remove one of them"),
        (("a", "relabel", "car"), ("a", "drop"), "image a: drop contradicts relabel car"),
        (
            ("a", "duplicate", "b"),
            ("b", "not_duplicate", "a", "no"),
            "image a and b: duplicate b contradicts not_duplicate b (no)",
        ),
        (
            ("a", "drop", "", "x"),
            ("a", "drop", "", "y"),
            "image a: drop (x) and drop (y) are one decision with two reasons; remove one of them",
        ),
    ],
)
def test_contradictions_are_errors_that_name_both(one, other, message):
    for order in ((one, other), (other, one)):
        with pytest.raises(DataError, match=f"^{re.escape(message)}"):
            Decisions(tuple(Decision(*fields) for fields in order))


def test_an_image_can_be_kept_and_relabeled():
    decisions = Decisions((Decision("a", "keep"), Decision("a", "relabel", "car")))
    assert (decisions.kept, decisions.labels) == ({"a"}, {"a": "car"})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            ("a", "burn"),
            "image a: unknown action 'burn'; use one of relabel, drop, keep, duplicate, not_duplicate",
        ),
        (("a", "relabel"), "image a: relabel: its value must be a class"),
        (("a", "duplicate", "a"), "image a: duplicate a: its value must be another image's id"),
        (("a", "not_duplicate", "a"), "image a: not_duplicate a: its value must be another image's id"),
        (("a", "keep", "car"), "image a: keep car: its value must be empty"),
        (("", "keep"), "image (no id): keep"),
    ],
)
def test_a_malformed_decision_is_an_error(fields, message):
    with pytest.raises(DataError, match=f"^{re.escape(message)}"):
        Decisions((Decision(*fields),))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a,burn,,", "line 3: image a: unknown action 'burn'"),
        ("a,relabel,,", "line 3: image a: relabel: its value must be a class"),
        (
            "1.23457E+31,drop,,",
            "line 3: the id 1.23457E+31 has become a number in a spreadsheet, its other digits are lost; "
            "restore the line from git",
        ),
        ('a,duplicate,"1,2E31",', "line 3: the id 1,2E31 has become a number in a spreadsheet"),
        ("a,drop", "line 3 has 2 cells, not the 4 of id,action,value,reason"),
        ("c,drop,,", ": image c: drop contradicts keep"),
    ],
)
def test_an_error_in_a_file_names_the_file_and_the_line(line, message, tmp_path):
    path = tmp_path / "decisions.csv"
    path.write_text(f"id,action,value,reason\nc,keep,,\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=rf"decisions\.csv(, |){re.escape(message)}"):
        load_decisions(path)


@pytest.mark.parametrize("id_", ["1e9", "12345678901234567890123456789012", "0c1e77"])
def test_ids_that_look_like_numbers_in_small_letters_are_ids(id_, tmp_path):
    path = tmp_path / "decisions.csv"
    path.write_text(f"id,action,value,reason\n{id_},drop,,\n", encoding="utf-8")
    assert load_decisions(path).drops == {id_: ""}


def test_a_table_from_a_spreadsheet_holds_the_same_decisions(tmp_path):
    path = tmp_path / "decisions.csv"
    save_decisions(Decisions(ALL), path)
    text = path.read_text(encoding="utf-8").replace('"logos, and more"', "logos# and more")
    path.write_bytes(text.replace(",", ";").replace("#", ",").replace("\n", "\r\n").encode("utf-8-sig"))
    assert load_decisions(path) == Decisions(ALL)


@pytest.mark.parametrize("damage", ["folder", "link", "empty"])
def test_what_stands_in_the_place_of_a_table_is_not_taken_for_no_decisions(damage, tmp_path):
    path = tmp_path / "decisions.csv"
    {"folder": path.mkdir, "link": lambda: path.symlink_to("nowhere"), "empty": path.touch}[damage]()
    with pytest.raises(DataError, match=r"decisions\.csv is (a folder|a link to nothing|empty), where"):
        load_decisions(path)


def test_a_reason_of_several_lines_is_written_as_one_and_reads_back(tmp_path):
    path = tmp_path / "decisions.csv"
    save_decisions(Decisions((Decision("a", "drop", "", "logos,\nand\r\nmore"),)), path)
    assert load_decisions(path).drops == {"a": "logos, and more"}


def test_an_unknown_class_is_an_error_that_lists_the_known_ones():
    require_classes(Decisions(ALL), ["car", "truck"])
    with pytest.raises(DataError, match=r"gives image b the class 'truck', .* use one of car, bus, or remove the line"):
        require_classes(Decisions(ALL), ["car", "bus"])
