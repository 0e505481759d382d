"""`tandem drift` where it has nothing to compare; on a finished run: tests/project/test_new_images.py."""

import pytest

import command_line  # noqa: F401  # before others import typer, whose warnings it ignores
from tandem.cli.new_images.drift import _lines, report_drift
from tandem.errors import DataError
from tandem.monitoring.drift import DriftTest


def test_before_a_run_what_to_do_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="nothing was trained in this folder yet; run `dvc repro` in the project's"):
        report_drift(["photos"], alpha=0.05, max_images=100, seed=0, as_json=False)


def test_a_line_holds_effect_and_p_values_and_is_marked_where_there_is_drift():
    line = "brightness               0.5      0.25              KS 0.400   0.0010    0.0070  drift"
    assert _lines(DriftTest("brightness", 0.4, 0.001, 0.007, 0.5, 0.25, True)) == [line]
    assert _lines(DriftTest("features", 0.1, 0.2, 0.9, None, None, False)) == [
        "features                                           MMD 0.100   0.2000    0.9000"
    ]


def test_below_predicted_classes_stands_a_line_a_class():
    test = DriftTest(
        "predicted_classes", 0.5, 0.01, 0.02, {"car": 0.75, "truck": 0.25}, {"car": 0.25, "truck": 0.75}, True
    )
    first, *others = _lines(test)
    assert "total variation 0.500" in first
    assert others == ["  car                  0.750     0.250", "  truck                0.250     0.750"]
