import os

import pytest

from tandem.errors import DataError
from tandem.reporting.own_files import NOTE, require_own_folder, write_own_files

NAMES = ("index.html", "model_card.md")
NOT_OURS = r"report/index\.html was not written by `tandem report`, or was changed since; move it away, .* --output"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "report"


def test_a_folder_that_is_not_there_is_fine_and_is_not_made_yet(folder):
    require_own_folder(folder / "below", NAMES)
    assert not folder.exists()


@pytest.mark.parametrize("below", ["", "below"])
def test_a_file_in_the_place_of_the_folder_is_named(folder, below):
    folder.write_text("mine")
    with pytest.raises(DataError, match=r"no report can be written to .*: .*report is no folder; name another one by"):
        require_own_folder(folder / below, NAMES)
    assert folder.read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only_is_named(folder):
    folder.mkdir(mode=0o500)
    with pytest.raises(DataError, match=r"no report can be written to .*report is read-only; name another one"):
        require_own_folder(folder, NAMES)


def test_a_file_of_somebody_else_is_not_taken_for_ours(folder):
    folder.mkdir()
    (folder / "notes.txt").write_text("beside it is fine")
    require_own_folder(folder, NAMES)
    (folder / "index.html").write_text("my site")
    with pytest.raises(DataError, match=NOT_OURS):
        require_own_folder(folder, NAMES)


def test_a_file_of_ours_is_replaced_until_somebody_edits_it(folder):
    write_own_files(folder, {"index.html": "first"})
    require_own_folder(folder, NAMES)
    write_own_files(folder, {"index.html": "second", "model_card.md": "card"})
    require_own_folder(folder, NAMES)
    assert (folder / "index.html").read_text() == "second"
    (folder / "index.html").write_text("second, and a word of mine")
    with pytest.raises(DataError, match=NOT_OURS):
        require_own_folder(folder, NAMES)


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_link_is_not_followed(folder, is_whole):
    folder.mkdir()
    if is_whole:
        (folder.parent / "elsewhere.html").write_text("mine")
    (folder / "index.html").symlink_to(folder.parent / "elsewhere.html")
    with pytest.raises(DataError, match=NOT_OURS):
        require_own_folder(folder, NAMES)


@pytest.mark.parametrize("note", ["[]", "no JSON", '{"index.html": 1}'])
def test_a_note_that_is_damaged_takes_no_file_for_ours(folder, note):
    folder.mkdir()
    (folder / "index.html").write_text("first")
    (folder / NOTE).write_text(note)
    with pytest.raises(DataError, match=NOT_OURS):
        require_own_folder(folder, NAMES)


def test_what_was_cut_short_between_two_files_is_ours(folder):
    write_own_files(folder, {"index.html": "first"})
    (folder / "model_card.md").mkdir()  # so that the second file cannot be written
    with pytest.raises(OSError, match="directory"):
        write_own_files(folder, {"index.html": "second", "model_card.md": "second"})
    (folder / "model_card.md").rmdir()
    assert (folder / "index.html").read_text() == "second"
    require_own_folder(folder, NAMES)
