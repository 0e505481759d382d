"""What the App has beside the images, by the real FiftyOne, and what is read back from it.

FiftyOne is imported in a child process alone: this file is also its program (see `run_child`). That a browser shows
the App, and that a click there is an edit, is tested in tests/project/test_reviews.py.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from tandem.errors import ReviewError
from tandem.review.app import (
    CorruptFile,
    Overlays,
    Prediction,
    add_overlays,
    corrupt_files,
    first_view,
    launch_app,
    predictions_of,
    read_edits,
)
from tandem.review.database import open_database
from tandem.review.dataset import DATASET, build_review_dataset
from tandem.review.session import groups_of_several
from tandem.tables.index import ImageRecord, Index, Origin
from tandem.tables.logits import Logits
from tandem.tables.samples import Sample, Samples

CLASSES = ("car", "truck")
SAMPLES = Samples.of(
    CLASSES,
    [
        Sample("aa", "car", "web", "aa", "", "duplicate of bb"),
        Sample("bb", "car", "yard", "aa", "train"),
        Sample("cc", "car", "web", "cc", "val"),
        Sample("dd", "car", "web", "dd", "test"),
        Sample("ee", "car", "web", "ee", "test"),
        Sample("ff", "car", "web", "ee", "test"),
    ],
)


def overlays(folder):
    return Overlays(
        class_names=CLASSES,
        issues={"dd": (0.5, "outlier"), "cc": (0.9, "mislabeled"), "gone": (1.0, "outlier")},
        duplicate_groups=groups_of_several(SAMPLES),
        predictions={
            "net": {
                "bb": Prediction("truck", 0.6),
                "cc": Prediction("truck", 0.7),
                "dd": Prediction("car", 0.5),
                "ee": Prediction("car", 0.8),
                "ff": Prediction("truck", 0.9),
            }
        },
        corrupt=[CorruptFile(folder / "half.png", "truck", "truncated")],
        quality={"blur": {"aa": 0.25, "ff": 0.5}},
    )


def run_child(folder):
    """Build the dataset, add the overlays, edit three images, and print what there is then."""
    findings = build(folder)
    with open_database(folder / "db") as fiftyone:
        dataset = fiftyone.load_dataset(DATASET)
        add_overlays(fiftyone, dataset, overlays(folder))
        edit(dataset)
        report = {
            "content_id": dataset.values("content_id"),
            "near_duplicates": sorted(findings.near_duplicates),
            "counts": findings.counts(),
            "fields": {name: dataset.values(name) for name in ("issue_score", "issue_kind", "corrupt_reason")},
            "confidence": dataset.values("pred_net.confidence"),
            "blur": dict(zip(*dataset.values(["content_id", "blur"]), strict=True)),
            "views": {name: dataset.load_saved_view(name).values("content_id") for name in dataset.list_saved_views()},
            "corrupt_files": dataset.load_saved_view("corrupt").values("filepath"),
            "label_schema": dataset.label_schemas["label"],
            "shown": dataset.app_config.active_fields.paths,
            "first_view": (first_view(dataset)[0], first_view(dataset)[1].values("content_id")),
            "edits": {id_: [each.label, *sorted(each.tags)] for id_, each in read_edits(dataset).items()},
        }
    try:
        with open_database(folder / "db") as fiftyone:
            psutil.Process(int((folder / "db" / "mongod.lock").read_text())).kill()
            fiftyone.load_dataset(DATASET).values("filepath")
    except ReviewError as error:
        report["killed"] = str(error)
    sys.stdout.write(f"{json.dumps(report)}\n")


def build(folder):
    for number, id_ in enumerate(SAMPLES.ids):
        Image.fromarray(np.full((8, 8, 3), 40 * number, dtype=np.uint8)).save(folder / f"{id_}.png")
    (folder / "half.png").write_bytes(b"x")
    return build_review_dataset(
        Index.of(record(id_, source) for id_, source in zip(SAMPLES.ids, SAMPLES.sources.tolist(), strict=True)),
        SAMPLES,
        features=np.eye(6, dtype=np.float32)[[0, 0, 1, 2, 3, 4]],
        images_dir=folder,
        database_dir=folder / "db",
        max_distance=0.1,
    )


def record(id_, source):
    return ImageRecord(id_, "car", f"{id_}.png", 8, 8, (), (Origin(source, id_, "car"),))


def edit(dataset):
    """As a reviewer does: a tag, another label, and a label that is deleted."""
    dataset.match({"content_id": "ff"}).tag_samples("drop")
    [sample] = dataset.match({"content_id": "cc"})
    sample.label.label = "truck"
    sample.save()
    [sample] = dataset.match({"content_id": "aa"})
    sample.label = None
    sample.save()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("app")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FIFTYONE_")}
    with (folder / "output.txt").open("w+") as output:  # a pipe is held open by services that end a little later
        done = subprocess.run(
            [sys.executable, __file__, folder],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            timeout=300,
        )
        output.seek(0)
        lines = output.read().splitlines()
    shutil.rmtree(folder / "db", ignore_errors=True)  # 300 MB, and pytest keeps the folders of three runs
    assert done.returncode == 0, "\n".join(lines)
    return {**json.loads(lines[-1]), "folder": folder}


@pytest.mark.slow
def test_brain_keeps_the_image_that_is_used_of_two_duplicates(report):
    assert report["content_id"] == ["bb", "cc", "dd", "ee", "ff", "aa", None]
    assert report["near_duplicates"] == [["bb", "aa"]]
    assert report["counts"] == {"exact_duplicates": 0, "near_duplicates": 1}


@pytest.mark.slow
def test_label_issues_are_listed_by_their_score(report):
    assert report["views"]["label_issues"] == ["cc", "dd"]
    assert report["fields"]["issue_score"] == [None, 0.9, 0.5, None, None, None, None]
    assert report["fields"]["issue_kind"] == [None, "mislabeled", "outlier", None, None, None, None]


@pytest.mark.slow
def test_duplicates_are_listed_group_by_group_and_those_of_several_sources_once_more(report):
    listed = report["views"]["duplicate_groups"]
    assert [set(listed[:2]), set(listed[2:])] == [{"aa", "bb"}, {"ee", "ff"}]
    assert sorted(report["views"]["cross_source_duplicates"]) == ["aa", "bb"]


@pytest.mark.slow
def test_measures_of_quality_are_fields_by_which_images_can_be_sorted(report):
    assert {id_: value for id_, value in report["blur"].items() if value is not None} == {"aa": 0.25, "ff": 0.5}


def test_corrupt_files_are_listed_with_the_reason(report):
    assert report["corrupt_files"] == [str(report["folder"] / "half.png")]
    assert report["fields"]["corrupt_reason"] == [None] * 6 + ["truncated"]


@pytest.mark.slow
def test_predictions_that_differ_from_the_label_are_listed_by_their_confidence(report):
    assert report["confidence"] == [0.6, 0.7, 0.5, 0.8, 0.9, None, None]
    assert report["views"]["wrong_net"] == ["ff", "bb"]  # and no longer cc, whose label is now as predicted


@pytest.mark.slow
def test_a_label_is_edited_by_choosing_one_of_the_classes(report):
    assert (report["label_schema"]["classes"], report["label_schema"]["component"]) == (["car", "truck"], "radio")


@pytest.mark.slow
def test_a_review_begins_with_the_likely_label_errors_and_few_words_on_an_image(report):
    assert report["first_view"] == ["label_issues", report["views"]["label_issues"]]
    assert len(report["views"]["label_issues"]) > 0
    assert report["shown"] == ["label", "issue_kind"]


@pytest.mark.slow
def test_edits_are_read_for_every_image_and_for_no_corrupt_file(report):
    assert report["edits"] == {
        "aa": ["", "duplicates"],
        "bb": ["car", "train"],
        "cc": ["truck", "val"],
        "dd": ["car", "test"],
        "ee": ["car", "test"],
        "ff": ["car", "drop", "test"],
    }


@pytest.mark.slow
def test_a_database_that_ends_while_it_is_used_is_named_with_its_log(report):
    database_dir = report["folder"] / "db"
    message = report["killed"]
    assert message.startswith(f"FiftyOne's database in {database_dir} does not answer: ")
    assert f"See {database_dir}/log/mongo.log; " in message


def test_a_port_that_is_taken_is_an_error_that_says_so():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(ReviewError, match=rf"the App cannot listen at 127.0.0.1:{port} \(.*\); take another --port"),
            launch_app(None, None, address="127.0.0.1", port=port),
        ):
            pass


def test_predictions_are_the_most_probable_class_and_its_probability():
    values = np.log([[1, 1], [1, 1], [1, 3], [9, 1], [1, 1], [1, 4]]).astype(np.float32)
    found = predictions_of(Logits(SAMPLES.ids, CLASSES, values), (SAMPLES.val, SAMPLES.test))
    assert {id_: (label, round(confidence, 6)) for id_, (label, confidence) in found.items()} == {
        "cc": ("truck", 0.75),
        "dd": ("car", 0.9),
        "ee": ("car", 0.5),
        "ff": ("truck", 0.8),
    }


def test_corrupt_files_are_those_that_are_still_there(tmp_path):
    (tmp_path / "web").mkdir()
    (tmp_path / "web/half.jpg").write_bytes(b"x")
    rows = [("half.jpg", "truncated"), ("gone.jpg", "empty")]
    corrupt = [{"source": "web", "path": path, "label": "car", "reason": reason} for path, reason in rows]
    assert corrupt_files(corrupt, tmp_path) == [CorruptFile((tmp_path / "web/half.jpg").absolute(), "car", "truncated")]


if __name__ == "__main__":
    run_child(Path(sys.argv[1]))
