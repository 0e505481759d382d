"""Which images of planted sets of near duplicates are excluded and why, and how a person's decisions change that."""

import numpy as np
import pytest

from tandem.curation.exclusion import exclusion_reasons, relabel
from tandem.tables.decisions import Decision, Decisions
from tandem.tables.index import ImageRecord, Index, Origin

CONFLICT = "conflict: near duplicates are labelled car and truck"


def record(id_: str, label: str, side: int = 100) -> ImageRecord:
    return ImageRecord(id_, label, f"{id_}.jpg", side, side, (), (Origin("web", f"{id_}.jpg", label),))


def three(*labels: str) -> Index:
    """a1, a2 and a3, near duplicates of which a2 is the largest, and b, which is alone."""
    sides = (100, 200, 100)
    images = [record(f"a{n}", label, side) for n, (label, side) in enumerate(zip(labels, sides, strict=True), start=1)]
    return Index.of((*images, record("b", "car")))


SETS = np.array([0, 0, 0, 3])


def reasons(index: Index, *decisions: Decision, duplicates: str = "keep_one") -> tuple[str, str, str, str]:
    decided = Decisions(decisions)
    labelled = relabel(index, SETS, decided.labels)
    return tuple(exclusion_reasons(labelled, SETS, duplicates=duplicates, decisions=decided))


def test_of_near_duplicates_the_largest_is_used() -> None:
    assert reasons(three("car", "car", "car")) == ("duplicate of a2", "", "duplicate of a2", "")


def test_of_equally_large_ones_the_last_by_id_is_used() -> None:
    index = Index.of(record(id_, "car") for id_ in ("a1", "a2", "a3", "b"))
    assert reasons(index) == ("duplicate of a3", "duplicate of a3", "", "")


def test_where_they_are_kept_together_all_are_used() -> None:
    assert reasons(three("car", "car", "car"), duplicates="keep_together") == ("", "", "", "")


@pytest.mark.parametrize("duplicates", ["keep_one", "keep_together"])
def test_near_duplicates_under_two_classes_are_all_excluded(duplicates: str) -> None:
    assert reasons(three("car", "truck", "car"), duplicates=duplicates) == (CONFLICT, CONFLICT, CONFLICT, "")


def test_a_dropped_image_is_excluded_with_its_near_duplicates() -> None:
    dropped = Decision("a1", "drop", "", "logos"), Decision("b", "drop")
    assert reasons(three("car", "truck", "car"), *dropped) == (*["dropped: logos"] * 3, "dropped: ")


@pytest.mark.parametrize("duplicates", ["keep_one", "keep_together"])
def test_a_kept_image_is_used_in_spite_of_a_conflict(duplicates: str) -> None:
    found = reasons(three("car", "truck", "truck"), Decision("a1", "keep"), duplicates=duplicates)
    assert found == ("", CONFLICT, CONFLICT, "")


def test_of_near_duplicates_the_kept_ones_are_used() -> None:
    one = reasons(three("car", "car", "car"), Decision("a1", "keep"))
    assert one == ("", "duplicate of a1", "duplicate of a1", "")
    two = reasons(three("car", "car", "car"), Decision("a1", "keep"), Decision("a3", "keep"))
    assert two == ("", "duplicate of a3", "", "")


def labels(index: Index, decided: dict[str, str]) -> list[str]:
    return relabel(index, SETS, decided).labels.tolist()


def test_a_class_that_a_person_decided_on_holds_for_all_near_duplicates() -> None:
    assert labels(three("car", "car", "car"), {"a1": "truck"}) == ["truck", "truck", "truck", "car"]


def test_two_decided_classes_hold_for_their_own_images_alone() -> None:
    assert labels(three("car", "car", "bus"), {"a1": "truck", "a2": "van"}) == ["truck", "van", "bus", "car"]


def test_a_decided_class_settles_a_conflict_and_two_of_them_do_not() -> None:
    index = three("car", "truck", "car")
    settled = reasons(index, Decision("a3", "relabel", "truck"))
    assert settled == ("duplicate of a2", "", "duplicate of a2", "")
    both = reasons(index, Decision("a3", "relabel", "truck"), Decision("a1", "relabel", "car"))
    assert both == (CONFLICT, CONFLICT, CONFLICT, "")
