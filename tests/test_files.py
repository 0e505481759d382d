"""Files that are whole or absent, and tables that come back as they were written."""

import hashlib
import json
import locale
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tandem import files
from tandem.errors import DamagedFileError


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def test_a_file_appears_when_the_block_ends_well(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "down" / "a.txt"
    with files.atomic_file(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
        assert temporary.parent == path.parent, "a rename must not cross a file system"
    assert path.read_text() == "new"
    assert leftovers(path.parent) == []


def test_a_files_bytes_are_on_the_disk_before_it_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power cut could leave a name without its content: a rename may reach the disk before the bytes do."""
    synced = []

    def fsync(descriptor: int) -> None:
        synced.append((os.pread(descriptor, 99, 0), (tmp_path / "a.txt").exists()))
        os.fdatasync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    files.write_text(tmp_path / "a.txt", "whole")
    assert synced == [(b"whole", False)]


def test_a_file_keeps_its_old_content_when_the_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), files.atomic_file(path) as temporary:
        temporary.write_text("half of the n")
        _ = 1 / 0
    assert path.read_text() == "old"
    assert leftovers(tmp_path) == []


def test_a_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    files.write_text(path, "new")
    assert path.read_text() == "new"


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder"
    for content in ("old", "new"):
        with files.atomic_dir(path) as temporary:
            assert list(temporary.iterdir()) == []
            (temporary / content).write_text(content)
    assert [file.name for file in path.iterdir()] == ["new"]
    assert leftovers(path.parent) == []


def test_a_folder_keeps_its_old_content_when_the_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old").write_text("old")
    with pytest.raises(ZeroDivisionError), files.atomic_dir(path) as temporary:
        (temporary / "new").write_text("new")
        _ = 1 / 0
    assert [file.name for file in path.iterdir()] == ["old"]
    assert leftovers(tmp_path) == []


def test_a_folder_keeps_its_old_content_when_the_new_one_cannot_take_its_place(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old").write_text("old")
    with pytest.raises(FileNotFoundError), files.atomic_dir(path) as temporary:
        temporary.rmdir()
    assert [file.name for file in path.iterdir()] == ["old"]
    assert leftovers(tmp_path) == []


def test_a_folder_can_be_made_within_another_one_on_the_same_disk(tmp_path: Path) -> None:
    with files.atomic_dir(tmp_path / "here" / "folder", within=tmp_path / "there") as temporary:
        assert temporary.parent == tmp_path / "there"
        assert list((tmp_path / "here").iterdir()) == []
    assert (tmp_path / "here" / "folder").is_dir()
    assert leftovers(tmp_path / "there") == []


def test_a_folder_can_be_read_by_others(tmp_path: Path) -> None:
    with files.atomic_dir(tmp_path / "folder"):
        pass
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o755


def test_text_is_utf8_with_its_own_line_ends(tmp_path: Path) -> None:
    files.write_text(tmp_path / "a.txt", "caminhão\r\n\n")
    assert (tmp_path / "a.txt").read_bytes() == b"caminh\xc3\xa3o\r\n\n"


def test_json_rounds_every_float_to_six_digits_and_nothing_else(tmp_path: Path) -> None:
    value = {"b": 1 / 3, "a": [2e-7, (0.1 + 0.2, 10**12 / 3)], "n": 7, "yes": True, "none": None, "ã": {1: "x"}}
    files.write_json(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert list(json.loads(text)) == ["b", "a", "n", "yes", "none", "ã"]
    assert files.read_json(tmp_path / "a.json") == {
        "b": 0.333333,
        "a": [0.0, [0.3, 333333333333.333313]],
        "n": 7,
        "yes": True,
        "none": None,
        "ã": {"1": "x"},
    }
    assert text.endswith("}\n")


TEXTS = ["plain", "a,b", 'say "x"', "two\nlines", "cr\r\nlf", " padded ", "caminhão 車", ""]


def test_a_table_comes_back_as_text(tmp_path: Path) -> None:
    rows = [{"name": text, "fraction": 1 / 3, "count": 3} for text in TEXTS]
    files.write_csv(tmp_path / "a.csv", rows)
    assert files.read_csv(tmp_path / "a.csv") == [
        {"name": text, "fraction": "0.333333", "count": "3"} for text in TEXTS
    ]


def test_an_empty_table_has_its_header(tmp_path: Path) -> None:
    files.write_csv(tmp_path / "a.csv", [], columns=["one", "two"])
    assert (tmp_path / "a.csv").read_bytes() == b"one,two\n"
    assert files.read_csv(tmp_path / "a.csv") == []


def test_a_cell_may_be_longer_than_csv_allows_by_itself(tmp_path: Path) -> None:
    rows = [{"origins": "x" * 1_000_000}]
    files.write_csv(tmp_path / "a.csv", rows)
    assert files.read_csv(tmp_path / "a.csv") == rows


def test_the_same_values_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("1", "2"):
        files.write_json(tmp_path / f"{name}.json", {"b": [0.5], "a": 1})
        files.write_csv(tmp_path / f"{name}.csv", [{"a": 1, "b": 0.5}], columns=["b", "a"])
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()
    assert (tmp_path / "1.csv").read_bytes() == b"b,a\n0.5,1\n" == (tmp_path / "2.csv").read_bytes()


def test_a_files_digest_is_that_of_its_bytes(tmp_path: Path) -> None:
    data = bytes(range(256)) * 10_000
    (tmp_path / "a").write_bytes(data)
    assert files.sha256(tmp_path / "a") == hashlib.sha256(data).hexdigest()


def plant(root: Path, contents: dict[str, str]) -> Path:
    for name, text in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_files_are_listed_in_order_of_their_posix_paths(tmp_path: Path) -> None:
    plant(tmp_path, {"b": "", "a/z": "", "a/.hidden": "", "a.txt": "", "B/c": ""})
    (tmp_path / "empty").mkdir()
    found = [path.relative_to(tmp_path).as_posix() for path in files.list_files(tmp_path)]
    assert found == ["B/c", "a.txt", "a/.hidden", "a/z", "b"]


def test_a_file_that_dvc_has_linked_into_its_cache_is_a_file(tmp_path: Path) -> None:
    plant(tmp_path, {"cache/ab12": "1", "data/a/z": "1", "linked/b": "2"})
    digest = files.dir_sha256(tmp_path / "data")
    (tmp_path / "data/a/z").unlink()
    (tmp_path / "data/a/z").symlink_to(tmp_path / "cache/ab12")
    (tmp_path / "data/folder").symlink_to(tmp_path / "linked")
    assert files.list_files(tmp_path / "data") == [tmp_path / "data/a/z"], "a link to a folder is not followed"
    assert files.dir_sha256(tmp_path / "data") == digest


def test_a_folders_digest_is_what_sha256sum_prints_of_its_files(tmp_path: Path) -> None:
    plant(tmp_path, {"b": "2", "a/z": "1"})
    lines = [f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n" for name, text in (("a/z", "1"), ("b", "2"))]
    assert files.dir_sha256(tmp_path) == hashlib.sha256("".join(lines).encode()).hexdigest()


@pytest.mark.parametrize(
    "other",
    [
        {"a/z": "1", "b": "3"},
        {"a/z": "1", "c": "2"},
        {"z": "1", "b": "2"},
        {"a/z": "1"},
        {"a/z": "1", "b": "2", "c": ""},
    ],
)
def test_a_folders_digest_changes_with_any_name_or_byte(tmp_path: Path, other: dict[str, str]) -> None:
    one = plant(tmp_path / "one", {"a/z": "1", "b": "2"})
    same = plant(tmp_path / "same", {"b": "2", "a/z": "1"})
    assert files.dir_sha256(one) == files.dir_sha256(same)
    assert files.dir_sha256(one) != files.dir_sha256(plant(tmp_path / "other", other))


def test_files_to_skip_do_not_count_in_a_folders_digest(tmp_path: Path) -> None:
    folder = plant(tmp_path / "one", {"a/z": "1", "b": "2"})
    digest = files.dir_sha256(folder)
    plant(folder, {"a/made_today.txt": "3"})
    assert files.dir_sha256(folder, without=["made_today.txt"]) == digest != files.dir_sha256(folder)


def test_what_has_other_names_is_removed_and_hidden_files_stay(tmp_path: Path) -> None:
    plant(tmp_path, {"keep.json": "", "keep/a": "", "other.json": "", "other/deep/a": "", ".hidden": ""})
    (tmp_path / "link").symlink_to(tmp_path / "keep")
    files.remove_others(tmp_path, ["keep"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "keep", "keep.json"]
    assert (tmp_path / "keep" / "a").is_file()
    files.remove_others(tmp_path / "no such folder", [])


def aliased(item: str, num_aliases: int, num_scalars: int) -> str:
    """YAML of an item under an anchor, so many aliases of it and so many words."""
    return "".join([f"- &a {item}\n", "- *a\n" * num_aliases, "- x\n" * num_scalars])


@pytest.mark.parametrize(
    "item", [f"[{', '.join(['x'] * 998)}]", f"{{{', '.join(f'k{n}: x' for n in range(499))}}}"], ids=["list", "mapping"]
)
def test_yaml_stands_for_a_hundred_thousand_values_and_no_more(item: str) -> None:
    whole = files.parse_yaml(aliased(item, 99, 99))  # a list of 100 times 999 values and 99 more: 100,000
    assert (len(whole), len(whole[0]), whole[99] == whole[0]) == (199, 998 if "[" in item else 499, True)
    with pytest.raises(ValueError, match=r"^line 200: its aliases stand for too many values$"):
        files.parse_yaml(aliased(item, 99, 100))


@pytest.mark.parametrize(
    ("opened", "item", "closed", "depth", "message"),
    [
        ("[", "x", "]", 100, "^it is nested too deeply$"),
        ("- ", "&a x", "", 99, "^line 1: its aliases stand for too many values$"),  # the document is a level, too
    ],
    ids=["brackets", "dashes"],
)
def test_yaml_is_nested_a_hundred_times_and_no_more(
    opened: str, item: str, closed: str, depth: int, message: str
) -> None:
    found, levels = files.parse_yaml(f"{opened * depth}{item}{closed * depth}"), 0
    while isinstance(found, list):
        found, levels = found[0], levels + 1
    assert levels == depth
    with pytest.raises(ValueError, match=message):
        files.parse_yaml(f"{opened * (depth + 1)}{item}{closed * (depth + 1)}")


def test_a_tab_in_yaml_is_told_with_what_to_write_instead() -> None:
    with pytest.raises(ValueError, match=r"^line 2, column 1: .*; indent by spaces$"):
        files.parse_yaml("a:\n\tb: 1\n")


def test_json_is_indented_by_two_so_that_git_shows_what_changed(tmp_path: Path) -> None:
    files.write_json(tmp_path / "a.json", {"b": [1, {"ü": None}]})
    expected = '{\n  "b": [\n    1,\n    {\n      "ü": null\n    }\n  ]\n}\n'
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == expected


def test_a_table_with_other_columns_is_refused_with_both(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(DamagedFileError, match=r"a\.csv.*its columns are a,b, not a,c"):
        files.read_csv(tmp_path / "a.csv", columns=("a", "c"))
    (tmp_path / "a.csv").write_text("a,b\n1,2\n1\n", encoding="utf-8")
    with pytest.raises(DamagedFileError, match="row 2 has another number of cells than the header"):
        files.read_csv(tmp_path / "a.csv", columns=("a", "b"))


def test_an_alias_within_what_it_stands_for_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^line 2: \*a lies within what it stands for$"):
        files.parse_yaml("- &a\n  - *a\n")
    assert files.parse_yaml("[&a [1, 2], *a, &b x, *b]") == [[1, 2], [1, 2], "x", "x"]


def test_of_several_anchors_each_counts_what_it_stands_for() -> None:
    many = f"- &a [{', '.join(['x'] * 998)}]\n- &b [y]\n"
    assert len(files.parse_yaml(many + "- *a\n" * 98)) == 100
    with pytest.raises(ValueError, match=r"its aliases stand for too many values$"):
        files.parse_yaml(many + "- *a\n" * 100)


def test_an_alias_of_nothing_is_named_with_its_place() -> None:
    with pytest.raises(ValueError, match=r"^line 2, column 3: found undefined alias 'b'"):
        files.parse_yaml("- &a x\n- *b\n")


def test_an_array_of_other_dimensions_is_refused_with_both_numbers(tmp_path: Path) -> None:
    files.write_array(tmp_path / "a.npy", np.zeros((2, 3)))
    assert files.load_array(tmp_path / "a.npy", ndim=2).shape == (2, 3)
    with pytest.raises(DamagedFileError, match=r"a\.npy .*an array of 3 dimensions is expected, not of 2"):
        files.load_array(tmp_path / "a.npy", ndim=3)


def test_a_pointer_of_git_lfs_is_known_by_how_it_begins() -> None:
    assert files.is_lfs_pointer(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    assert not files.is_lfs_pointer(b"\xff\xd8\xff version https://git-lfs.github.com/spec/v1")


def test_a_folder_is_made_with_all_that_it_lies_in(tmp_path: Path) -> None:
    with files.atomic_dir(tmp_path / "a/b/c", within=tmp_path / "d/e") as folder:
        (folder / "f.txt").write_text("x", encoding="utf-8")
    assert (tmp_path / "a/b/c/f.txt").read_text(encoding="utf-8") == "x"


def test_letters_are_no_brackets_of_yaml() -> None:
    assert files.parse_yaml("X" * 500) == "X" * 500


@pytest.fixture
def ascii_system() -> Iterator[None]:
    """The system's own encoding is ASCII, unless Python was started in its UTF-8 mode."""
    before = locale.setlocale(locale.LC_CTYPE)
    locale.setlocale(locale.LC_CTYPE, "C")
    yield
    locale.setlocale(locale.LC_CTYPE, before)


@pytest.mark.usefixtures("ascii_system")
def test_text_is_utf_8_whatever_the_systems_own_encoding_is(tmp_path: Path) -> None:
    files.write_json(tmp_path / "a.json", {"name": "Käfer"})
    assert files.read_json(tmp_path / "a.json") == {"name": "Käfer"}
    files.write_csv(tmp_path / "a.csv", [{"name": "Käfer"}])
    assert files.read_csv(tmp_path / "a.csv", columns=("name",)) == [{"name": "Käfer"}]


def test_the_part_of_a_path_that_is_missing_is_said_by_the_closest_name_there(tmp_path: Path) -> None:
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets/street.zip").touch(0o777)
    (tmp_path / "link.zip").symlink_to("nowhere.zip")
    assert files.closest_name(tmp_path / "datasets/Stret.zip") == "did you mean 'street.zip'? "
    assert files.closest_name(tmp_path / "dataset/street.zip") == "did you mean 'datasets'? "
    assert files.closest_name(tmp_path / "datasets/boats.tar") == ""
    assert files.closest_name(tmp_path / "link.zip") == ""
    assert files.closest_name(tmp_path / "datasets/street.zip/train") == ""
