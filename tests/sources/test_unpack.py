"""Hostile and corrupt archives, built byte by byte: each is refused by name, and nothing leaves the target."""

import contextlib
import gzip
import io
import os
import random
import resource
import stat
import struct
import subprocess
import sys
import tarfile
import warnings
import zipfile
from pathlib import Path

import pytest

from tandem.errors import SourceError
from tandem.sources.unpacking.unpack import unpack

KINDS = ("zip", "tar", "tar.gz", "tar.bz2", "tar.xz")
NOISE = random.Random(5).randbytes(3000)


def make_zip(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of duplicate names
        for name, data in members.items():
            file.writestr(name, data)
    return path


def make_tar(path: Path, members: dict[str, bytes], compression: str = "") -> Path:
    with tarfile.open(path, f"w:{compression}") as file:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return path


def make(path: Path, members: dict[str, bytes], kind: str) -> Path:
    return make_zip(path, members) if kind == "zip" else make_tar(path, members, kind.partition(".")[2])


def special_tar(path: Path, name: str, kind: bytes, link: str = "") -> Path:
    with tarfile.open(path, "w") as file:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        file.addfile(info)
    return path


def special_zip(path: Path, name: str, mode: int) -> Path:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (mode | 0o777) << 16
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(info, "/etc/passwd")
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(archive: Path, message: str, **limits: float) -> None:
    target = archive.parent / "deep" / "target"
    target.mkdir(parents=True)
    with pytest.raises(SourceError, match=message) as caught:
        unpack(archive, target, **limits)
    assert str(archive) in str(caught.value)
    outside = {path for path in archive.parent.rglob("*") if not path.is_relative_to(target)}
    assert outside == {archive, target.parent}
    assert not any(path.is_symlink() for path in target.rglob("*"))


@pytest.mark.parametrize("kind", KINDS)
def test_content_not_name_decides_the_type_and_litter_stays_behind_and_is_counted(tmp_path: Path, kind: str) -> None:
    good = {"train/Car/ä (1).jpg": NOISE, "./train/empty": b"", "a//b.txt": b"b"}
    litter = ("__MACOSX/train/._1.jpg", "__MACOSX/._2.jpg", "train/.DS_Store", "train/._x.jpg", "repo/.git/HEAD")
    of_dvc = ("repo/.dvc/config", "repo/.dvcignore", "repo/a.dvc", "repo/b.dvc", "./dvc.yaml")
    archive = make(tmp_path / "served", {**good, **dict.fromkeys((*litter, *of_dvc), b"x")}, kind)
    target = tmp_path / "target"
    target.mkdir()
    left_out = unpack(archive, target)
    assert contents(target) == {"train/Car/ä (1).jpg": NOISE, "train/empty": b"", "a/b.txt": b"b"}
    files = dict.fromkeys((".DS_Store", "._x.jpg", ".dvcignore", "a.dvc", "b.dvc", "dvc.yaml"), 1)
    assert left_out == {"__MACOSX/": 2, ".git/": 1, ".dvc/": 1, **files}


def test_old_zip_names_without_the_utf8_flag_are_read_as_zipfile_reads_them(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"aXb.txt": b"1"})
    archive.write_bytes(archive.read_bytes().replace(b"aXb.txt", b"a\x84b.txt"))
    (tmp_path / "target").mkdir()
    unpack(archive, tmp_path / "target")
    assert contents(tmp_path / "target") == {"aäb.txt": b"1"}


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../evil.txt", r"member '\.\./evil\.txt' points outside the folder by '\.\.'"),
        ("a/../../evil.txt", r"member 'a/\.\./\.\./evil\.txt' points outside"),
        ("/evil.txt", "member '/evil.txt' has an absolute path"),
        ("C:/evil.txt", "member 'C:/evil.txt' has an absolute path"),
        ("..\\evil.txt", "has a backslash in its name"),
    ],
)
def test_members_outside_the_folder_are_refused(tmp_path: Path, kind: str, name: str, message: str) -> None:
    refused(make(tmp_path / "a", {name: b"evil"}, kind), message)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a" * 5000 + ".jpg", r"member 'a{100}\.\.\.' has a name of 5004 bytes, above 255"),
        ("ä" * 128, "has a name of 256 bytes, above 255"),
        ("/".join(["a" * 200] * 30), r"has a path of 6029 bytes, above 2048"),
    ],
)
def test_names_that_no_disk_takes_are_refused(tmp_path: Path, kind: str, name: str, message: str) -> None:
    refused(make(tmp_path / "a", {name: b"1"}, kind), message)


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_name_is_refused(tmp_path: Path, kind: str) -> None:
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "a", "w") as file:
            file.writestr(zipfile.ZipInfo(""), b"2")
    else:
        make(tmp_path / "a", {"1.jpg": b"1", "": b"2"}, kind)
    refused(tmp_path / "a", "member '' has no name")


