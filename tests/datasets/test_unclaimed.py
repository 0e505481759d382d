"""Every file of a source is in the index, is excluded with a reason, or is counted: files in = files accounted for."""

import io
import tempfile
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from factories import ingest_settings, label_settings, merge_settings
from tandem.datasets.examples import SourceAnnotations
from tandem.datasets.formats.registry import read_annotations
from tandem.datasets.ingest import ingest
from tandem.datasets.labels import label_map
from tandem.datasets.merge import Merged, merge, merged_in_words
from tandem.datasets.unclaimed import others_in_words, unclaimed_files
from tandem.errors import DataError
from tandem.sources.settings import BoxPolicy
from tandem.tables.index import Excluded

LABELS = label_map(label_settings({"car": [], "truck": []}, ignore=["labels", ".hidden"]))


def image(color: str = "navy", format: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), color).save(buffer, format)
    return buffer.getvalue()


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in names:
            file.writestr(name, "x")
    return buffer.getvalue()


def plant(root: Path, contents: dict[str, bytes]) -> Path:
    root.mkdir(exist_ok=True)
    for name, data in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def merged_from(root: Path, folder: Path) -> Merged:
    source = SourceAnnotations(root, read_annotations(root, format="auto"), BoxPolicy("crop", 0.0, 8))
    folder.mkdir(exist_ok=True)
    ingested = ingest("yard", source, ingest_settings(), folder=folder, workers=1)
    return merge({"yard": ingested}, LABELS, merge_settings(max_corrupt_fraction=1.0))


def accounted(merged: Merged) -> tuple[set[str], int]:
    """The files that are named in the index or among what is excluded, and the number of the others."""
    named = {origin.path for origins in merged.index.origins for origin in origins}
    return named | {each.path for each in merged.excluded}, merged.others.total()


def test_what_no_annotation_names_is_listed_by_what_it_is(tmp_path: Path) -> None:
    root = plant(
        tmp_path / "yard",
        {
            "a.png": image(),
            "b.png": image(),
            "sub/.c.png": image(),
            "d.bin": image(format="JPEG"),
            "e.psd": b"8BPS\0\1",
            "test.zip": zipped("t/1.jpg", "t/2.JPG", "labels.csv"),
            "model.pth": zipped("data.pkl"),
            "more.tar.gz": b"?",
            "labels.csv": b"id,label",
            "Readme": b"words",
            "x.csv": b"",
        },
    )
    found = unclaimed_files("yard", root, {"a.png"})
    unnamed, unread = "no annotation of the source names it", "an image of a format that is not read"
    not_opened = "which is not opened; unpack it and name the folder as a source"
    assert found.excluded == (
        Excluded("yard", "b.png", "", "unlisted", unnamed),
        Excluded("yard", "d.bin", "", "unlisted", unnamed),
        Excluded("yard", "e.psd", "", "unread_format", f"{unread} (PSD); convert it to PNG"),
        Excluded("yard", "more.tar.gz", "", "nested_archive", f"files lie in more.tar.gz, {not_opened}"),
        Excluded("yard", "sub/.c.png", "", "unlisted", "no annotation of the source names it: it is a hidden file"),
        Excluded("yard", "test.zip", "", "nested_archive", f"2 images lie in test.zip, {not_opened}"),
    )
    assert found.others == {".csv": 2, ".pth": 1, "no suffix": 1}


def test_others_are_said_in_one_clause() -> None:
    assert others_in_words(Counter()) == ""
    assert others_in_words(Counter({".md": 1})) == "1 other file (1 .md)"
    assert others_in_words(Counter({".md": 1, ".txt": 3})) == "4 other files (3 .txt, 1 .md)"


def test_a_merge_says_what_lies_beside_the_images(tmp_path: Path) -> None:
    contents = {"car/1.png": image(), "car/.2.png": image("red"), "README.md": b"", "test.zip": zipped("1.jpg")}
    merged = merged_from(plant(tmp_path / "yard", contents), tmp_path / "images")
    assert merged_in_words(merged) == (
        "1 files, 1 different images; 1 other file (1 .md); 1 unlisted images; "
        "1 image lies in test.zip, which is not opened"
    )


def test_a_source_of_archives_alone_says_so(tmp_path: Path) -> None:
    root = plant(tmp_path / "yard", {"train.zip": zipped("car/1.jpg", "car/2.jpg"), "sample.csv": b"id"})
    with pytest.raises(
        DataError, match=r"it holds sample.csv, train.zip; 2 images lie in train.zip, which is not opened"
    ):
        read_annotations(root, format="auto")


@pytest.mark.parametrize("name", ["1.ppm", "1.PGM", "1.jp2", "1.tga", "1.jpg_large", "1.jpg.1", "1", "1.bin", "1.JPEG"])
def test_an_image_in_a_class_folder_is_used_whatever_its_suffix(tmp_path: Path, name: str) -> None:
    formats = {"1.ppm": "PPM", "1.PGM": "PPM", "1.jp2": "JPEG2000", "1.tga": "TGA"}
    root = plant(tmp_path / "yard", {f"car/{name}": image(format=formats.get(name, "JPEG"))})
    merged = merged_from(root, tmp_path / "images")
    assert [origins[0].path for origins in merged.index.origins] == [f"car/{name}"]
    assert (merged.excluded, merged.others) == ((), {})


CONTENTS = {
    "image": image(),
    "photo": image("red", "JPEG"),
    "ppm": image("green", "PPM"),
    "cut": image("white", "JPEG")[:-300],
    "empty": b"",
    "text": b"0 0.5 0.5 0.4 0.4\n",
    "pointer": b"version https://git-lfs.github.com/spec/v1\n",
    "psd": b"8BPS\0\1",
    "zip": zipped("1.jpg", "2.txt"),
}
FOLDERS = ("", "car/", "truck/", "train/car/", "images/", "images/car/", "labels/", "car/.hidden/", "train/")
NAMES = ("1", "2.jpg", "3.PNG", "4.ppm", "5.jpg.1", "6.jpg_large", "7.txt", "8.zip", "9.json", ".10.jpg", "README")
PATHS = st.builds(str.__add__, st.sampled_from(FOLDERS), st.sampled_from(NAMES))
FILES = st.dictionaries(PATHS, st.sampled_from(sorted(CONTENTS)), max_size=12)


@settings(max_examples=40, deadline=None)
@given(FILES, st.booleans())
def test_files_in_are_files_accounted_for(tree: dict[str, str], is_yolo: bool) -> None:
    contents = {"car/0.png": image("black")} | {name: CONTENTS[kind] for name, kind in tree.items()}
    if is_yolo:
        yolo = {"data.yaml": b"names: [car, truck]", "images/0.png": image("gray"), "labels/0.txt": CONTENTS["text"]}
        contents = yolo | {name: data for name, data in contents.items() if name not in ("labels/1", "labels/2.jpg")}
    with tempfile.TemporaryDirectory() as folder:
        root = plant(Path(folder) / "yard", contents)
        try:
            merged = merged_from(root, Path(folder) / "images")
        except DataError as error:
            assert str(root) in str(error)  # one file that cannot be read is named, and nothing is written
            return
    named, num_others = accounted(merged)
    assert named <= set(contents)
    assert len(named) + num_others == len(contents)
