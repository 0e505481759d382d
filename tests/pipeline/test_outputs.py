"""What stages write and wrote, in a project made for it."""

import hashlib
import json
from pathlib import Path

import pytest

from tandem.errors import DataError
from tandem.pipeline.outputs import changed_file, outputs, require_outputs, stage_that_writes

ROOT = Path(__file__).parents[2]
PIPELINE = """
stages:
  merge:
    cmd: python stages/merge.py
    outs:
      - data/merge
      - metrics/merge.json
  train:
    foreach: ${backbones}
    do:
      cmd: python stages/train.py ${key}
      outs:
        - data/train/${key}
      metrics:
        - metrics/train/${key}.json:
            cache: false
"""
FILES = ("data/merge/index.csv", "metrics/merge.json", "data/train/a/head.npz", "metrics/train/a.json")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "params.yaml").write_text("backbones: {a: {weights: random}}\n")
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def write_lock(root: Path) -> None:
    """What DVC would say of the files as they are, data/merge as a folder whose listing is in its cache."""
    listing = json.dumps([{"md5": md5(FILES[0]), "relpath": "index.csv"}])
    digest = f"{md5(listing)}.dir"
    cached = root / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
    cached.parent.mkdir(parents=True)
    cached.write_text(listing)
    outs = {"merge": {FILES[1]: md5(FILES[1]), "data/merge": digest}, "train@a": {FILES[3]: md5(FILES[3])}}
    stages = {name: {"outs": [{"path": p, "md5": m} for p, m in each.items()]} for name, each in outs.items()}
    (root / "dvc.lock").write_text(json.dumps({"stages": stages}))


def test_each_output_has_its_stage(root: Path) -> None:
    assert {str(path): stage for path, stage in outputs(root).items()} == {
        "data/merge": "merge",
        "metrics/merge.json": "merge",
        "data/train/a": "train@a",
        "metrics/train/a.json": "train@a",
    }
    assert [stage_that_writes(root / name, root) for name in FILES] == ["merge", "merge", "train@a", "train@a"]
    assert stage_that_writes(root / "data/review/decisions.csv", root) == ""
    assert outputs(root / "data") == {}


def test_outputs_of_this_project_are_those_of_its_stages() -> None:
    found = outputs(ROOT)
    assert found[Path("data/extract/resnet50")] == "extract@resnet50"
    assert found[Path("data/download/receipts/exports.json")] == "download@exports"
    assert found[Path("metrics/summary.json")] == "evaluate"


def test_outputs_that_are_there_are_no_error(root: Path) -> None:
    require_outputs(root)


def test_outputs_that_are_missing_or_empty_are_listed(root: Path) -> None:
    (root / FILES[0]).write_text("")
    (root / FILES[3]).unlink()
    (root / FILES[1]).write_text("")
    with pytest.raises(DataError) as caught:
        require_outputs(root)
    head, *lines, last = str(caught.value).splitlines()
    assert head == "3 outputs are missing or empty:"
    assert sorted(lines) == [
        "  data/merge, of stage merge",
        "  metrics/merge.json, of stage merge",
        "  metrics/train/a.json, of stage train@a",
    ]
    with pytest.raises(DataError, match="2 outputs are missing or empty:"):
        require_outputs(root, may_be_missing=True)
    assert last.startswith("run `dvc repro`; where it ended well before,")
    assert "the disk of its cache is full; make room there, and run `dvc repro` again" in last


def test_a_file_that_is_not_as_it_was_written_is_found(root: Path) -> None:
    assert changed_file(root, stage="evaluate") is None
    write_lock(root)
    assert changed_file(root, stage="evaluate") is None
    (root / FILES[3]).write_text("damaged")
    assert changed_file(root, stage="evaluate") == (Path(FILES[3]), "train@a")
    assert changed_file(root, stage="train@a") is None
    (root / FILES[0]).write_text("damaged")
    assert changed_file(root, stage="evaluate") == (Path(FILES[0]), "merge")
    (root / FILES[0]).unlink()
    assert changed_file(root, stage="train@a") is None
