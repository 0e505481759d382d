import pytest

from tandem.reporting.page.tables import (
    NOTHING,
    Cell,
    Table,
    count,
    counted,
    file_size,
    interval,
    names,
    number,
    signed,
)


def test_numbers_are_written_for_people():
    assert [number(0.12345), number(1), number(0.5, digits=2)] == ["0.123", "1.000", "0.50"]
    assert [count(7), count(1234567)] == ["7", "1\u202f234\u202f567"]
    assert interval({"low": 0.1, "high": 0.25}) == "0.100 to 0.250"
    assert [signed(0.1), signed(-0.1)] == ["+0.100", "\u22120.100"]
    assert [file_size(1_250_000), file_size(512)] == ["1.2 MB", "0.5 kB"]
    assert [counted(1, "pair"), counted(2, "pair"), counted(0, "class", "classes")] == [
        "1 pair",
        "2 pairs",
        "0 classes",
    ]


@pytest.mark.parametrize("written", [number(None), number(float("nan")), signed(float("nan"))])
def test_a_number_that_there_is_not_is_no_zero(written):
    assert written == NOTHING


def test_what_a_list_of_names_leaves_out_is_counted():
    assert names(["a", "b"]) == "a, b"
    assert names(list("abcdefg"), at_most=2) == "a, b and 5 more"


def test_a_table_has_cells_alone_and_knows_its_files():
    table = Table("t", ["a", "b"], [["x", Cell("1", shade=0.5)]], "one.json, merge/two.csv", foot=["all", "1"])
    assert table.lines == [[Cell("x"), Cell("1", shade=0.5)]]
    assert table.foot_cells == [Cell("all"), Cell("1")]
    assert table.files == ["one.json", "merge/two.csv"]
    assert not table.is_wide
    assert Table("t", ["a"] * 12, [], "one.json").is_wide
