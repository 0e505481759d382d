"""What is known in words: the run's numbers, what a user states, and that the rest is not stated."""

from dataclasses import replace

import numpy as np
import pytest

from planted_cards import EXPORT, KAGGLE, card_facts
from tandem.reporting.page.statements import source_in_words, statements

STATED = {
    "title": "Cars of the town",
    "creator": "The town",
    "url": "https://example.org/cars",
    "intended_use": "counting cars",
    "collection": "By two cameras\n in 2025.",
    "annotation": "By hand.",
    "biases": "No night.",
    "limitations": "No snow.",
    "personal_information": "Faces are blurred.",
}


def test_the_runs_own_numbers_are_told(tmp_path):
    said = statements(card_facts(tmp_path))
    assert said.title == "Images of car, motorcycle and truck"
    assert said.description.startswith("59 images in 3 classes (car, motorcycle, truck), merged from 2 source(s).")
    assert "Images in each split: train 35, val 12, test 12." in said.description
    assert "Taken as they are from web (kaggle owner/cars, version 3; 34 files), exports (exports.zip; 30 files)." in (
        said.collection
    )
    assert "Of exports the export states that it holds augmented versions" in said.collection
    assert "car (also carro), motorcycle, truck; ignored: bus. Decisions of reviewers: relabel 2, drop 1." in (
        said.annotation
    )
    assert "1 labels are likely to be wrong" in said.annotation
    assert "scaled down to 640 px" in said.preprocessing
    assert "exact duplicate 1, near duplicate 1, ignored label 1, truncated 1." in said.preprocessing
    assert "The largest class, car, has 20 images, the smallest, motorcycle, 19." in said.biases
    assert "Test has fewer than 30 images of car (4), motorcycle (4), truck (4)" in said.limitations
    assert "The shorter side of each original has 32 px." in said.limitations


def test_classes_of_one_size_are_not_told_apart(tmp_path):
    facts = card_facts(tmp_path)
    splits = facts.samples.splits.copy()
    for name in ("car", "truck"):  # of 20 images each; of the third class there are 19
        splits[np.flatnonzero((splits != "") & (facts.samples.labels == name))[0]] = ""
    said = statements(replace(facts, samples=replace(facts.samples, splits=splits)))
    assert said.biases.startswith("Each class has 19 images.")


def test_labels_that_mean_something_else_in_one_source_are_told(tmp_path):
    facts = card_facts(tmp_path)
    own = {"web": {"classes": {"motorcycle": ["bike", "moped"], "car": []}, "ignore": ["van"]}}
    params = facts.params | {"labels": facts.params["labels"] | {"by_source": own}}
    said = statements(replace(facts, params=params))
    assert "In web alone: motorcycle (also bike, moped), van (ignored)." in said.annotation
    assert " alone:" not in statements(facts).annotation


def test_what_nobody_states_is_said_to_be_not_stated(tmp_path):
    said = statements(card_facts(tmp_path))
    assert (said.creator, said.url) == ("", "")
    for text in (said.intended_use, said.collection, said.annotation, said.biases, said.limitations):
        assert text.endswith("not stated.")
    assert said.personal_information == (
        "No search for personal information was made. Whether the images show persons, number plates or places is not "
        "stated."
    )


def test_what_the_user_states_is_told_and_nothing_is_not_stated(tmp_path):
    said = statements(card_facts(tmp_path, report=STATED))
    assert (said.title, said.creator, said.url) == ("Cars of the town", "The town", "https://example.org/cars")
    assert said.intended_use == "counting cars."
    assert said.collection.endswith("By two cameras in 2025.")
    assert said.personal_information.endswith("Faces are blurred.")
    assert "not stated" not in " ".join(vars(said).values())


def test_a_class_that_is_mostly_of_one_source_is_told(tmp_path):
    facts = card_facts(tmp_path)
    sources = np.where(facts.samples.labels == "truck", "web", facts.samples.sources)
    said = statements(replace(facts, samples=replace(facts.samples, sources=sources)))
    assert "100% of truck are from web, of all images 68%: a model may learn to tell these sources apart" in said.biases
    assert "a model may learn" not in statements(facts).biases


@pytest.mark.parametrize(
    ("receipt", "words"),
    [
        (KAGGLE, "web (kaggle owner/cars, version 3; 34 files)"),
        (EXPORT, "web (exports.zip; 30 files)"),
        (replace(EXPORT, what="photos/"), "web (photos; 30 files)"),
        (None, "web"),
    ],
)
def test_a_source_is_told_without_the_users_folders(receipt, words):
    assert source_in_words("web", receipt) == words


def test_many_classes_are_counted_in_the_title(tmp_path):
    said = statements(card_facts(tmp_path, class_names=tuple("abcdef"), per_class=10))
    assert said.title == "Images of 6 classes"
