"""The scripts of ingest and merge, one after the other: what one leaves the other reads, and what errors name."""

import io
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from planted_project import stage
from tandem.errors import DataError, UnknownLabelError
from tandem.files import read_csv, read_json
from tandem.shards import pack

ROOT = Path(__file__).parents[2]
BOXES = {"data.yaml": b"names: [car, truck, bus]\n", "labels/1.txt": b"1 0.5 0.5 0.5 0.5\n"}


def png(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sample's parameters; its two sources are what `downloaded` packs."""
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    (tmp_path / "data/check/code").mkdir(parents=True)
    (tmp_path / "data/check/code/ingest.txt").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def change(old: str, new: str) -> None:
    text = Path("params.yaml").read_text(encoding="utf-8")
    assert text.count(old) == 1
    Path("params.yaml").write_text(text.replace(old, new), encoding="utf-8")


def downloaded(source: str, contents: Mapping[str, bytes]) -> None:
    tree, shards = Path("tree") / source, Path("data/download/files") / source
    for name, data in contents.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(data)
    shards.mkdir(parents=True)
    pack(tree, shards)


def test_what_is_ingested_is_merged_and_nothing_of_it_is_left_unpacked() -> None:
    downloaded("snapshots", {"car/1.png": png(1), "truck/2.png": png(2), "bus/3.png": png(3), "notes.txt": b"x"})
    downloaded("exports", {"moto/4.png": png(4), "carro/1 again.png": png(1)})
    assert stage("ingest").main("snapshots") == "3 files, 3 different images"
    assert stage("ingest").main("exports") == "2 files, 2 different images"
    assert list(Path(".tandem/ingest").iterdir()) == []
    assert stage("merge").main() == "4 files, 3 different images; 1 other file (1 .txt)"
    index = read_csv(Path("data/merge/index.csv"))
    assert sorted(row["label"] for row in index) == ["car", "motorcycle", "truck"]
    assert [row["id"] for row in read_csv(Path("data/merge/stored.csv"))] == [row["id"] for row in index]
    assert read_json(Path("metrics/merge.json"))["byte_duplicates"] == 1


def test_an_error_in_a_file_names_one_that_is_there_to_be_looked_at() -> None:
    change("sample: {style: kaggle, seed: 7}\n    format: auto", "sample: {style: kaggle, seed: 7}\n    format: yolo")
    downloaded("snapshots", {**BOXES, "images/1.png": png(1), "labels/1.txt": b"1 20 20 10 10\n"})
    with pytest.raises(DataError) as caught:
        stage("ingest").main("snapshots")
    named = re.search(r"(\S+/labels/1\.txt), line 1", str(caught.value))
    assert named
    assert Path(named[1]).read_bytes() == b"1 20 20 10 10\n"
    assert not Path("data/ingest/snapshots").exists()


def test_a_label_without_a_class_is_told_before_an_image_is_decoded() -> None:
    downloaded("snapshots", {"lorry/1.png": b"no image", "car/2.png": b"neither"})
    with pytest.raises(UnknownLabelError, match=r"snapshots has label 'lorry' \(1 image\)"):
        stage("ingest").main("snapshots")


def test_the_unpacked_files_of_a_killed_run_are_no_part_of_the_next_one() -> None:
    downloaded("snapshots", {"car/1.png": png(1), "truck/2.png": png(2)})
    left = Path(".tandem/ingest/snapshots/car/left.png")
    left.parent.mkdir(parents=True)
    left.write_bytes(png(9))
    assert stage("ingest").main("snapshots") == "2 files, 2 different images"
