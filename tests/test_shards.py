"""Shards, read again by tarfile and at the places that the writer states."""

import os
import tarfile
from pathlib import Path

import pytest

from tandem.errors import DamagedFileError
from tandem.files import dir_sha256, list_files
from tandem.shards import Place, ShardWriter, pack, shards_sha256, unpack_shards, unpack_some

FILES = {f"{number:032x}.jpg": bytes([number]) * size for number, size in enumerate((1, 511, 512, 513, 4000, 0, 7))}


def write(folder: Path, *, shard_bytes: int) -> dict[str, Place]:
    folder.mkdir()
    with ShardWriter(folder, stem="images", shard_bytes=shard_bytes) as shards:
        return {name: shards.add(name, data) for name, data in FILES.items()}


def test_each_image_lies_where_its_place_says_and_any_tar_reader_finds_it(tmp_path: Path) -> None:
    places = write(tmp_path / "a", shard_bytes=3000)
    listed = {}
    for path in sorted((tmp_path / "a").iterdir()):
        with tarfile.open(path) as tar:
            listed |= {member.name: (path.name, member.offset_data, member.size) for member in tar}
    assert listed == {name: tuple(place) for name, place in places.items()}
    for name, (shard, offset, num_bytes) in places.items():
        assert (tmp_path / "a" / shard).read_bytes()[offset : offset + num_bytes] == FILES[name]


def test_a_shard_ends_with_the_image_that_makes_it_large_enough(tmp_path: Path) -> None:
    places = write(tmp_path / "a", shard_bytes=3000)
    # of header and data: 1024, 1024, 1024; then 1536, 4608; then the rest
    assert [place.shard for place in places.values()] == [
        f"images-0000{number}.tar" for number in (0, 0, 0, 1, 1, 2, 2)
    ]


def test_the_same_images_give_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        write(tmp_path / name, shard_bytes=3000)
    contents = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in "ab"]
    assert contents[0] == contents[1]


def test_no_image_gives_no_shard(tmp_path: Path) -> None:
    with ShardWriter(tmp_path, stem="images"):
        pass
    assert list(tmp_path.iterdir()) == []


TREE = {
    "a.txt": b"1",
    "b/é, ü.png": b"22",
    "b/" + "long " * 40 + ".png": b"333",
    "b-c/x": b"",
    os.fsdecode(b"b/latin-\xe9.png"): b"4444",
    "README.md": bytes(3000),
}


def plant(root: Path) -> Path:
    for name, data in TREE.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in list_files(folder)}


def test_a_folder_that_is_packed_and_unpacked_is_the_same(tmp_path: Path) -> None:
    tree, shards = plant(tmp_path / "tree"), tmp_path / "shards"
    shards.mkdir()
    pack(tree, shards, shard_bytes=3000)
    assert [path.name for path in sorted(shards.iterdir())] == ["files-00000.tar", "files-00001.tar", "files-00002.tar"]
    unpack_shards(shards, tmp_path / "again")
    assert contents(tmp_path / "again") == TREE
    assert shards_sha256(shards) == dir_sha256(tree)
    assert shards_sha256(shards, without=("README.md", "x")) == dir_sha256(tree, without=("README.md", "x"))
    names = {"a.txt", os.fsdecode(b"b/latin-\xe9.png"), "not there"}
    unpack_some(shards, names, tmp_path / "some")
    assert contents(tmp_path / "some").keys() == names - {"not there"}


def test_what_is_no_shard_is_named(tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    shards.mkdir()
    pack(plant(tmp_path / "tree"), shards)
    whole = (shards / "files-00000.tar").read_bytes()
    for damaged in (b"", b"words", whole[:700], b"x" + whole[1:]):
        (shards / "files-00000.tar").write_bytes(damaged)
        with pytest.raises(DamagedFileError, match=r"files-00000\.tar"):
            shards_sha256(shards)
        with pytest.raises(DamagedFileError, match=r"files-00000\.tar"):
            unpack_shards(shards, tmp_path / "again")
    (shards / "files-00000.tar").write_bytes(whole)
    (shards / "mine.txt").write_text("words")
    with pytest.raises(DamagedFileError, match=r"mine\.txt"):
        shards_sha256(shards)


@pytest.mark.parametrize("kind", ["outside", "absolute", "link"])
def test_a_shard_that_no_stage_has_packed_writes_nothing_elsewhere(kind: str, tmp_path: Path) -> None:
    member = tarfile.TarInfo({"outside": "../mine.txt", "absolute": f"{tmp_path}/mine.txt", "link": "mine.txt"}[kind])
    if kind == "link":
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
    (tmp_path / "shards").mkdir()
    with tarfile.open(tmp_path / "shards/files-00000.tar", "w") as tar:
        tar.addfile(member)
    with pytest.raises(DamagedFileError, match=r"files-00000\.tar cannot be read \(it holds '.*mine\.txt', which no"):
        unpack_shards(tmp_path / "shards", tmp_path / "unpacked/files")
    assert not list(tmp_path.rglob("mine.txt"))
