"""One source to files and a receipt: what is replaced, what is refused, and two runs at once.

Covers sources.download, sources.kinds, sources.sample and sources.settings.
"""

import subprocess
import sys
import tarfile
import threading
from dataclasses import fields

import pytest
from PIL import Image

from factories import source
from tandem.errors import SourceError
from tandem.files import dir_sha256, read_json
from tandem.sources.download import download
from tandem.sources.kinds import SOURCE_KINDS
from tandem.sources.settings import Source
from tandem.sources.transfer.attempt import Limits


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "mine" / "car").mkdir(parents=True)
    Image.new("RGB", (9, 9), "red").save(tmp_path / "mine" / "car" / "1.png")
    return source("archive", path=str(tmp_path / "mine"))


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_folder_comes_with_a_receipt_of_what_it_holds(tmp_path, mine):
    receipt = download("mine", mine, folder=tmp_path / "out")
    files = tmp_path / "out" / "files" / "mine"
    assert (receipt.source, receipt.kind, receipt.num_files) == ("mine", "archive", 1)
    assert receipt.sha256 == receipt.tree_sha256 == dir_sha256(tmp_path / "mine")
    with tarfile.open(files / "files-00000.tar") as tar:
        assert tar.getnames() == ["car/1.png"]
        assert tar.extractfile("car/1.png").read() == (tmp_path / "mine" / "car" / "1.png").read_bytes()
    assert names(tmp_path / "out") == ["files/mine/files-00000.tar", "partial/mine.lock", "receipts/mine.json"]
    assert read_json(tmp_path / "out" / "receipts" / "mine.json")["asked"] == {
        "path": str(tmp_path / "mine"),
        "sha256": None,
    }


def test_an_unknown_style_of_the_sample_names_the_source_and_leaves_nothing_behind(tmp_path):
    with pytest.raises(SourceError, match=r"source web \(sample: style flickr, seed 0\): .*'flickr'"):
        download("web", source("sample", style="flickr", seed=0), folder=tmp_path)
    assert names(tmp_path) == ["partial/web.lock"]


def test_a_changed_folder_is_read_again_and_the_replacement_is_said(tmp_path, mine, capfd):
    download("mine", mine, folder=tmp_path / "out")
    Image.new("RGB", (9, 9), "blue").save(tmp_path / "mine" / "car" / "2.png")
    assert download("mine", mine, folder=tmp_path / "out").num_files == 2
    assert "source mine: " in capfd.readouterr().err


@pytest.mark.parametrize("foreign", ["other.png", "files-00000.tar", "files-00001.tar"])
def test_files_that_no_receipt_describes_are_not_replaced(tmp_path, mine, foreign):
    download("mine", mine, folder=tmp_path / "out")
    files = tmp_path / "out" / "files" / "mine"
    (files / foreign).write_bytes(b"somebody's work")
    with pytest.raises(SourceError, match=r"files/mine holds files that .*receipts/mine\.json does not describe"):
        download("mine", mine, folder=tmp_path / "out")
    assert (files / foreign).read_bytes() == b"somebody's work"


def test_files_without_a_receipt_are_not_replaced(tmp_path, mine):
    (tmp_path / "out" / "files" / "mine").mkdir(parents=True)
    with pytest.raises(SourceError, match="they are not replaced: move them elsewhere, or remove them"):
        download("mine", mine, folder=tmp_path / "out")


def test_files_published_by_a_run_that_was_killed_before_it_moved_their_receipt_are_known(tmp_path, mine):
    download("mine", mine, folder=tmp_path / "out")
    pending = tmp_path / "out" / "partial" / "mine" / "receipt.json"
    pending.parent.mkdir()
    (tmp_path / "out" / "receipts" / "mine.json").rename(pending)
    assert download("mine", mine, folder=tmp_path / "out").num_files == 1
    assert names(tmp_path / "out") == ["files/mine/files-00000.tar", "partial/mine.lock", "receipts/mine.json"]


HOLDER = """
import sys, time
from filelock import FileLock
with FileLock(sys.argv[1], timeout=0):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def another_run(tmp_path):
    lock = tmp_path / "out" / "partial" / "mine.lock"
    lock.parent.mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", HOLDER, lock], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_run_beside_another_one_touches_nothing(tmp_path, mine, another_run):
    before = names(tmp_path / "out")
    with pytest.raises(SourceError, match=r"another run downloads it right now \(it holds .*mine\.lock\)"):
        download("mine", mine, folder=tmp_path / "out", limits=Limits(lock_s=0.1))
    assert names(tmp_path / "out") == before


def test_a_run_waits_for_another_one_that_is_about_to_end(tmp_path, mine, another_run):
    threading.Timer(0.3, another_run.kill).start()
    assert download("mine", mine, folder=tmp_path / "out", limits=Limits(lock_s=20)).num_files == 1


def test_a_download_removes_what_killed_ones_of_any_source_have_left(tmp_path, mine):
    partial = tmp_path / "out" / "partial"
    litter = (
        "mine/.mine.x.partial/1.jpg",
        "old/.old.x.partial/1.jpg",
        "old/archive/files/a.zip",
        "old/archive/home-1/a",
    )
    part = ("other/archive/request.json", "other/archive/files/a.zip", "third/receipt.json")
    for name in (*litter, *part, "other/archive/home-1/.kaggle"):
        (partial / name).parent.mkdir(parents=True, exist_ok=True)
        (partial / name).write_bytes(b"1")
    download("mine", mine, folder=tmp_path / "out")
    left = {path.relative_to(partial).as_posix() for path in partial.rglob("*") if path.is_file()}
    assert {name for name in left if not name.endswith(".lock")} == set(part)
    assert not (partial / "old").exists()


def test_what_another_run_downloads_right_now_is_no_litter(tmp_path, mine, another_run):
    leftover = tmp_path / "out" / "partial" / "mine" / ".mine.x.partial" / "1.jpg"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"1")
    download("yours", mine, folder=tmp_path / "out")
    assert leftover.is_file()


def test_a_run_that_was_killed_is_not_waited_for(tmp_path, mine, another_run):
    another_run.kill()
    another_run.wait()
    assert download("mine", mine, folder=tmp_path / "out").num_files == 1


def test_every_kind_that_params_yaml_may_name_can_be_downloaded():
    assert list(SOURCE_KINDS) == [
        field.name for field in fields(Source) if field.name not in ("kind", "format", "boxes")
    ]
