"""Images in a copy of the shards, in fsspec's own memory: what is read is what was stored, or an error says so."""

from hashlib import sha256
from pathlib import Path

import fsspec
import pytest

from tandem.errors import DataError, ParamsError
from tandem.tables.copied import images_at
from tandem.tables.stored import StoredImage, StoredImages

STORED = StoredImages.of(
    [
        StoredImage("a" * 32, "yard/images-00000.tar", 4, 3, sha256(b"abc").hexdigest()),
        StoredImage("b" * 32, "yard/images-00000.tar", 7, 2, sha256(b"de").hexdigest()),
    ]
)


def copy(data: bytes, name: str) -> str:
    url = f"memory://{name}"
    with fsspec.open(f"{url}/yard/images-00000.tar", "wb") as file:
        file.write(data)
    return url


def test_a_range_of_the_copy_is_an_image(tmp_path: Path) -> None:
    url = copy(b"----abcde----", "whole")
    first, second = images_at(STORED, f"{url}/", folder=tmp_path)
    assert (first.read_bytes(), second.read_bytes()) == (b"abc", b"de")
    assert str(second) == "memory://whole/yard/images-00000.tar at byte 7"


def test_without_an_address_it_is_the_folder(tmp_path: Path) -> None:
    (tmp_path / "yard").mkdir()
    (tmp_path / "yard/images-00000.tar").write_bytes(b"----abcde----")
    assert [image.read_bytes() for image in images_at(STORED, None, folder=tmp_path)] == [b"abc", b"de"]


@pytest.mark.parametrize("data", [b"----abXde----", b"----ab", b""], ids=["changed", "cut", "empty"])
def test_a_copy_of_other_shards_is_said_to_be_one(data: bytes, tmp_path: Path) -> None:
    url = copy(data, "other")
    with pytest.raises(
        DataError, match=r"memory://other/yard/images-00000\.tar at byte 4 is not what ingest stored; copy"
    ):
        images_at(STORED, url, folder=tmp_path)[0].read_bytes()


def test_a_copy_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"memory://nowhere/yard/images-00000\.tar at byte 4 cannot be read \(.*copy the"
    ):
        images_at(STORED, "memory://nowhere", folder=tmp_path)[0].read_bytes()


def test_an_address_of_an_unknown_kind_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"runtime\.shards is 'gopher://a/b', which cannot be read \(.*gopher"):
        images_at(STORED, "gopher://a/b", folder=tmp_path)