def test_a_pointer_of_git_lfs_says_how_to_get_the_archive(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n")
    refused(tmp_path / "a.zip", r"is a pointer of Git LFS, not the archive itself; run `git lfs pull`")


def test_a_file_without_a_name_is_refused(tmp_path: Path) -> None:
    refused(make_tar(tmp_path / "a.tar", {".": b"evil"}), r"member '\.' has no name")


def test_a_folder_outside_is_refused_too(tmp_path: Path) -> None:
    refused(make_zip(tmp_path / "a.zip", {"../evil/": b""}), r"member '\.\./evil/' points outside")


def test_a_nul_byte_in_a_name_is_refused(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"a.jpgX.exe": b"1"})
    archive.write_bytes(archive.read_bytes().replace(b"a.jpgX.exe", b"a.jpg\0.exe"))
    refused(archive, r"member 'a\.jpg\\x00\.exe' has a NUL byte")


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "a.tar", {"caf\udce9.jpg": b"1"})
    refused(archive, r"member 'caf\\udce9\.jpg' has a name that is not UTF-8")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (tarfile.SYMTYPE, "member 'a/link' is a symbolic link to '/etc/passwd'"),
        (tarfile.LNKTYPE, "member 'a/link' is a hard link to '/etc/passwd'"),
        (tarfile.CHRTYPE, "member 'a/link' is a device"),
        (tarfile.BLKTYPE, "member 'a/link' is a device"),
        (tarfile.FIFOTYPE, "member 'a/link' is a device or another special file"),
    ],
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes, message: str) -> None:
    refused(special_tar(tmp_path / "a.tar", "a/link", kind, "/etc/passwd"), message)


def test_a_link_that_tar_itself_stored_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to("/etc")
    folder = tmp_path / "folder"
    folder.mkdir()
    with tarfile.open(folder / "a.tar.gz", "w:gz") as file:
        file.add(tmp_path / "tree", "tree")
    refused(folder / "a.tar.gz", "member 'tree/link' is a symbolic link to '/etc'")


@pytest.mark.parametrize(
    ("mode", "message"),
    [(stat.S_IFLNK, "member 'link' is a symbolic link"), (stat.S_IFCHR, "member 'link' is a device")],
)
def test_links_and_devices_in_a_zip_are_refused(tmp_path: Path, mode: int, message: str) -> None:
    refused(special_zip(tmp_path / "a.zip", "link", mode), message)


def test_a_folder_by_mode_alone_is_a_folder(tmp_path: Path) -> None:
    archive = special_zip(tmp_path / "a.zip", "folder", stat.S_IFDIR)
    refused(archive, "holds no files")


def test_encrypted_members_are_refused(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"secret.jpg": b"1"})
    data = bytearray(archive.read_bytes())
    data[6] |= 1  # the flags of the local header
    data[data.index(b"PK\x01\x02") + 8] |= 1  # and of the central one
    archive.write_bytes(data)
    refused(archive, r"member 'secret\.jpg' is encrypted")


def test_a_compression_that_python_lacks_is_refused(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"large.jpg": b"1"})
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\x01\x02") + 10] = 9  # deflate64, as Windows writes for large files
    archive.write_bytes(data)
    refused(archive, r"member 'large\.jpg' is compressed by method 9")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("twin", ["car/1.JPG", "Car/./1.jpg", "Cär/1.jpg"])
def test_names_that_fall_together_are_refused(tmp_path: Path, kind: str, twin: str) -> None:
    first = "Ca\u0308r/1.jpg" if "ä" in twin else "Car/1.jpg"
    refused(make(tmp_path / "a", {first: b"1", twin: b"2"}, kind), f"member {twin!r} is there twice")


def test_a_name_that_is_file_and_folder_is_refused(tmp_path: Path) -> None:
    refused(make_zip(tmp_path / "a.zip", {"a": b"1", "a/b": b"2"}), r"cannot be unpacked into .*target: .*/a")


@pytest.mark.parametrize("kind", KINDS)
def test_more_files_than_allowed_are_refused(tmp_path: Path, kind: str) -> None:
    members = {f"{number}.txt": b"" for number in range(4)}
    refused(make(tmp_path / "a", members, kind), r"member '3\.txt' is one more than the 3 allowed", max_files=3)


@pytest.mark.parametrize("kind", KINDS)
def test_more_bytes_than_allowed_are_refused(tmp_path: Path, kind: str) -> None:
    archive = make(tmp_path / "a", {"1.bin": b"1" * 800, "2.bin": b"2" * 300}, kind)
    refused(archive, r"member '2\.bin' brings the archive above 1000 bytes", max_bytes=1000)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_bomb_is_refused_while_it_swells(tmp_path: Path, kind: str) -> None:
    archive = make(tmp_path / "a", {"zeros.bin": bytes(72 << 20)}, kind)
    refused(archive, r"member 'zeros\.bin' swells to \d{3,} times the archive's size, above 200")


def test_small_files_may_swell(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"zeros.bin": bytes(1 << 20)})
    (tmp_path / "target").mkdir()
    unpack(archive, tmp_path / "target")
    assert (tmp_path / "target" / "zeros.bin").stat().st_size == 1 << 20


def test_a_tail_that_swells_is_refused(tmp_path: Path) -> None:
    plain = make_tar(tmp_path / "plain", {"1.bin": b"1"}).read_bytes()
    (tmp_path / "plain").unlink()
    (tmp_path / "a.tgz").write_bytes(gzip.compress(plain + bytes(70 << 20), 1))
    refused(tmp_path / "a.tgz", r"member '\(after the last member\)' swells")


def test_a_header_of_any_length_is_not_read_into_memory(tmp_path: Path) -> None:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 1 << 30
    (tmp_path / "a.tar").write_bytes(make_tar(tmp_path / "a.tar", {"a": b""}).read_bytes()[:512] + info.tobuf())
    refused(tmp_path / "a.tar", "a header of 1073741824 bytes")


@pytest.mark.parametrize("kind", KINDS)
def test_no_truncated_archive_passes(tmp_path: Path, kind: str) -> None:
    whole = make(tmp_path / "whole", {"1.bin": NOISE, "2.bin": NOISE[:700]}, kind).read_bytes()
    end = 512 + 3072 + 512 + 1024 if kind == "tar" else len(whole)  # a tar is padded with blocks that say nothing
    for number, cut in enumerate([*range(1, end, 97), end - 1]):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "cut").write_bytes(whole[:cut])
        refused(folder / "cut", "corrupt or incomplete|is no zip or tar archive")


