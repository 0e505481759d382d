"""What is kept of a source, written and read again; what cannot be is refused."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tandem.datasets.formats.annotations import Annotation, Box
from tandem.datasets.ingested import Found, Ingested, IngestedImage, load_ingested, quality_by_id, save_ingested
from tandem.datasets.unclaimed import Unclaimed
from tandem.errors import DamagedFileError, DataError
from tandem.tables.index import Excluded

BOX = Box(1 / 3, 0.1, 0.2, 2 / 7)  # in more digits than a table of floats keeps
IMAGE = IngestedImage("a" * 32, f"{'a' * 32}.jpg", 4000, 3000, "images-00000.tar", 512, 900, "3" * 64, 0.25, 0.5, 7.125)
WHOLE = Ingested(
    annotations=(
        Annotation("x, y.png", 'the "car"', BOX),
        Annotation("x, y.png", "truck", None, "empty_box", "x.txt, line 2: nothing of it lies in the image"),
        Annotation("é\n.png", "car"),
        Annotation("z.png", "", None, "", "no file of labels"),
    ),
    found={
        ("x, y.png", BOX): Found("1" * 64, IMAGE.id, "", ""),
        ("é\n.png", None): Found("2" * 64, "", "truncated", "it ends early"),
    },
    images=(IMAGE,),
    hashes=np.arange(256, dtype=np.uint8).reshape(1, 8, 32),
    unclaimed=Unclaimed((Excluded("yard", "more.zip", "", "nested_archive", "36 images"),), Counter({".txt": 2})),
)


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    save_ingested(WHOLE, tmp_path)
    again = load_ingested(tmp_path)
    assert again.annotations == WHOLE.annotations
    assert [each.detail for each in again.annotations] == [each.detail for each in WHOLE.annotations]
    assert (again.found, again.images, again.unclaimed) == (WHOLE.found, WHOLE.images, WHOLE.unclaimed)
    assert np.array_equal(again.hashes, WHOLE.hashes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hashes": np.zeros((2, 8, 32), np.uint8)}, "1 images need as many hashes"),
        ({"hashes": np.zeros((1, 8, 32), np.int64)}, "1 images need as many hashes"),
        ({"images": (), "hashes": np.zeros((0, 8, 32), np.uint8)}, "x, y.png needs a stored image or the reason"),
        (
            {"found": {**WHOLE.found, ("é\n.png", None): Found("2" * 64, "", "", "")}},
            "needs a stored image or the reas",
        ),
        ({"found": {("x, y.png", BOX): WHOLE.found["x, y.png", BOX]}}, "is labelled 'car', and was not looked at"),
    ],
)
def test_what_does_not_belong_together_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        replace(WHOLE, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", ["annotations.csv", "found.csv", "images.csv", "hashes.npy", "unclaimed.csv", "others.json"]
)
def test_a_damaged_file_is_named(name: str, tmp_path: Path) -> None:
    save_ingested(WHOLE, tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[: len((tmp_path / name).read_bytes()) // 2])
    with pytest.raises(DamagedFileError, match=name):
        load_ingested(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(DamagedFileError, match=name):
        load_ingested(tmp_path)


def test_quality_is_known_by_id_the_first_source_s_where_several_have_an_image() -> None:
    other = IMAGE._replace(width=90, height=300, blur=0.5)
    assert quality_by_id([*WHOLE.images, other]) == {
        "blur": {IMAGE.id: 0.25},
        "brightness": {IMAGE.id: 0.5},
        "entropy": {IMAGE.id: 7.125},
        "aspect_ratio": {IMAGE.id: 4 / 3},
    }
    assert quality_by_id([other])["aspect_ratio"] == {IMAGE.id: 300 / 90}
