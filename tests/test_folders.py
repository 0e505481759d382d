"""A folder is filled whole or not at all, and is the same folder afterwards."""

from pathlib import Path

import pytest

from tandem.folders import PARTIAL, filled_dir


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_what_is_built_lies_in_the_folder_which_is_the_same(tmp_path: Path) -> None:
    (tmp_path / PARTIAL).mkdir()
    (tmp_path / PARTIAL / "of a killed run").touch()
    before = tmp_path.stat().st_ino
    with filled_dir(tmp_path) as building:
        (building / "sub").mkdir()
        (building / "sub/a").touch()
        (building / "b").touch()
    assert names(tmp_path) == ["b", "sub", "sub/a"]
    assert tmp_path.stat().st_ino == before


def test_nothing_is_left_of_what_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), filled_dir(tmp_path) as building:
        (building / "a").touch()
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_what_was_moved_is_removed_where_the_rest_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c/mine").touch()
    with pytest.raises(OSError, match="c"), filled_dir(tmp_path) as building:
        (building / "a").mkdir()
        (building / "b").touch()
        (building / "c").mkdir()
        (building / "c/new").touch()
    assert names(tmp_path) == ["c", "c/mine"]
