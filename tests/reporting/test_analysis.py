"""The analysis of a planted run: all kinds of slices, its mistakes, and licences that a user states."""

from dataclasses import replace

import numpy as np

from planted_cards import EXPORT, card_facts
from tandem.reporting.analysis import analyse


def facts_of(folder, **changes):
    """Without an exported model; features of three kinds."""
    facts = card_facts(folder, **changes)
    features = np.eye(3, 8, dtype=np.float32)[np.arange(len(facts.samples)) % 3]
    return replace(facts, exported=None, features=features)


def test_everything_is_found_of_the_selected_model_on_test(tmp_path):
    facts = facts_of(tmp_path, per_class=100)
    found = analyse(facts, with_speed=False)
    assert {each.kind for each in found.slices.slices} == {"source", "class", "brightness", "blur", "cluster"}
    assert found.slices.accuracy == facts.predictions.is_right.mean()
    wrong = set(facts.samples.test.rows[~facts.predictions.is_right].tolist())
    assert {each.row for each in found.mistakes.worst} <= wrong
    assert found.mistakes.num_wrong == len(wrong)
    assert found.mistakes.without_maps == "no model was exported"


def test_what_a_user_states_of_a_licence_goes_first_and_a_source_without_a_receipt_has_none(tmp_path):
    facts = facts_of(tmp_path, report={"licenses": {"exports": "CC0-1.0"}}, receipts=(EXPORT,))
    rows = analyse(facts, with_speed=False).licensing.rows
    assert [(row.source, row.stated, row.by) for row in rows] == [
        ("web", "not stated", "files or service"),
        ("exports", "CC0-1.0", "user"),
    ]
