"""Receipts: what they count and what the planted files state as their licence."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from tandem import files
from tandem.sources import receipts
from tandem.sources.receipts import Fetched, augmentation_as_stated, licence_as_stated

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


FETCHED = Fetched(
    what="owner/slug",
    version="3",
    sha256="ab" * 32,
    archive_bytes=1234,
    served_hash="md5=AAAA",
    client="kaggle 2.2.4",
    licence="CC0-1.0",
    volatile=("README.roboflow.txt",),
)
ASKED = {"dataset": "owner/slug", "version": 3, "sha256": None}
EXPORTED = "The following augmentation was applied to create {} of each source image:\n* flip\n"


def receipt_of(folder, fetched=FETCHED):
    return receipts.make_receipt(folder, fetched, source="cars", kind="kaggle", asked=ASKED)


def test_a_receipt_says_what_was_fetched_and_counts_it(tmp_path: Path) -> None:
    exported = EXPORTED.format("3 versions")
    folder = plant(
        tmp_path / "data",
        {"Car/1.jpg": b"12345", "README.dataset.txt": "License: MIT", "README.roboflow.txt": exported},
    )
    receipts.write_receipt(tmp_path / "receipt.json", receipt_of(folder))
    listed = "".join(
        f"{hashlib.sha256(data).hexdigest()}  {name}\n"
        for name, data in {"Car/1.jpg": b"12345", "README.dataset.txt": b"License: MIT"}.items()
    )
    assert files.read_json(tmp_path / "receipt.json") == {
        "source": "cars",
        "kind": "kaggle",
        "asked": {"dataset": "owner/slug", "version": 3, "sha256": None},
        "what": "owner/slug",
        "version": "3",
        "sha256": "ab" * 32,
        "archive_bytes": 1234,
        "served_hash": "md5=AAAA",
        "client": "kaggle 2.2.4",
        "volatile": ["README.roboflow.txt"],
        "tree_sha256": hashlib.sha256(listed.encode()).hexdigest(),
        "num_bytes": 17 + len(exported),
        "num_files": 3,
        "licence": "MIT",
        "augmentation": 3,
    }


@pytest.mark.parametrize(
    "fetched",
    [
        FETCHED,
        Fetched(what="mine.zip", version="", sha256="ab" * 32),
        FETCHED._replace(left_out={".git/": 3, ".dvcignore": 1}),
    ],
)
def test_a_receipt_is_read_as_it_was_written(tmp_path, fetched):
    receipt = receipt_of(plant(tmp_path / "data", {"1.jpg": b"1"}), fetched)
    receipts.write_receipt(tmp_path / "receipt.json", receipt)
    assert receipts.read_receipt(tmp_path / "receipt.json") == receipt


def test_what_is_left_out_is_in_the_receipt_and_in_words(tmp_path):
    folder = plant(tmp_path / "data", {"1.jpg": b"12345"})
    assert receipt_of(folder).in_words == "1 files, 0.0 MB"
    receipt = receipt_of(folder, FETCHED._replace(left_out={"b.dvc": 1, ".git/": 3}))
    receipts.write_receipt(tmp_path / "receipt.json", receipt)
    assert files.read_json(tmp_path / "receipt.json")["left_out"] == {".git/": 3, "b.dvc": 1}
    assert receipt.in_words == "1 files, 0.0 MB; 4 files are left out as litter (3 of .git/, b.dvc)"


def test_the_same_data_fetched_later_has_the_same_receipt(tmp_path):
    for time, day in enumerate(("monday", "tuesday")):
        folder = plant(tmp_path / day, {"1.jpg": b"1"})
        os.utime(folder / "1.jpg", (time, time))
        receipts.write_receipt(tmp_path / f"{day}.json", receipt_of(folder))
    assert (tmp_path / "monday.json").read_bytes() == (tmp_path / "tuesday.json").read_bytes()


def test_a_receipt_that_is_read_and_written_again_is_the_same_file(tmp_path):
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    receipts.write_receipt(first, receipt_of(plant(tmp_path / "data", {"1.jpg": b"1"})))
    receipts.write_receipt(second, receipts.read_receipt(first))
    assert second.read_bytes() == first.read_bytes()


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"{",
        b"\xff\xfe",
        b"null",
        b"7",
        b"[]",
        b'"text"',
        b"{}",
        b'{"source": "cars", "kind": "kaggle"}',
        b'{"name": "of another program", "version": 1}',
    ],
)
def test_what_is_no_receipt_is_read_as_none(tmp_path, content):
    path = tmp_path / "receipt.json"
    if content is not None:
        path.write_bytes(content)
    assert receipts.read_receipt(path) is None


@pytest.mark.parametrize("change", [{"size": 1}, {"licence": ...}])
def test_a_receipt_with_more_or_fewer_facts_than_ours_is_read_as_none(tmp_path, change):
    path = tmp_path / "receipt.json"
    receipts.write_receipt(path, receipt_of(plant(tmp_path / "data", {"1.jpg": b"1"})))
    assert receipts.read_receipt(path)
    facts = files.read_json(path) | change
    files.write_json(path, {name: fact for name, fact in facts.items() if fact is not ...})
    assert receipts.read_receipt(path) is None


@pytest.mark.parametrize(
    ("text", "factor"),
    [
        (EXPORTED.format("3 versions"), 3),
        (EXPORTED.format("1 version"), 1),
        (EXPORTED.format("12 versions").replace("\n", "\r\n"), 12),
        (
            "The following pre-processing was applied to each image:\n* Auto-orientation\n"
            + EXPORTED.format("2 versions"),
            2,
        ),
        ("No image augmentation techniques were applied.\n", 1),
        (b"\xff\xfe " + EXPORTED.format("3 versions").encode(), 3),
        ("", None),
        ("create 3 versions", None),
    ],
)
@pytest.mark.parametrize("folder", ["", "cars/"])
def test_the_augmentation_is_what_an_export_states(tmp_path, folder, text, factor):
    plant(tmp_path, {f"{folder}README.roboflow.txt": text, "train/1.jpg": b"1"})
    assert augmentation_as_stated(tmp_path) == factor


def test_an_augmentation_that_other_files_state_is_none(tmp_path):
    plant(tmp_path, {"README.txt": EXPORTED.format("3 versions"), "README.dataset.txt": EXPORTED.format("4 versions")})
    assert augmentation_as_stated(tmp_path) is None


@pytest.mark.parametrize(
    ("tree", "served", "licence"),
    [
        ({"README.dataset.txt": "License: MIT"}, "CC0-1.0", "MIT"),
        ({"README.dataset.txt": "License: MIT"}, "", "MIT"),
        ({"1.jpg": b"1"}, "CC0-1.0", "CC0-1.0"),
        ({"1.jpg": b"1"}, "", "not stated"),
    ],
)
def test_the_licence_that_a_service_states_counts_where_the_files_state_none(tmp_path, tree, served, licence):
    receipt = receipt_of(plant(tmp_path, tree), FETCHED._replace(licence=served))
    assert receipt.licence == licence


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
        ({"data.yaml": "names: [a]\nlicense: AGPL-3.0\nroboflow: {version: 1}\n"}, "AGPL-3.0"),
        ({"README.md": "---\nlicense: cc-by-4.0\n---\n# Cars\n"}, "cc-by-4.0"),
        ({"cars/README.md": "\ufeff---\r\npretty_name: Cars\r\nlicense:\r\n- mit\r\n- odbl\r\n---\r\n"}, "mit; odbl"),
        ({"LICENSE": "\n  MIT License\n\nCopyright (c) 2026\n"}, "MIT License"),
        ({"LICENSE": "X11 License"}, "X11 License"),
        ({"licence.md": "# Attribution 4.0 International\n\n====\n"}, "Attribution 4.0 International"),
        ({"LICENSE.txt": "MIT License", "README.md": "---\nlicense: cc0-1.0\n---\n"}, "cc0-1.0"),
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
        {"README.md": "# Cars\n\n---\nlicense: not the head's\n---\n"},
        {"README.md": "---\nlicense: {name: MIT}\n---\n"},
        {"README.md": "---\nlicense: [1\n---\n"},
        {"README.md": b"\xff\xfe---"},
        {"LICENSE": "The images may be used by those who have asked the owner of the set in a letter beforehand."},
        {"LICENSE": ""},
    ],
)
def test_what_states_nothing_is_not_an_error(tmp_path: Path, tree: dict[str, str | bytes]) -> None:
    assert licence_as_stated(plant(tmp_path, tree)) == "not stated"
