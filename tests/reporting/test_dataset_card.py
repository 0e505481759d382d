"""The dataset card: its head is Hugging Face's, its numbers are the page's."""

import pytest

from planted_cards import card_facts
from planted_run import planted_analysis
from tandem.files import parse_yaml
from tandem.reporting.cards.dataset_card import dataset_card, size_category
from tandem.reporting.cards.markdown import markdown_table
from tandem.reporting.page.accounting import account
from tandem.reporting.page.data_view import classes_table, fates_table, sources_table
from tandem.reporting.page.statements import statements


def card_of(facts):
    return dataset_card(facts, statements(facts), planted_analysis(facts).licensing)


def test_the_head_has_what_hugging_face_reads(tmp_path):
    _, head, _ = card_of(card_facts(tmp_path, report={"title": "Cars: all of them"})).split("---\n", 2)
    assert parse_yaml(head) == {
        "pretty_name": "Cars: all of them",
        "license": ["cc-by-nc-4.0", "cc-by-sa-4.0"],
        "task_categories": ["image-classification"],
        "size_categories": ["n<1K"],
        "tags": ["croissant", "tandem"],
    }


def test_its_tables_are_those_of_the_page(tmp_path):
    facts = card_facts(tmp_path)
    text = card_of(facts)
    for table in (classes_table(facts), sources_table(facts), fates_table(account(facts))):
        assert markdown_table(table) in text
    assert "| motorcycle | 11 | 4 | 4 | 19 |" in text


def test_it_says_what_is_known_and_what_is_not_stated(tmp_path):
    facts = card_facts(tmp_path)
    text, said = card_of(facts), statements(facts)
    for part in (said.collection, said.annotation, said.preprocessing, said.biases, said.personal_information):
        assert f"\n\n{part}\n\n" in text
    assert "Who made it is not stated." in text
    assert "**Incompatible.** web (CC-BY-NC-4.0) and exports (CC-BY-SA-4.0)" in text
    assert "/home/me" not in text


def test_who_made_it_is_said_where_a_person_states_it(tmp_path):
    stated = {"creator": "The town", "url": "https://example.org"}
    assert "\n\nMade by The town at https://example.org.\n\n" in card_of(card_facts(tmp_path, report=stated))


@pytest.mark.parametrize(
    ("num_images", "words"),
    [
        (0, "n<1K"),
        (999, "n<1K"),
        (1_000, "1K<n<10K"),
        (99_999, "10K<n<100K"),
        (100_000, "100K<n<1M"),
        (9_999_999, "1M<n<10M"),
        (10_000_000, "10M<n<100M"),
        (100_000_000, "n>100M"),
        (10**10, "n>100M"),
    ],
)
def test_the_size_is_in_hugging_faces_words(num_images, words):
    assert size_category(num_images) == words
