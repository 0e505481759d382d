"""What is said of prediction sets and of images of no class."""

from dataclasses import replace

from planted_run import planted_facts
from tandem.reporting.page.unknown_view import unknown_table


def test_each_number_stands_beside_what_was_wanted(tmp_path):
    metrics = planted_facts(tmp_path).metrics
    lines = [[cell.text for cell in line] for line in unknown_table(metrics).lines]
    sets = metrics.evaluate["prediction_sets"]
    assert lines[0][:3] == ["prediction sets that hold the class", "0.900", f"{sets['coverage']:.3f}"]
    assert lines[1][2] == f"{sets['mean_size']:.3f}"
    assert lines[2] == ["images flagged as being of no class", "0.050", "0.083", "0.000 to 0.250"]
    assert [line[2] for line in lines[3:]] == ["0.912", "0.345", "0.567"]


def test_of_one_class_nothing_is_said_of_one_that_was_not_seen(tmp_path):
    metrics = planted_facts(tmp_path).metrics
    alone = replace(metrics, ood={**metrics.ood, "leave_one_class_out": {"classes": {}, "backbones": {}}})
    assert len(unknown_table(alone).rows) == 3
