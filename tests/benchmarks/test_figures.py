"""Figures fall short or not, and the record is what was printed, without paths of the machine."""

import json
from argparse import Namespace

import pytest

import figures


@pytest.mark.parametrize(
    ("figure", "is_reached"),
    [
        (figures.at_least("a", 0.5, 0.5), True),
        (figures.at_least("a", 0.5, 0.49), False),
        (figures.at_most("a", 3, 3.0), True),
        (figures.at_most("a", 3, 3.1), False),
        (figures.above("a", 0.5, 0.5), False),
        (figures.above("a", 0.5, 0.51), True),
        (figures.exactly("a", 3, 3), True),
        (figures.exactly("a", 3, 2), False),
        (figures.reported("a", -1.0), True),
    ],
)
def test_a_figure_is_reached_at_its_limit_or_beyond_it(figure, is_reached):
    assert figure.is_reached == is_reached


@pytest.mark.parametrize(("value", "code"), [(1.0, 0), (0.0, 1)])
def test_the_program_fails_where_a_figure_falls_short_and_writes_the_record_either_way(value, code, tmp_path, capsys):
    path = tmp_path / "new" / "figures.json"
    with pytest.raises(SystemExit) as ended:
        figures.conclude([figures.at_least("speed", 0.5, value)], Namespace(json=path), details={"images": 3})
    assert ended.value.code == code
    assert ("falls short" in capsys.readouterr().out) == bool(code)
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["figures"] == [
        {"what": "speed", "required": ">= 0.5", "reached": f"{value:.3f}", "value": value, "is_reached": not code}
    ]
    assert record["images"] == 3
    assert {"benchmark", "command", "date", "machine"} < set(record)


def test_the_recorded_command_has_no_paths_and_no_place_of_the_record(tmp_path):
    argv = [f"{tmp_path}/benchmarks/views.py", "--archives", str(tmp_path), "--num-splits", "3", "--json", "x.json"]
    assert figures.command(argv) == "python benchmarks/views.py --archives DIR --num-splits 3"
    assert figures.command([*argv[:-2], "--json=x.json"]) == figures.command(argv)
