from dataclasses import replace

import numpy as np
import pytest

from planted_run import planted_analysis, planted_facts
from tandem.reporting.page.error_view import error_view
from tandem.reporting.slices import Slice, Slices


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    return planted_facts(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def found(facts):
    return planted_analysis(facts)


def test_a_mistake_says_what_was_predicted_how_surely_and_what_the_label_is(facts, found):
    view = error_view(facts, found.slices, found.mistakes)
    worst = found.mistakes.worst[0]
    assert view.num_wrong == int((~facts.predictions.is_right).sum())
    assert view.mistakes[0].caption == f"{worst.predicted} {worst.confidence:.2f}, labelled {worst.actual}"
    assert "the label may be what is wrong" not in view.mistakes[0].detail
    assert view.mistakes[0].image.alt.endswith(f", predicted as {worst.predicted}")


def test_where_the_search_for_label_errors_agrees_with_the_model_the_label_is_doubted(facts, found):
    worst = found.mistakes.worst[0]
    doubted = replace(worst, suggested_label=worst.predicted)
    view = error_view(facts, found.slices, replace(found.mistakes, worst=(doubted,)))
    assert view.mistakes[0].detail.endswith("; the label may be what is wrong")


def test_a_map_is_drawn_beside_its_image(facts, found):
    pixels = np.full((16, 16, 3), 200, np.uint8)
    mapped = replace(found.mistakes.worst[0], view=pixels, explanation=np.eye(16, dtype=np.float32))
    (shown,) = error_view(facts, found.slices, replace(found.mistakes, worst=(mapped,))).mistakes
    assert shown.image.width == pytest.approx(2 * shown.image.height, abs=1)
    assert shown.image.alt.endswith("; beside it the parts that this rests on")


def test_a_slice_that_is_worse_comes_first_says_so_and_shows_its_images(facts, found):
    fine = Slice("source", "web", (0, 1), 0, 2.0, 1.0, 0.2, 1.0, False)
    worse = Slice("class", "car", (2, 3, 4), 3, 3.0, 0.0, 0.0, 0.5, True)
    view = error_view(facts, Slices((fine, worse), 0.8, 0), found.mistakes)
    assert [row[0].text for row in view.slices.lines] == ["class: car, worse", "source: web"]
    assert [cell.text for cell in view.slices.lines[0]][1:] == ["0.000", "0.000 to 0.500", "3", "3"]
    (sheet,) = view.worse
    assert (sheet.name, sheet.note, len(sheet.images)) == ("class: car", "3 of 3", 3)


def test_without_slices_there_is_no_table(facts, found):
    view = error_view(facts, Slices((), 0.8, 3), found.mistakes)
    assert view.slices is None
    assert view.slices_in_words.startswith("No slice of test has the")
