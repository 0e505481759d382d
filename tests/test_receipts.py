"""Receipts: what they count and what the planted files state as their licence."""

import json
from pathlib import Path

import pytest

from tandem import files
from tandem.sources import receipts
from tandem.sources.receipts import Fetched, licence_as_stated

README = (
    "# cars > v1\r\nhttps://universe.roboflow.com/x\r\n\r\nProvided by a Roboflow user\r\nLicense: CC BY 4.0\r\n\r\n"
)


def plant(root: Path, tree: dict[str, str | bytes]) -> Path:
    for name, text in tree.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def coco(*names: str) -> str:
    return json.dumps({"licenses": [{"id": place, "name": name} for place, name in enumerate(names)], "images": []})


def test_a_receipt_says_what_was_fetched_and_counts_it(tmp_path: Path) -> None:
    folder = plant(tmp_path / "data", {"Car/1.jpg": b"12345", "README.dataset.txt": "License: MIT"})
    fetched = Fetched(what="owner/slug", version="3", sha256="ab" * 32)
    receipt = receipts.receipt(folder, fetched, source="cars", kind="kaggle", fetched_at="2025-01-02T03:04:05Z")
    receipts.write(tmp_path / "receipt.json", receipt)
    assert files.read_json(tmp_path / "receipt.json") == {
        "source": "cars",
        "kind": "kaggle",
        "what": "owner/slug",
        "version": "3",
        "sha256": "ab" * 32,
        "num_bytes": 17,
        "num_files": 2,
        "licence": "MIT",
        "fetched_at": "2025-01-02T03:04:05Z",
    }


@pytest.mark.parametrize(
    ("tree", "stated"),
    [
        ({"README.dataset.txt": README}, "CC BY 4.0"),
        ({"cars/README.dataset.txt": README.replace("License", "Licence")}, "CC BY 4.0"),
        ({"data.yaml": "names: [a]\nroboflow:\n  license: Public Domain\n"}, "Public Domain"),
        ({"train/_annotations.coco.json": coco("CC BY 4.0")}, "CC BY 4.0"),
        ({"annotations/instances_val2017.json": coco("BY-NC", "BY", "BY")}, "BY-NC; BY"),
        ({"dataset-metadata.json": coco("CC0-1.0")}, "CC0-1.0"),
        ({"README.dataset.txt": "License:\n\nfree text", "dataset-metadata.json": coco("MIT")}, "MIT"),
        ({"README.dataset.txt": README, "data.yaml": "roboflow: {license: MIT}"}, "CC BY 4.0"),
    ],
)
def test_the_licence_is_read_where_publishers_put_it(tmp_path: Path, tree: dict[str, str], stated: str) -> None:
    assert licence_as_stated(plant(tmp_path, tree)) == stated


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"README.dataset.txt": b"\xff\xfe no word on it"},
        {"data.yaml": "a: [1"},
        {"data.yaml": b"\xff\xfe\xff"},
        {"data.yaml": "- a list"},
        {"data.yaml": "roboflow: yes"},
        {"dataset-metadata.json": "{"},
        {"dataset-metadata.json": b"\xff"},
        {"dataset-metadata.json": "[1]"},
        {"dataset-metadata.json": '{"licenses": ["MIT", {"url": "x"}]}'},
        {"dataset-metadata.json": '{"licenses": 4}'},
        {"notes/other.json": coco("not of the data")},
    ],
)
def test_what_states_nothing_is_not_an_error(tmp_path: Path, tree: dict[str, str | bytes]) -> None:
    assert licence_as_stated(plant(tmp_path, tree)) == "not stated"
