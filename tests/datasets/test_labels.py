"""Which class a label means, on planted labels of two sources."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factories import label_settings
from tandem.datasets.labels import (
    IGNORED,
    JoinedLabel,
    LabelMap,
    exact_label,
    is_split_name,
    label_map,
    normalize_label,
)
from tandem.errors import DataError, UnknownLabelError

CLASSES = {"car": ["carro", "automóvel"], "motorcycle": ["moto"], "truck": ["caminhão", "pick-up truck"]}
MAP = label_map(
    label_settings(
        CLASSES,
        ignore=["bus", "bicicleta"],
        by_source={
            "bikes": {"classes": {"motorcycle": ["bike", "bicicleta"]}, "ignore": ["Moto Cross"]},
            "lorries": {"classes": {"truck": ["carro"]}},
        },
    )
)


@pytest.mark.parametrize(
    ("label", "normalized"),
    [
        ("Car", "car"),
        ("CAMINHÃO", "caminhao"),
        ("caminha\N{COMBINING TILDE}o", "caminhao"),
        ("  Caminhão_GRANDE ", "caminhao grande"),
        ("pick-up__truck", "pick up truck"),
        ("pick - up\ttruck", "pick up truck"),
        ("no\N{NO-BREAK SPACE}break", "no break"),
        ("Straße", "strasse"),
        ("\N{LATIN SMALL LIGATURE FI}re truck", "fire truck"),
        ("Ｃａｒ１", "car1"),
        ("50 \N{SQUARE HZ}", "50 hz"),
        ("İstanbul", "istanbul"),
        ("車", "車"),
        ("_-_", ""),
        ("", ""),
    ],
)
def test_labels_are_compared_without_case_accents_and_marks(label: str, normalized: str) -> None:
    assert normalize_label(label) == normalized


@given(st.text())
def test_normalizing_twice_changes_nothing(label: str) -> None:
    assert normalize_label(normalize_label(label)) == normalize_label(label)


@given(st.text())
def test_both_unicode_forms_of_a_label_are_one(label: str) -> None:
    assert normalize_label(unicodedata.normalize("NFD", label)) == normalize_label(unicodedata.normalize("NFC", label))


@pytest.mark.parametrize(
    ("label", "class_name"),
    [("car", "car"), ("CARRO", "car"), ("automovel", "car"), ("Moto", "motorcycle"), ("Pick_Up_Truck", "truck")],
)
def test_a_label_means_the_class_that_lists_it(label: str, class_name: str) -> None:
    assert MAP.resolve(label, source="any") == class_name


def test_an_ignored_label_is_not_an_unknown_one() -> None:
    assert MAP.resolve("Bus", source="any") == IGNORED
    assert MAP.resolve("lorry", source="any") is None


def test_aliases_of_a_source_take_precedence_there_and_hold_nowhere_else() -> None:
    assert MAP.resolve("Carro", source="lorries") == "truck"
    assert MAP.resolve("Carro", source="bikes") == "car"
    assert MAP.resolve("bike", source="bikes") == "motorcycle"
    assert MAP.resolve("bike", source="lorries") is None


def test_a_source_may_use_what_all_ignore_and_ignore_what_all_use() -> None:
    assert MAP.resolve("bicicleta", source="bikes") == "motorcycle"
    assert MAP.resolve("bicicleta", source="lorries") == IGNORED
    assert MAP.resolve("moto-cross", source="bikes") == IGNORED


def test_class_names_keep_their_order() -> None:
    assert MAP.class_names == ("car", "motorcycle", "truck")


def test_one_error_lists_every_unknown_label_with_its_source_count_and_closest_known() -> None:
    counts = {("bikes", "Carros"): 2, ("lorries", "zzz"): 1, ("bikes", "car"): 9, ("lorries", "Motto"): 4}
    with pytest.raises(UnknownLabelError) as caught:
        MAP.require_all(counts)
    lines = str(caught.value).splitlines()
    assert lines[0] == "3 unknown label(s):"
    assert lines[1].startswith("  bikes has label 'Carros' (2 images); closest known: 'carro' (car)")
    assert lines[2].startswith("  lorries has label 'Motto' (4 images); closest known: 'moto' (motorcycle)")
    assert lines[3] == "  lorries has label 'zzz' (1 image); closest known: none"
    assert "labels.ignore" in lines[4]
    assert "labels.by_source" in lines[4]
    assert len(lines) == 5


def test_the_closest_known_label_may_be_an_ignored_one_or_the_sources_own() -> None:
    with pytest.raises(UnknownLabelError, match=r"closest known: 'bus' \(ignored\)"):
        MAP.require_all({("any", "buss"): 3})
    with pytest.raises(UnknownLabelError, match=r"'bikee' \(1 image\); closest known: 'bike' \(motorcycle\)"):
        MAP.require_all({("bikes", "bikee"): 1})


def test_known_and_ignored_labels_pass() -> None:
    MAP.require_all({("bikes", "bike"): 1, ("lorries", "bus"): 5})


def build(classes: Mapping[str, Sequence[str]] = CLASSES, **options: Any) -> LabelMap:
    return label_map(label_settings(classes, **options))


def test_an_alias_of_two_classes_is_refused() -> None:
    with pytest.raises(DataError, match="labels: the alias 'Carró' is listed under 'car' and 'truck'"):
        build(classes={"car": ["carro"], "truck": ["Carró"]})
    with pytest.raises(DataError, match=r"the alias 'auto' is listed under 'car' and 'truck'; keep it in one of them$"):
        build(classes={"car": ["auto"], "truck": ["auto"]})


def test_a_class_name_is_an_alias_of_its_class_alone() -> None:
    with pytest.raises(DataError, match="labels: the alias 'truck' is listed under 'car' and 'truck'"):
        build(classes={"car": ["TRUCK"], "truck": []})
    with pytest.raises(DataError, match="labels: the alias 'CAR' is listed under 'car' and 'CAR'"):
        build(classes={"car": [], "CAR": []})


def test_an_alias_both_of_a_class_and_ignored_is_refused() -> None:
    with pytest.raises(DataError, match="labels: the alias 'MOTO' is listed under 'motorcycle' and 'ignore'"):
        build(ignore=["bus", "MOTO"])


def test_an_alias_listed_twice_in_one_source_is_refused() -> None:
    entry = {"classes": {"car": ["bike"]}, "ignore": ["Bike"]}
    with pytest.raises(
        DataError, match=r"labels\.by_source.bikes: the alias 'Bike' is listed under 'car' and 'ignore'"
    ):
        build(by_source={"bikes": entry})


def test_an_alias_stated_twice_for_one_class_is_no_conflict() -> None:
    assert build(classes={"car": ["Car", "carro", "CARRO"], "truck": []}).resolve("carro", source="any") == "car"


def test_a_source_cannot_name_a_class_that_does_not_exist() -> None:
    with pytest.raises(
        DataError,
        match=r"labels\.by_source.bikes names class 'bicycle'; known: car, motorcycle, truck; correct it, or add",
    ):
        build(by_source={"bikes": {"classes": {"bicycle": ["bike"]}, "ignore": []}})


def test_classes_that_differ_by_case_or_accents_are_refused_with_what_tells_them_apart() -> None:
    for one, other in [("A", "a"), ("ca", "cá"), ("Bar", "Bär"), ("ハ", "バ"), ("Maße", "Masse")]:
        with pytest.raises(DataError, match=f"or say labels.match: exact, which tells '{one}' from '{other}'"):
            build(classes={one: [], other: []})


EXACT = label_map(replace(label_settings({"A": ["cá"], "a": ["ca"], "B": []}, ignore=["b"]), match="exact"))


@pytest.mark.parametrize(
    ("label", "class_name"),
    [
        ("A", "A"),
        ("a", "a"),
        ("b", IGNORED),
        (" B ", "B"),
        ("cá", "A"),
        ("ca\N{COMBINING ACUTE ACCENT}", "A"),
        ("ca", "a"),
        ("CA", None),
        ("c_a", None),
    ],
)
def test_exact_labels_are_compared_as_they_are_written(label: str, class_name: str | None) -> None:
    assert EXACT.resolve(label, source="any") == class_name
    assert EXACT.joined({("any", label): 1}) == []


@given(st.text())
def test_both_unicode_forms_of_a_label_are_one_exactly_too(label: str) -> None:
    assert exact_label(unicodedata.normalize("NFD", label)) == exact_label(unicodedata.normalize("NFC", label))


@pytest.mark.parametrize("label", ["Bär", "B\N{COMBINING DOT BELOW}ar", "BAŘ", "Ｂａｒ"])
def test_a_label_with_marks_that_no_alias_spells_is_listed(label: str) -> None:
    bars = build(classes={"Bar": [], "Auto": []})
    assert bars.joined({("any", label): 12, ("any", "Auto"): 3}) == [JoinedLabel("any", label, "Bar", 12)]


def test_a_label_without_the_marks_of_a_class_name_is_listed_and_without_those_of_an_alias_is_not() -> None:
    assert build(classes={"Bär": [], "Auto": []}).joined({("any", "bar"): 1}) == [JoinedLabel("any", "bar", "Bär", 1)]
    assert MAP.joined({("any", "Caminhao"): 1, ("any", "CAMINHÃO"): 1}) == [
        JoinedLabel("any", "CAMINHÃO", "truck", 1),
        JoinedLabel("any", "Caminhao", "truck", 1),
    ]
    assert MAP.joined({("any", "Caminhao"): 1, ("other", "CAMINHÃO"): 1, ("any", "Pick_up TRUCK"): 1}) == []


def test_labels_of_one_source_that_differ_by_case_are_listed_and_those_of_two_are_not() -> None:
    letters = build(classes={"A": [], "B": []}, ignore=["c"])
    assert letters.joined({("one", "A"): 1, ("two", "a"): 2, ("two", "B"): 1}) == []
    counts = {("one", "A"): 1, ("one", "a"): 2, ("one", "C"): 1, ("one", "c"): 1}
    assert letters.joined(counts) == [
        JoinedLabel("one", "A", "A", 1),
        JoinedLabel("one", "C", IGNORED, 1),
        JoinedLabel("one", "a", "A", 2),
        JoinedLabel("one", "c", IGNORED, 1),
    ]


def test_a_label_that_is_the_only_one_of_its_source_may_be_a_folder_and_no_class() -> None:
    with pytest.raises(
        UnknownLabelError, match="it is the only label there: if it is no class, lay out a folder for ea"
    ):
        MAP.require_all({("any", "competition"): 36})


@pytest.mark.parametrize(
    "text",
    ["test", "Training_Set", "train2017", "images-val", "Validation images 2", "final_test", "fold_3", "split 2"],
)
def test_what_is_called_as_a_split_is_known(text):
    assert is_split_name(text)


@pytest.mark.parametrize("text", ["fold", "split", "train car", "trainer", "valley", "freight train", "data", ""])
def test_what_only_sounds_like_a_split_is_none(text):
    assert not is_split_name(text)
