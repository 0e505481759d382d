"""Local archives and folders: what is planted comes out, what is wrong is named, what the user has stays as it is."""

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

from tandem import files
from tandem.errors import SourceError
from tandem.sources import archive
from tandem.sources.receipts import Fetched
from tandem.sources.settings import ArchiveSource

TREE = {"Car/1.jpg": b"car", "Truck/2.jpg": b"truck"}


def plant(root: Path) -> Path:
    for name, data in TREE.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def plant_zip(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, data in TREE.items():
            file.writestr(name, data)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return plant(tmp_path / "mine")


@pytest.fixture
def zipped(tmp_path: Path) -> Path:
    return plant_zip(tmp_path / "mine.zip")


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def fetch(target: Path, path: Path, sha256: str | None = None) -> Fetched:
    return archive.fetch(target, ArchiveSource(str(path), sha256))


def leftovers(folder: Path) -> list[Path]:
    return list(folder.glob(".*partial"))


def test_an_archive_is_unpacked_and_named_by_its_bytes(tmp_path: Path, zipped: Path) -> None:
    digest = files.sha256(zipped)
    fetched = fetch(tmp_path / "out", zipped, digest.upper())
    assert contents(tmp_path / "out") == TREE
    assert fetched == Fetched(what=zipped.as_posix(), version="", sha256=digest)


def test_a_folder_is_copied_and_named_by_its_files(tmp_path: Path, folder: Path) -> None:
    digest = files.dir_sha256(folder)
    (folder / ".DS_Store").write_bytes(b"junk that comes and goes")
    fetched = fetch(tmp_path / "out", folder, digest)
    assert contents(tmp_path / "out") == TREE
    assert fetched == Fetched(what=folder.as_posix(), version="", sha256=digest, left_out={".DS_Store": 1})


def test_what_git_and_dvc_obey_stays_behind_whole_and_is_counted(tmp_path: Path, folder: Path) -> None:
    digest = files.dir_sha256(folder)
    hidden = (".git/objects/ab/1", ".git/HEAD", ".dvc/config", ".dvcignore", "Car/.gitignore")
    for name in (*hidden, "Car.dvc", "dvc.yaml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    (folder / ".git" / "link").symlink_to("nowhere")  # no member of ours, so no reason to refuse the folder
    fetched = fetch(tmp_path / "out", folder, digest)
    assert contents(tmp_path / "out") == TREE
    names = (".dvcignore", ".gitignore", "Car.dvc", "dvc.yaml")
    assert fetched.left_out == {".git/": 3, ".dvc/": 1, **dict.fromkeys(names, 1)}


def test_a_folder_of_litter_alone_says_so(tmp_path: Path) -> None:
    plant(tmp_path / "mine" / ".cache")
    with pytest.raises(SourceError, match=r"mine holds no files \(2 files are left out as litter \(2 of \.cache/\)\)"):
        fetch(tmp_path / "out", tmp_path / "mine")


def test_a_change_of_what_was_fetched_leaves_the_users_file_alone(tmp_path: Path, folder: Path) -> None:
    fetch(tmp_path / "out", folder)
    published = tmp_path / "out" / "Car" / "1.jpg"
    assert published.stat().st_ino != (folder / "Car" / "1.jpg").stat().st_ino
    published.write_bytes(b"changed")
    assert contents(folder) == TREE


def test_a_new_fetch_leaves_no_stale_file(tmp_path: Path, folder: Path) -> None:
    fetch(tmp_path / "out", folder)
    (folder / "Car" / "1.jpg").unlink()
    fetch(tmp_path / "out", folder)
    assert set(contents(tmp_path / "out")) == {"Truck/2.jpg"}


def test_a_tilde_is_the_users_home(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert fetch(tmp_path / "out", Path(f"~/{folder.name}")).what == "~/mine"
    assert contents(tmp_path / "out") == TREE
    assert archive.check("yard", ArchiveSource(f"~/{folder.name}")).is_available
    with pytest.raises(SourceError, match=rf"there is no file or folder {tmp_path}/none\.zip"):
        fetch(tmp_path / "out", Path("~/none.zip"))
    with pytest.raises(SourceError, match=r"there is no file or folder .*/~nobody\.of\.this\.name/a\.zip"):
        fetch(tmp_path / "out", Path("~nobody.of.this.name/a.zip"))


def test_a_missing_path_is_named_in_full(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=rf"there is no file or folder {tmp_path}/none\.zip; put it there"):
        fetch(tmp_path / "out", tmp_path / "none.zip")


@pytest.mark.parametrize("kind", ["folder", "zipped"])
def test_another_digest_is_refused_and_the_old_target_stays(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    path: Path = request.getfixturevalue(kind)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_bytes(b"old")
    found = files.sha256(path) if path.is_file() else files.dir_sha256(path)
    with pytest.raises(SourceError, match=f"{path} has sha256 {found}, but {'0' * 64} is expected; get the right"):
        fetch(tmp_path / "out", path, "0" * 64)
    assert contents(tmp_path / "out") == {"old": b"old"}
    assert not leftovers(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty" / "Car").mkdir(parents=True)
    with pytest.raises(SourceError, match=r"folder .*/empty holds no files"):
        fetch(tmp_path / "out", tmp_path / "empty")


def test_an_empty_archive_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    with pytest.raises(SourceError, match=r"empty\.zip holds no files"):
        fetch(tmp_path / "out", tmp_path / "empty.zip")
    assert not (tmp_path / "out").exists()
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("aim", ["/etc/hostname", "/etc", "Car/1.jpg", "nowhere"])
def test_links_in_a_folder_are_refused(tmp_path: Path, folder: Path, aim: str) -> None:
    (folder / "Car" / "link.jpg").symlink_to(aim)
    with pytest.raises(SourceError, match=r"/mine: 'Car/link\.jpg' is a symbolic link; replace, .* it; `cp -rL`"):
        fetch(tmp_path / "out", folder)
    assert not (tmp_path / "out").exists()


def test_special_files_in_a_folder_are_refused(tmp_path: Path, folder: Path) -> None:
    os.mkfifo(folder / "Car" / "pipe.jpg")
    with pytest.raises(SourceError, match=r"'Car/pipe\.jpg' is a device or another special file"):
        fetch(tmp_path / "out", folder)


def test_a_name_that_no_table_can_hold_is_refused(tmp_path: Path, folder: Path) -> None:
    (folder / "Car" / "caf\udce9.jpg").write_bytes(b"1")
    with pytest.raises(SourceError, match=r"'Car/caf\\udce9\.jpg' has a name that is not UTF-8"):
        fetch(tmp_path / "out", folder)


def test_of_many_links_and_names_the_number_and_the_first_are_told(tmp_path: Path, folder: Path) -> None:
    for number in range(6):
        (folder / "Car" / f"link {number}.jpg").symlink_to("1.jpg")
    (folder / "Car" / "a\udce9.jpg").write_bytes(b"1")
    with pytest.raises(SourceError) as raised:
        fetch(tmp_path / "out", folder)
    assert str(raised.value).endswith(
        r"/mine: 7 entries are no files that can be taken: 'Car/a\udce9.jpg' has a name that is not UTF-8, "
        "'Car/link 0.jpg' is a symbolic link, 'Car/link 1.jpg' is a symbolic link, 'Car/link 2.jpg' is a symbolic link "
        "and 3 more; replace, rename or remove them; `cp -rL` copies a folder without links"
    )


def test_a_pipe_is_no_source(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="pipe is neither a file nor a folder"):
        fetch(tmp_path / "out", tmp_path / "pipe")


def test_a_target_inside_the_source_is_refused(folder: Path) -> None:
    with pytest.raises(SourceError, match=r"mine and .*/mine/out, where it is written to, lie in one another"):
        fetch(folder / "out", folder)


def test_a_source_inside_the_target_is_refused_and_survives(tmp_path: Path, zipped: Path) -> None:
    with pytest.raises(SourceError, match=r"mine\.zip and .* lie in one another"):
        fetch(tmp_path, zipped)
    assert zipped.is_file()


UNPRIVILEGED = """
import os, sys
from pathlib import Path
from tandem.errors import SourceError
from tandem.sources import archive
from tandem.sources.settings import ArchiveSource
try:
    os.setuid(65534)
    archive.fetch(Path(sys.argv[2]), ArchiveSource(sys.argv[1]))
except SourceError as error:
    print(error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody who may not read")
@pytest.mark.parametrize(
    ("closed", "path", "message"),
    [
        ("mine.zip", "mine.zip", "mine.zip cannot be read: Permission denied; check its permissions"),
        ("mine/Car", "mine", "mine/Car cannot be read: Permission denied; check its permissions"),
        ("mine/Car/1.jpg", "mine", "Car/1.jpg cannot be copied to "),
    ],
)
def test_what_may_not_be_read_is_named(closed: str, path: str, message: str) -> None:
    with tempfile.TemporaryDirectory() as name:  # not tmp_path, whose parents only root may enter
        folder = Path(name)
        folder.chmod(0o777)
        plant(folder / "mine")
        plant_zip(folder / "mine.zip")
        (folder / closed).chmod(0)
        command = [sys.executable, "-c", UNPRIVILEGED, folder / path, folder / "out"]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert message in ended.stdout, ended.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_is_named_with_what_is_needed(tmp_path: Path, folder: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    (folder / "large.bin").write_bytes(bytes(100_000))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        with pytest.raises(
            SourceError, match=r"large\.bin cannot be copied .*No space left .*\(100000 bytes are needed"
        ):
            fetch(disk / "out", folder)
        assert not any(disk.iterdir())
    finally:
        subprocess.run(["umount", disk], check=True)
