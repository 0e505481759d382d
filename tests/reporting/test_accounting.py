from dataclasses import replace

import pytest

from planted_run import planted_facts
from tandem.reporting.page.accounting import account
from tandem.tables.index import Excluded, Origin


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    return planted_facts(tmp_path_factory.mktemp("run"))


def totals(accounting):
    return {fate.name: fate.total for fate in accounting.fates}


def test_every_file_counts_once_and_all_add_up_to_what_came_in(facts):
    accounting = account(facts)
    assert totals(accounting) == {
        "train": 35,
        "val": 12,
        "test": 12,
        "exact_duplicate": 1,
        "near_duplicate": 1,
        "ignored_label": 1,
        "truncated": 1,
        "other_files": 2,
    }
    assert accounting.accounted == accounting.came_in == {"web": 35, "exports": 30}
    assert accounting.is_complete
    assert accounting.absent == 1


def test_a_file_without_a_fate_is_said(facts):
    more = replace(facts.receipts["web"], num_files=36)
    assert not account(replace(facts, receipts={**facts.receipts, "web": more})).is_complete


def test_a_file_of_several_crops_counts_under_the_best_of_them(facts):
    crop = Excluded("web", facts.index.origins[2][0].path, "car", "too_small", "")
    assert totals(account(replace(facts, excluded=[*facts.excluded, crop]))) == totals(account(facts))


def test_a_reason_that_is_new_is_counted_too(facts):
    new = Excluded("web", "odd.png", "car", "odd_reason", "")
    assert totals(account(replace(facts, excluded=[*facts.excluded, new])))["odd_reason"] == 1


def test_a_source_whose_receipt_is_gone_is_taken_as_complete(facts):
    accounting = account(replace(facts, receipts={}))
    assert accounting.came_in == {}
    assert accounting.is_complete


def test_one_file_with_two_boxes_of_the_same_pixels_is_no_duplicate(facts):
    origins = list(facts.index.origins)
    origins[2] = (*origins[2], Origin(*origins[2][0][:2], "other label"))
    index = replace(facts.index, origins=tuple(origins))
    assert totals(account(replace(facts, index=index)))["exact_duplicate"] == 1
