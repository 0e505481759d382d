"""`tandem select` where it has nothing to select; on a finished run: tests/project/test_new_images.py."""

import pytest

import command_line  # noqa: F401  # before others import typer, whose warnings it ignores
from tandem.cli.new_images.select import list_selected
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
