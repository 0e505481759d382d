"""The table of stored images: what it refuses, and the bytes that are read by it."""

from pathlib import Path

import numpy as np
import pytest

from tandem.errors import DamagedFileError, DataError
from tandem.tables.stored import StoredImage, StoredImages, load_stored, save_stored

ROWS = (
    StoredImage("a" * 32, "yard/images-00000.tar", 512, 3, "1" * 64),
    StoredImage("b" * 32, "yard/images-00001.tar", 0, 2, "2" * 64),
)


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    save_stored(StoredImages.of(ROWS), tmp_path / "stored.csv")
    again = load_stored(tmp_path / "stored.csv")
    assert (again.ids, again.shards) == (("a" * 32, "b" * 32), ("yard/images-00000.tar", "yard/images-00001.tar"))
    assert (again.offsets.tolist(), again.num_bytes.tolist(), len(again)) == ([512, 0], [3, 2], 2)
    assert again.sha256 == ("1" * 64, "2" * 64)


def test_a_table_of_no_images_comes_back(tmp_path: Path) -> None:
    save_stored(StoredImages.of(()), tmp_path / "stored.csv")
    again = load_stored(tmp_path / "stored.csv")
    assert (len(again), again.offsets.dtype, again.num_bytes.dtype) == (0, np.int64, np.int64)


def test_an_image_is_a_part_of_its_shard(tmp_path: Path) -> None:
    (tmp_path / "yard").mkdir()
    (tmp_path / "yard/images-00000.tar").write_bytes(bytes(512) + b"abcd")
    (tmp_path / "yard/images-00001.tar").write_bytes(b"xyz")
    first, second = StoredImages.of(ROWS).packed(tmp_path)
    assert (first.read_bytes(), second.read_bytes()) == (b"abc", b"xy")
    assert str(first) == f"{tmp_path}/yard/images-00000.tar at byte 512"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (ROWS[::-1], "need unique ids, sorted; a+ follows b+"),
        ((ROWS[0], ROWS[0]), "need unique ids"),
        ((ROWS[0]._replace(id=""),), "needs an id and a shard"),
        ((ROWS[0]._replace(shard=""),), "needs an id and a shard"),
        ((ROWS[0]._replace(shard="/etc/passwd"),), "a shard below the images' folder, not '/etc/passwd'"),
        ((ROWS[0]._replace(shard="yard/../../x"),), "a shard below the images' folder"),
        ((ROWS[0]._replace(offset=-1),), "begins at a byte of its shard"),
        ((ROWS[0]._replace(num_bytes=0),), "has at least one"),
        ((ROWS[0]._replace(sha256=""),), "needs the sha256"),
    ],
)
def test_places_that_cannot_be_are_refused_when_made_and_when_read(
    rows: tuple[StoredImage, ...], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        StoredImages.of(rows)
    lines = [",".join(map(str, row)) for row in rows]
    (tmp_path / "stored.csv").write_text("\n".join(["id,shard,offset,num_bytes,sha256", *lines, ""]))
    with pytest.raises(DamagedFileError, match=message):
        load_stored(tmp_path / "stored.csv")


def test_columns_of_other_lengths_are_refused() -> None:
    whole = StoredImages.of(ROWS)
    with pytest.raises(DataError, match="not equally long"):
        StoredImages(whole.ids, whole.shards, whole.offsets[:1], whole.num_bytes, whole.sha256)
