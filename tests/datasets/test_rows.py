"""Rows of tables as text."""

import pytest

from planted_sources import write
from tandem.datasets.formats.tabular.rows import load_rows
from tandem.errors import DataError


def test_lines_of_json_have_the_columns_of_all_of_them(tmp_path):
    write(tmp_path, {"x.jsonl": '\ufeff{"a": " x ", "b": null}\n\n{"c": 1.5, "a": [1, {"d": "é"}]}\n{"b": true}'})
    assert load_rows(tmp_path / "x.jsonl") == [
        (0, ["a", "b", "c"]),
        (1, ["x", "", ""]),
        (3, ['[1, {"d": "é"}]', "", "1.5"]),
        (4, ["", "true", ""]),
    ]


@pytest.mark.parametrize("line", ["[1]", '{"a": ', "text", "[" * 100_000])
def test_a_line_that_is_no_object_is_refused_with_its_number(tmp_path, line):
    write(tmp_path, {"x.ndjson": f'{{"a": 1}}\n{line}\n'})
    with pytest.raises(DataError, match=r"x\.ndjson, line 2 is no object of JSON: .*; correct or remove it"):
        load_rows(tmp_path / "x.ndjson")
