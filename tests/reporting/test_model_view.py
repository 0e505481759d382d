from dataclasses import replace

import pytest

from planted_run import planted_facts
from tandem.reporting.page.model_view import model_view
from tandem.reporting.page.tables import number


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    return planted_facts(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def view(facts):
    return model_view(facts)


def texts(row):
    return [cell.text for cell in row]


def test_every_model_has_its_scores_and_the_selected_one_is_marked(facts, view):
    evaluation = facts.metrics.evaluate
    rows = {row[0].text: row for row in view.models.lines}
    assert list(rows) == ["one", "mean", "exported file"]
    assert [name for name, row in rows.items() if row[0].is_strong] == ["mean"]
    scores = evaluation["models"]["mean"]
    bounds = scores["interval"]["top1_accuracy"]
    assert texts(rows["mean"])[1:3] == [
        number(scores["top1_accuracy"]),
        f"{number(bounds['low'])} to {number(bounds['high'])}",
    ]
    low, value, high = rows["mean"][1].span
    assert low <= value <= high
    assert "mean minus one, the best single model on validation: top-1 accuracy +0.000" in view.comparison


def test_a_single_model_that_is_selected_is_not_compared_with_itself(facts):
    evaluation = facts.metrics.evaluate
    selected = evaluation["selected"] | {"model": "one"}
    metrics = replace(facts.metrics, evaluate=evaluation | {"selected": selected})
    assert model_view(replace(facts, metrics=metrics)).comparison.startswith(
        "one is itself the best single model on validation. student minus one: top-1 accuracy +0.000 ("
    )
    selected = evaluation["selected"] | {"model": "student"}
    metrics = replace(facts.metrics, evaluate=evaluation | {"selected": selected})
    assert "student minus student" not in model_view(replace(facts, metrics=metrics)).comparison


def test_the_confusion_matrix_adds_up_to_the_test_images(facts, view):
    cells = [row[1:-1] for row in view.confusion.lines]
    assert sum(int(cell.text) for row in cells for cell in row) == facts.metrics.evaluate["images"]
    assert sum(int(cells[n][n].text) for n in range(3)) == int(facts.predictions.is_right.sum())
    assert [cells[n][n].is_strong for n in range(3)] == [True] * 3


def test_of_many_classes_the_pairs_that_are_confused_are_listed(tmp_path):
    view = model_view(planted_facts(tmp_path, class_names=tuple(f"c{n}" for n in range(30)), per_class=10))
    assert view.confusion.caption == "Classes that the selected model confuses most on test"
    assert 1 <= len(view.confusion.lines) <= 25
    for actual, predicted, images, of in map(texts, view.confusion.lines):
        assert int(predicted[1:]) == (int(actual[1:]) + 1) % 30
        assert int(images) <= int(of)


def test_the_study_is_a_shaded_table_for_each_model_whose_lowest_loss_is_marked(view):
    (table,) = view.study
    assert table.head[1:] == ["8"]
    assert [(row[0].text, row[1].text, row[1].shade, row[1].is_strong) for row in table.lines] == [
        ("0.01", "0.250", 1.0, True),
        ("0.1", "0.500", 0.0, False),
    ]


def test_training_is_drawn_with_the_epoch_of_the_lowest_loss(view):
    ((name, chart),) = view.curves
    assert name == "one"
    assert "on validation lowest in epoch 3, 0.367" in chart


def test_what_a_random_split_would_claim_stands_beside_what_is(view):
    assert view.leak_gain == pytest.approx(0.1)
    assert [texts(row)[1:] for row in view.leak.lines] == [["0.800", "12"], ["0.900", "12"]]


def test_a_split_that_tears_bursts_stands_there_where_it_is_another_one(facts):
    torn = {"split_without_bursts": {"top1_accuracy": 0.85, "test_images": 13}}
    curation = {**facts.metrics.curate, "accuracy": {**facts.metrics.curate["accuracy"], **torn}}
    leak = model_view(replace(facts, metrics=replace(facts.metrics, curate=curation))).leak
    assert [texts(row)[1:] for row in leak.lines] == [["0.800", "12"], ["0.900", "12"], ["0.850", "13"]]
    assert "on three splits" in leak.caption


def test_repeated_splits_are_shown_where_there_are_any(facts, view):
    assert texts(view.repeated.lines[0])[:2] == ["selected on each split", "0.800 ± 0.010"]
    metrics = replace(facts.metrics, repeated_splits={"seeds": [], "models": {}})
    assert model_view(replace(facts, metrics=metrics)).repeated is None


def test_the_bins_of_the_reliability_diagram_are_written_out(facts, view):
    assert sum(int(row[1].text) for row in view.reliability_table.lines) == facts.metrics.evaluate["images"]
