"""From tags and labels in the App to decisions."""

import re

import pytest

from tandem.errors import DataError
from tandem.review.edits import SampleEdit, decisions_from_edits, num_changed
from tandem.tables.decisions import Decision, Decisions

LABELS = {"aa": "car", "ab": "car", "bb": "truck", "cc": "truck"}
CLASSES = ("car", "truck")


def decide(before=(), duplicates=None, **changes):
    """The decisions once some images have (label, *tags); the others are as their sources had them."""
    edits = {id_: SampleEdit(label, frozenset()) for id_, label in LABELS.items()}
    edits |= {id_: SampleEdit(label, frozenset(tags)) for id_, (label, *tags) in changes.items()}
    return decisions_from_edits(
        Decisions(tuple(before)), edits, labels=LABELS, duplicates=duplicates or {}, class_names=CLASSES
    ).decisions


def test_images_that_nobody_edited_give_no_decisions():
    assert decide() == ()
    assert decide(aa=("car", "train", "duplicates", "a tag of somebody")) == ()


def test_another_class_is_a_relabel_and_the_first_class_takes_it_back():
    relabeled = decide(aa=("truck", "train"))
    assert relabeled == (Decision("aa", "relabel", "truck", "reviewed"),)
    assert decide(relabeled, aa=("truck",)) == relabeled
    assert decide(relabeled) == ()


def test_a_deleted_label_decides_nothing():
    assert decide(aa=("",)) == ()


@pytest.mark.parametrize("tag", ["drop", "keep"])
def test_drop_and_keep_are_tags_that_can_be_taken_away(tag):
    tagged = decide(bb=("truck", tag, "why:  a sheet of logos"))
    assert tagged == (Decision("bb", tag, "", "a sheet of logos"),)
    assert decide(tagged, bb=("truck", tag)) == tagged  # the reason stays
    assert decide(tagged) == ()


@pytest.mark.parametrize("tag", ["not a duplicate", "not a copy"])
def test_not_a_duplicate_separates_an_image_from_all_its_near_duplicates(tag):
    decisions = decide(duplicates={"ab": ["aa", "cc"]}, ab=("car", tag))
    assert [(each.id, each.action, each.value) for each in decisions] == [
        ("aa", "not_duplicate", "ab"),
        ("ab", "not_duplicate", "cc"),
    ]
    # once curated they are near duplicates no longer, and the tag would name none: only the file takes these back
    assert decide(decisions) == decisions


@pytest.mark.parametrize("tag", ["duplicate of b", "copy of b"])
def test_a_duplicate_is_named_by_the_start_of_its_content_id(tag):
    assert decide(cc=("truck", tag)) == (Decision("bb", "duplicate", "cc", "reviewed"),)


@pytest.mark.parametrize(
    ("tag", "number"), [("duplicate of a", 2), ("duplicate of z", 0), ("duplicate of ", 0), ("duplicate of cc", 0)]
)
def test_a_start_that_names_no_image_or_several_is_an_error(tag, number):
    message = f"image cc is tagged {tag!r}, but {number} other images have a content_id that starts so; write the start"
    with pytest.raises(DataError, match=re.escape(message)):
        decide(cc=("truck", tag))


def test_an_unknown_class_is_an_error_that_lists_the_known_ones():
    message = "image aa has the label 'bus' in the App, which is no class; choose one of car, truck"
    with pytest.raises(DataError, match=message):
        decide(aa=("bus",))


def test_contradictions_are_errors():
    with pytest.raises(DataError, match=r"image aa: drop .* contradicts keep"):
        decide(aa=("car", "drop", "keep"))


def test_decisions_about_images_that_are_not_in_the_app_stay():
    before = (Decision("zz", "drop", "", "gone"), Decision("aa", "duplicate", "zz", "old"))
    assert decide(before) == tuple(sorted(before))


def test_changes_are_counted_by_images():
    one = Decisions((Decision("aa", "drop"), Decision("bb", "keep")))
    other = Decisions((Decision("aa", "drop"), Decision("ab", "duplicate", "cc"), Decision("bb", "keep", "", "why")))
    assert num_changed(one, other) == 3
    assert num_changed(one, one) == 0
