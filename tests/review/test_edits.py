"""From tags and labels in the App to decisions."""

import re

import pytest

from tandem.errors import DataError
from tandem.review.edits import SampleEdit, decisions_from_edits, num_changed
from tandem.tables.decisions import Decision, Decisions

LABELS = {"aa": "car", "ab": "car", "bb": "truck", "cc": "truck"}
CLASSES = ("car", "truck")


def after(before=(), copies=None, **changes):
    """The decisions once some images have (label, *tags); the others are as their sources had them."""
    shown = {id_: SampleEdit(label, frozenset()) for id_, label in LABELS.items()}
    shown |= {id_: SampleEdit(label, frozenset(tags)) for id_, (label, *tags) in changes.items()}
    found = decisions_from_edits(
        Decisions(tuple(before)), shown, labels=LABELS, copies=copies or {}, class_names=CLASSES
    )
    return found.decisions


def test_images_as_they_were_are_no_decisions():
    assert after() == ()
    assert after(aa=("car", "train", "copies", "a tag of somebody")) == ()


def test_another_class_is_a_relabel_and_its_own_takes_it_back():
    found = after(aa=("truck", "train"))
    assert found == (Decision("aa", "relabel", "truck", "reviewed"),)
    assert after(found, aa=("truck",)) == found
    assert after(found) == ()


def test_a_deleted_label_decides_nothing():
    assert after(aa=("",)) == ()


@pytest.mark.parametrize("word", ["drop", "keep"])
def test_drop_and_keep_are_tags_that_can_be_taken_away(word):
    found = after(bb=("truck", word, "why:  a sheet of logos"))
    assert found == (Decision("bb", word, "", "a sheet of logos"),)
    assert after(found, bb=("truck", word)) == found  # the reason stays
    assert after(found) == ()


def test_not_a_copy_parts_a_image_from_all_that_it_is_taken_for():
    found = after(copies={"ab": ["aa", "cc"]}, ab=("car", "not a copy"))
    assert [(each.id, each.action, each.value) for each in found] == [
        ("aa", "not_copy", "ab"),
        ("ab", "not_copy", "cc"),
    ]
    assert after(found) == found  # once curated they are no pairs any more: only the file takes these back


def test_a_copy_is_named_by_the_start_of_its_content_id():
    assert after(cc=("truck", "copy of b")) == (Decision("bb", "copy", "cc", "reviewed"),)


@pytest.mark.parametrize(("word", "number"), [("copy of a", 2), ("copy of z", 0), ("copy of ", 0), ("copy of cc", 0)])
def test_a_start_that_names_no_image_or_several_is_an_error(word, number):
    message = f"image cc is tagged {word!r}; {number} other images have such a content_id"
    with pytest.raises(DataError, match=re.escape(message)):
        after(cc=("truck", word))


def test_a_class_that_there_is_not_is_an_error_that_names_those_there_are():
    with pytest.raises(DataError, match="image aa was given the class 'bus'; there are car, truck"):
        after(aa=("bus",))


def test_contradictions_are_errors():
    with pytest.raises(DataError, match=r"image aa: drop .* contradicts keep"):
        after(aa=("car", "drop", "keep"))


def test_decisions_about_images_that_are_not_shown_stay():
    before = (Decision("zz", "drop", "", "gone"), Decision("aa", "copy", "zz", "old"))
    assert after(before) == tuple(sorted(before))


def test_what_was_touched_is_counted_by_images():
    one = Decisions((Decision("aa", "drop"), Decision("bb", "keep")))
    other = Decisions((Decision("aa", "drop"), Decision("ab", "copy", "cc"), Decision("bb", "keep", "", "why")))
    assert num_changed(one, other) == 3
    assert num_changed(one, one) == 0
