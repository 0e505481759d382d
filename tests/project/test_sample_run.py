"""The last run on the embedded sample, held against the truth about its images. Runs after `make run`."""

import json
import tarfile
from pathlib import Path

import pytest

from tandem.files import read_csv, read_json
from tandem.pipeline.params import read_params
from tandem.tables.index import load_index
from tandem.tables.samples import load_samples

ROOT = Path(__file__).resolve().parents[2]
SOURCES = {"snapshots": "kaggle", "exports": "roboflow"}  # source -> how the truth names it

pytestmark = pytest.mark.skipif(
    not (ROOT / "data" / "curate" / "samples.csv").is_file()
    or set(read_params(ROOT / "params.yaml")["sources"]) != set(SOURCES),
    reason="the pipeline has not run on the embedded sample here; `make run` does",
)


def truth_of(source):
    """What the sample's generator planted."""
    with tarfile.open(ROOT / "data/download/files" / source / "files-00000.tar") as tar:
        return json.load(tar.extractfile("truth.json"))


def scenes_and_splits():
    """(scene, split) of every image in the index, by its first origin."""
    scenes = {path: scene for source in SOURCES for path, scene in truth_of(source)["scenes"].items()}
    index = load_index(ROOT / "data" / "merge" / "index.csv")
    splits = load_samples(ROOT / "data" / "curate").splits.tolist()
    names = [f"{SOURCES[origins[0].source]}/{origins[0].path}" for origins in index.origins]
    return [(scenes[name], split) for name, split in zip(names, splits, strict=True)]


def test_no_planted_near_duplicate_lies_across_splits():
    splits = {}
    for scene, split in scenes_and_splits():
        splits.setdefault(scene, set()).update({split} - {""})
    assert len(splits) > 400
    assert {scene: found for scene, found in splits.items() if len(found) > 1} == {}


def test_corrupt_files_conflicts_and_ignored_labels_are_counted_as_planted():
    truths = list(map(truth_of, SOURCES))
    excluded = read_json(ROOT / "metrics" / "merge.json")["excluded"]
    broken = [reason for truth in truths for reason in truth["broken"].values()]
    assert {reason: excluded[reason] for reason in set(broken)} == {reason: broken.count(reason) for reason in broken}
    conflicting = {path for truth in truths for pair in truth["conflicts"] for path in pair}
    assert excluded["conflict"] == len(conflicting)
    ignored = [path for truth in truths for path, name in truth["classes"].items() if name in ("bus", "bicycle")]
    assert excluded["ignored_label"] == pytest.approx(len(ignored), abs=8)  # some mislabelled ones lie elsewhere


def test_the_selected_ensemble_reaches_what_the_sample_allows():
    assert read_json(ROOT / "metrics" / "evaluate.json")["selected"]["top1_accuracy"] >= 0.90


def test_planted_wrong_labels_are_among_the_first_label_issues():
    truths = {source: truth_of(source) for source in SOURCES}
    planted = {
        path.replace(SOURCES[source], source, 1) for source, truth in truths.items() for path in truth["mislabelled"]
    }
    index = load_index(ROOT / "data" / "merge" / "index.csv")
    splits = load_samples(ROOT / "data" / "curate").splits.tolist()
    used = {
        id_
        for id_, files, split in zip(index.ids, index.found_in, splits, strict=True)
        if split and planted.intersection(files)
    }
    first = [row["id"] for row in read_csv(ROOT / "metrics" / "label_errors.csv")][: 2 * len(used)]
    assert len(used) >= 6
    assert len(used.intersection(first)) >= 0.9 * len(used)
