"""Shards, read again by tarfile and at the places that the writer states."""

import tarfile
from pathlib import Path

from tandem.images.shards import Place, ShardWriter

FILES = {f"{number:032x}.jpg": bytes([number]) * size for number, size in enumerate((1, 511, 512, 513, 4000, 0, 7))}


def write(folder: Path, *, shard_bytes: int) -> dict[str, Place]:
    folder.mkdir()
    with ShardWriter(folder, shard_bytes=shard_bytes) as shards:
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
    with ShardWriter(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []
