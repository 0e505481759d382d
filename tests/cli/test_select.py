"""`tandem select` where it has nothing to select; on a finished run: tests/project/test_new_images.py."""

import pytest

import command_line  # noqa: F401  # before others import typer, whose warnings it ignores
from tandem.cli.new_images.select import copy_ranked, list_selected
from tandem.errors import DataError


def select(copy_to=None):
    return list_selected(["photos"], number=5, copy_to=copy_to, max_images=100, seed=0, listing="table")


def test_before_a_run_what_to_do_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="nothing was trained in this folder yet; run `dvc repro` in the project's"):
        select()


def test_images_are_copied_to_no_folder_that_holds_something(tmp_path):
    (tmp_path / "earlier.jpg").touch()
    with pytest.raises(DataError, match=r"images cannot be copied to .*, which holds files; name a folder that is new"):
        select(copy_to=tmp_path)


def test_images_are_copied_to_no_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"images cannot be copied to .*/file: File exists; name another folder"):
        select(copy_to=tmp_path / "file")


def test_copies_are_there_all_or_none_and_what_a_killed_run_left_is_no_obstacle(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_text(name)
    rows = [{"rank": rank, "path": path} for rank, path in enumerate(("a.jpg", "b.jpg", "none.jpg"), start=1)]
    folder = tmp_path / "to_label"
    (folder / ".tandem-partial").mkdir(parents=True)
    (folder / ".tandem-partial/0001-a.jpg").touch()
    with pytest.raises(DataError, match="nothing was trained in this folder yet"):
        select(copy_to=folder)
    with pytest.raises(DataError, match=r"none\.jpg cannot be copied to .*to_label, since it is no file any more"):
        copy_ranked(rows, folder)
    assert not list(folder.iterdir())
    copy_ranked(rows[:2], folder)
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"0001-a.jpg": "a.jpg", "0002-b.jpg": "b.jpg"}