@pytest.mark.parametrize("kind", KINDS)
def test_no_archive_with_a_tail_of_zeros_passes(tmp_path: Path, kind: str) -> None:
    members = {f"{number}.bin": NOISE[number : number + 1700] for number in range(20)}
    whole = make(tmp_path / "whole", members, kind).read_bytes()
    # what is lost in the last record of a tar looks like its padding
    end = 20 * (512 + 2048) - 10_240 if kind == "tar" else len(whole.rstrip(b"\0"))
    for number, cut in enumerate([*range(1, end, len(whole) // 40), end - 1]):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "cut").write_bytes(whole[:cut] + bytes(len(whole) - cut))
        refused(folder / "cut", "corrupt or incomplete|is no zip or tar archive|get it again")


def test_a_tar_that_ends_too_early_says_where(tmp_path: Path) -> None:
    members = {f"{number}.bin": NOISE[:512] for number in range(20)}
    data = make_tar(tmp_path / "a.tar", members).read_bytes()
    (tmp_path / "a.tar").write_bytes(data[: 11 * 1024] + bytes(len(data) - 11 * 1024))
    refused(tmp_path / "a.tar", r"\(19456 zeros follow its last member at byte 11264, where others may have been\)")


@pytest.mark.parametrize("hole", [512, 1024, 5000])
def test_a_hole_of_zeros_in_a_tar_does_not_end_it_in_silence(tmp_path: Path, hole: int) -> None:
    archive = make_tar(tmp_path / "a.tar", {f"{number}.bin": NOISE[:512] for number in range(20)})
    data = archive.read_bytes()
    archive.write_bytes(data[:4096] + bytes(hole) + data[4096 + hole :])
    refused(archive, "more data follows its end at byte 4096|bad checksum")


def test_two_tars_in_one_file_are_refused(tmp_path: Path) -> None:
    data = make_tar(tmp_path / "a.tar", {"1.bin": b"1"}).read_bytes()
    (tmp_path / "a.tar").write_bytes(data + data)
    refused(tmp_path / "a.tar", "more data follows its end")


@pytest.mark.parametrize("padded_to", [512, 1024, 10_240, 1 << 16, 1 << 20])
def test_the_padding_of_a_tar_is_no_damage(tmp_path: Path, padded_to: int) -> None:
    data = make_tar(tmp_path / "a.tar", {"1.bin": NOISE}).read_bytes()[: 512 + 3072]
    length = len(data) + (padded_to if padded_to <= 1024 else 1024)
    length += -length % padded_to if padded_to >= 10_240 else 0
    (tmp_path / "a.tar").write_bytes(data + bytes(length - len(data)))
    (tmp_path / "target").mkdir()
    unpack(tmp_path / "a.tar", tmp_path / "target")
    assert contents(tmp_path / "target") == {"1.bin": NOISE}


def test_a_corrupt_header_does_not_end_a_tar_in_silence(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "a.tar", {"1.bin": b"1", "2.bin": b"2", "3.bin": b"3"})
    data = bytearray(archive.read_bytes())
    data[1024] ^= 1  # in the name of the second member
    archive.write_bytes(data)
    refused(archive, r"its list of members cannot be read \(bad checksum at byte 1024\)")


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_gives_one_kind_of_error_or_none(tmp_path: Path, kind: str) -> None:
    whole = make(tmp_path / "whole", {"a/1.bin": NOISE[:900], "2.bin": b"2"}, kind).read_bytes()
    rng = random.Random(7)
    for number in range(150):
        target = tmp_path / str(number) / "target"
        target.mkdir(parents=True)
        data = bytearray(whole)
        data[rng.randrange(min(len(data), 4000))] ^= 1 << rng.randrange(8)
        (target.parent / "a").write_bytes(data)
        with contextlib.suppress(SourceError):
            unpack(target.parent / "a", target)
        assert {path.name for path in target.parent.iterdir()} == {"a", "target"}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_wrong_checksum_in_a_zip_is_refused(tmp_path: Path, method: int) -> None:
    archive = make_zip(tmp_path / "a.zip", {"1.jpg": NOISE}, method)
    data = bytearray(archive.read_bytes())
    data[1500] ^= 1
    archive.write_bytes(data)
    refused(archive, r"member '1\.jpg' cannot be read \((Bad CRC-32|Error -3)")


def test_a_wrong_checksum_at_the_end_of_a_stream_is_refused(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "a.tgz", {"1.jpg": NOISE}, "gz")
    data = archive.read_bytes()
    archive.write_bytes(data[:-8] + struct.pack("<I", 1) + data[-4:])
    refused(archive, "CRC check failed")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"<!DOCTYPE html><title>Sign in", r"is no zip or tar archive \(it begins with b'<!DOCTYPE html>"),
        (b"", r"is no zip or tar archive \(it begins with b''\)"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), "is no zip or tar archive"),
    ],
)
def test_what_is_no_archive_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "a.zip").write_bytes(data)
    refused(tmp_path / "a.zip", message)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("members", [{}, {"__MACOSX/._1.jpg": b"1"}])
def test_an_archive_without_files_is_refused(tmp_path: Path, kind: str, members: dict[str, bytes]) -> None:
    refused(make(tmp_path / "a", members, kind), "holds no files")


def test_an_archive_of_litter_alone_says_so(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {".cache/car/1.jpg": b"1", ".cache/car/2.jpg": b"1"})
    refused(archive, r"holds no files \(2 files are left out as litter \(2 of \.cache/\)\); get it again")


def test_a_missing_archive_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none\.zip: it cannot be read \(.*No such file"):
        unpack(tmp_path / "none.zip", tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_is_named_with_what_is_needed(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        archive = make_zip(tmp_path / "a.zip", {"1.bin": bytes(40_000), "2.bin": bytes(60_000)})
        with pytest.raises(
            SourceError, match=r"/disk: No space left on device \(100000 bytes are needed, \d+ are free"
        ):
            unpack(archive, disk)
        for path in disk.iterdir():
            path.unlink()
        archive = make_tar(tmp_path / "a.tar", {"1.bin": bytes(100_000)})
        with pytest.raises(SourceError, match=r"No space left on device \(how much it needs is not known"):
            unpack(archive, disk)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_limit_on_file_size_is_named(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"1.bin": bytes(100_000)})
    (tmp_path / "target").mkdir()
    code = (
        "import sys; from pathlib import Path; from tandem.sources.unpacking.unpack import unpack;"
        "unpack(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    child = subprocess.run(
        [sys.executable, "-c", code, archive, tmp_path / "target"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "SourceError" in child.stderr
    assert "target: File too large (100000 bytes are needed" in child.stderr
