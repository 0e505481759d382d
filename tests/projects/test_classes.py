"""Labels of several sources to classes: what is joined, what is ignored and why."""

import pytest

from tandem.datasets.labels import label_map
from tandem.errors import DataError
from tandem.projects.classes import MIN_IMAGES, plan_classes


def test_labels_that_agree_up_to_case_accents_and_marks_are_one_class_under_the_most_frequent_spelling() -> None:
    plan = plan_classes({"a": {"Pickup_Truck": 40, "café": 20}, "b": {"pickup truck": 9, "Cafe": 30}})
    assert dict(plan.images) == {"Cafe": 50, "Pickup_Truck": 49}
    assert plan.settings.classes == {"Cafe": ("café",), "Pickup_Truck": ()}
    labels = label_map(plan.settings)
    assert labels.resolve("PICKUP-TRUCK", source="b") == "Pickup_Truck"
    assert labels.joined({("a", "café"): 20, ("b", "Cafe"): 30, ("a", "Pickup_Truck"): 1}) == []


@pytest.mark.parametrize(
    ("singular", "plural"),
    [("rose", "Roses"), ("box", "boxes"), ("daisy", "daisies"), ("caminhão", "caminhões"), ("animal", "animais")],
)
def test_a_plural_of_another_source_is_the_same_class_and_its_alias(singular: str, plural: str) -> None:
    plan = plan_classes({"a": {singular: 20, "other": 20}, "b": {plural: 9}})
    assert dict(plan.images) == {singular: 29, "other": 20}
    assert plan.settings.classes[singular] == (plural,)
    assert label_map(plan.settings).resolve(plural, source="b") == singular


def test_a_plural_that_a_source_tells_from_the_singular_is_a_class_of_its_own() -> None:
    assert set(plan_classes({"a": {"glass": 20, "glasses": 20}, "b": {"glasses": 5}}).names) == {"glass", "glasses"}


@pytest.mark.parametrize("label", ["test_set", "Train", "validation images", "test 2", "unlabeled"])
def test_a_label_that_looks_like_a_split_is_no_class(label: str) -> None:
    plan = plan_classes({"a": {"cat": 20, "dog": 20, label: 500}})
    assert set(plan.names) == {"cat", "dog"}
    assert plan.ignored == {label: "500 images; it looks like a split, not a class"}
    assert plan.settings.ignore == (label,)


@pytest.mark.parametrize("label", ["trainer", "rain", "valley", "test tube", "freight train"])
def test_a_label_that_only_sounds_like_a_split_is_a_class(label: str) -> None:
    assert label in plan_classes({"a": {"cat": 20, label: 20}}).names


def test_a_class_of_too_few_images_is_ignored_with_their_number() -> None:
    plan = plan_classes({"a": {"cat": 20, "dog": MIN_IMAGES, "yak": 1, "emu": 3}, "b": {"Emu": 2}})
    assert set(plan.names) == {"cat", "dog"}
    assert plan.ignored == {
        "emu": f"5 images, and a class needs {MIN_IMAGES} to be in every split",
        "Emu": f"5 images, and a class needs {MIN_IMAGES} to be in every split",
        "yak": f"1 image, and a class needs {MIN_IMAGES} to be in every split",
    }
    label_map(plan.settings)


def test_letters_that_differ_by_case_alone_are_compared_as_written() -> None:
    plan = plan_classes({"hand": {"A": 20, "a": 20, "b": 20}})
    assert (set(plan.names), plan.settings.match) == ({"A", "a", "b"}, "exact")
    assert label_map(plan.settings).resolve("A", source="hand") == "A"


def test_words_that_a_source_tells_apart_by_accents_alone_are_classes_of_their_own_in_any_case() -> None:
    plan = plan_classes({"a": {"Bar": 20, "Bär": 20, "bär": 9, "Auto": 20}, "b": {"bar": 9, "Autos": 3}})
    assert dict(plan.images) == {"Auto": 23, "Bar": 29, "Bär": 29}
    assert plan.settings.match == "exact"
    labels = label_map(plan.settings)
    spelled = {"Bar": "Bar", "bar": "Bar", "Bär": "Bär", "bär": "Bär", "Autos": "Auto"}
    assert {label: labels.resolve(label, source="a") for label in spelled} == spelled


def test_a_few_images_of_another_spelling_are_of_the_same_word() -> None:
    plan = plan_classes({"a": {"caminhão": 20, "caminhao": 3, "carro": 20}})
    assert (dict(plan.images), plan.settings.match) == ({"caminhão": 23, "carro": 20}, "folded")


@pytest.mark.parametrize(
    ("labels", "found"),
    [({}, "none"), ({"cat": 9}, r"cat \(9 images\)"), ({"cat": 9, "dog": 2}, r"cat \(9 images\), dog \(2 images, and")],
)
def test_fewer_than_two_classes_are_an_error_that_names_what_there_is(labels: dict[str, int], found: str) -> None:
    with pytest.raises(DataError, match=f"two classes are needed, and the labels are {found}.*folder for each class"):
        plan_classes({"a": labels})


def test_a_class_that_is_given_up_is_ignored_with_all_its_spellings() -> None:
    plan = plan_classes({"a": {"cat": 9, "dog": 9, "yak": 9}, "b": {"yaks": 9}}).without("yak", "all the same")
    assert (set(plan.images), plan.ignored) == ({"cat", "dog"}, {"yak": "all the same", "yaks": "all the same"})
    with pytest.raises(DataError, match=r"dog \(9 images\), yak \(all the same\)"):
        plan.without("cat", "gone")
