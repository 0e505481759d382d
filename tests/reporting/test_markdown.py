"""Tables, heads, licences and origins in Markdown."""

from dataclasses import replace

import pytest

from planted_cards import card_facts
from planted_run import UP_TO_DATE
from tandem.files import parse_yaml
from tandem.reporting.cards.markdown import front_matter, license_parts, markdown_table, reproduction
from tandem.reporting.licenses import licensing
from tandem.reporting.page.tables import Cell, Table


def test_a_table_has_the_texts_of_the_pages_cells():
    table = Table(
        "Caption",
        ["model", "score", "words"],
        [[Cell("best", is_strong=True), Cell("0.9", shade=0.5), "a|b\nc"], ["other", "0.8", ""]],
        "evaluate.json",
        foot=["all", "", ""],
        text_columns=frozenset([2]),
        note="A note.",
    )
    assert markdown_table(table) == (
        "| model | score | words |\n"
        "| --- | ---: | --- |\n"
        "| **best** | 0.9 | a\\|b c |\n"
        "| other | 0.8 |  |\n"
        "| all |  |  |\n\n"
        "A note."
    )


def test_the_head_is_yaml_of_the_same_values():
    values = {"license": ["cc0-1.0"], "pretty_name": "Autos: 'große' & \"kleine\"", "n": 0.25, "nested": [{"a": 1}]}
    text = front_matter(values)
    assert text.startswith("---\n")
    assert text.endswith("\n---")
    assert parse_yaml(text.strip("-")) == values


def test_licences_say_who_states_them_and_what_follows():
    found = licensing({"web": "CC BY-NC 4.0", "wild": "not stated", "asked": "not stated"}, {"asked": "CC BY-SA 4.0"})
    table, findings, closing = license_parts(found)
    assert table.splitlines()[2:] == [
        "| web | [CC-BY-NC-4.0](https://spdx.org/licenses/CC-BY-NC-4.0.html) | its files or its service |",
        "| wild | not stated | nobody |",
        "| asked | [CC-BY-SA-4.0](https://spdx.org/licenses/CC-BY-SA-4.0.html) | a person |",
    ]
    assert findings.splitlines()[0].startswith("- **Incompatible.** web (CC-BY-NC-4.0) and asked (CC-BY-SA-4.0): ")
    assert findings.splitlines()[1].startswith("- **Not known.** wild (not stated): ")
    assert closing == "This is a short reading of the licenses, and no legal advice."


def test_licences_that_ask_for_nothing_are_said_to():
    assert "ask for nothing" in list(license_parts(licensing({"web": "CC0-1.0"}, {})))[1]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (UP_TO_DATE, "Commit `c0ffeec0ffee` of 2026-11-28; `dvc.lock` has sha256 `d1d1d1d1d1d1...`. `dvc repro` runs"),
        (replace(UP_TO_DATE, is_dirty=True), "of 2026-11-28, with changes that are not committed; "),
        (replace(UP_TO_DATE, commit="", lock_sha256=""), "Outside of git. `dvc repro`"),
        (replace(UP_TO_DATE, stale=("train",)), "**These are not known to be results of the parameters, data and code"),
    ],
)
def test_of_which_code_and_data_a_run_is_is_said(tmp_path, state, words):
    parts = list(reproduction(card_facts(tmp_path, state=state)))
    assert words in "\n".join(parts)
    assert parts[-1] == "Written by Python 3.11."
    assert len(parts) == (2 if state.is_current else 3)
