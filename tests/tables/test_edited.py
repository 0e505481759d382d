"""Tables that people edited are read as they meant them, or refused with the file and the line; nothing is left out."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.errors import DataError
from tandem.tables.edited import read_edited_csv

COLUMNS = ("id", "action", "value", "reason")
HEADER = "id,action,value,reason\n"
ROW = {"id": "a", "action": "relabel", "value": "caminhão", "reason": "a “pickup”, small"}
LINE = 'a,relabel,caminhão,"a “pickup”, small"\n'


def read(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return read_edited_csv(path, columns=COLUMNS, aliases={"content_id": "id"})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "table.csv"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_encodings_line_ends_and_separators(encoding, line_end, separator, path):
    row = LINE if separator == "," else LINE.replace(",", separator, 3)
    text = (HEADER.replace(",", separator) + row).replace("\n", line_end)
    assert read(path, text.encode(encoding)) == [(2, ROW)]


def test_each_line_is_decoded_on_its_own(path):
    lines = HEADER.encode() + LINE.encode("utf-8") + LINE.encode("cp1252")
    assert read(path, lines) == [(2, ROW), (3, ROW)]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (HEADER + LINE.rstrip("\n"), [2]),
        ("\n\n" + HEADER + "\n" + LINE + ",,,\n   \n" + LINE, [5, 8]),
        ("sep=,\n" + HEADER + LINE, [3]),
        ('"sep=,"\r\n' + HEADER + LINE, [3]),
        (' ID , "Action",VALUE,Reason\n' + LINE, [2]),
        ('"id","action","value","reason"\n' + LINE, [2]),
        ("content_id,action,value,reason\n" + LINE, [2]),
        ("id,action,value,reason,,\n" + LINE.rstrip("\n") + ",,\n", [2]),
        ('action,reason,value,id\nrelabel,"a “pickup”, small",caminhão,a\n', [2]),
        (HEADER + LINE.replace(",", ", ", 3), [2]),
        (HEADER + LINE.replace("a,", " a\u00a0, ", 1), [2]),
    ],
)
def test_what_spreadsheets_and_people_do_to_a_table(text, lines, path):
    assert read(path, text) == [(line, ROW) for line in lines]


def test_a_header_alone_is_a_table_without_lines(path):
    assert read(path, HEADER) == read(path, HEADER + "\n,,,\n") == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "table.csv is empty, where at least the line id,action,value,reason is expected; restore"),
        ("\ufeff", "table.csv is empty"),
        (" \n\n", "table.csv is empty"),
        (LINE, "table.csv, line 1 is 'a,relabel,caminhão,\"a “pickup”, small\"', where the header id,action,"),
        ("\nid,action,value\n" + LINE, "table.csv, line 2 is 'id,action,value', where the header"),
        ("id,action,value,reason,id\n" + LINE, "table.csv, line 1 is"),
        ("id|action|value|reason\n", "table.csv, line 1 is"),
        ("idactionvaluereason\n" + LINE, "table.csv, line 1 is"),
        ("<<<<<<< HEAD\n" + HEADER, "table.csv, line 1 is the mark of a merge conflict"),
        (HEADER + LINE + "=======\n" + LINE, "table.csv, line 3 is the mark of a merge conflict"),
        (HEADER + "a;drop;;\n", "table.csv, line 2 has 1 cells, not the 4 of id,action,value,reason"),
        (HEADER + LINE + "a,drop,\n", "table.csv, line 3 has 3 cells"),
        (
            HEADER + "a,drop,,logos, and more\n",
            "line 2 has 5 cells, not the 4 of id,action,value,reason; correct it (a",
        ),
        (HEADER + LINE + 'a,drop,,"logos\n' + LINE, "table.csv, line 3: its quotes do not fit"),
        (HEADER + 'a,drop,,"logos" x\n', "table.csv, line 2: its quotes do not fit"),
        (HEADER + 'a,drop,,"x\nb,drop,,y\nc,drop,,"\n', "table.csv, line 2: a cell goes on over several lines"),
        (HEADER + "a,dr\0op,,\n", "table.csv, line 2 holds a zero byte"),
        (b"\0" * 100, "table.csv, line 1 holds a zero byte"),
        (HEADER.encode("utf-16-le"), "table.csv, line 1 holds a zero byte"),
        (HEADER.encode() + b"a,drop,,\x81\n", "line 2 holds the byte 0x81, which is neither UTF-8 nor Latin-1"),
        (HEADER.encode("utf-16")[:-1], "table.csv begins as UTF-16 and is damaged"),
    ],
)
def test_what_is_no_such_table_is_an_error_that_names_file_and_line(content, message, path):
    with pytest.raises(DataError, match=re.escape(message)):
        read(path, content)


@settings(max_examples=150, derandomize=True)
@given(st.data())
def test_a_table_that_is_cut_mangled_or_mixed_up_gives_an_error_or_all_its_lines(tmp_path_factory, data):
    """Each of the lines that are left of the file is read whole, or the file is refused."""
    path = tmp_path_factory.getbasetemp() / "mangled.csv"
    content = bytearray((HEADER + "".join(f"id{number},drop,,why\n" for number in range(4))).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 6))] = data.draw(st.binary(max_size=4))
    try:
        rows = read(path, bytes(content))
    except DataError as error:
        assert str(path) in str(error)
        return
    lines = bytes(content).removeprefix(b"\xef\xbb\xbf").splitlines()
    assert len(rows) >= sum(bool(line.strip(b" \t,;\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0")) for line in lines) - 1
