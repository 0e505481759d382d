"""The dataset of a review, built by the real FiftyOne and its Brain, in several processes at once.

FiftyOne is imported in child processes alone: this file is also their program (see `run_child`). What `curate` calls,
build_review_dataset, is tested in test_app.py, whose dataset it builds.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from itertools import takewhile
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from scipy.sparse.csgraph import connected_components

from tandem.curation.duplicates.by_features.search import radius_pairs
from tandem.curation.groups import connected_components as smallest_rows
from tandem.errors import DataError, ReviewError
from tandem.review.database import open_database
from tandem.review.dataset import (
    BRAIN_TO,
    TAG_VIEWS,
    ReviewImage,
    build_dataset,
    build_large_dataset,
    review_images,
    review_order,
)
from tandem.tables.decisions import Decision, Decisions
from tandem.tables.index import ImageRecord, Index, Origin
from tandem.tables.samples import Sample, Samples

NAME = "planted"
MAX_DISTANCE = 0.1
SPLITS = ("train", "val", "test", "")


def planted(folder):
    """60 images in no order of name, and their features: twice 12 alone, a clique of 8, two pairs, two chains of 3.

    Four files have the bytes of another one. The second half has the features of the first with the opposite sign, so
    the mean is zero and centering changes nothing. Neighbors in a chain are 0.08 apart and its ends 0.30.
    """
    axes = np.eye(40)
    rng = np.random.default_rng(7)
    half = [axes[i] for i in range(12)]
    half += [axes[12] + 0.01 * rng.normal(size=40) for _ in range(8)]
    half += [axes[i] + 0.01 * rng.normal(size=40) for i in (13, 13, 14, 14)]
    half += [np.cos(a) * axes[15 + i] + np.sin(a) * axes[20 + i] for i in (0, 1) for a in (0.0, 0.4, 0.8)]
    features = np.concatenate([half, np.negative(half)]).astype(np.float32)
    order = rng.permutation(len(features))
    paths = [folder / f"{i}.png" for i in range(len(features))]
    for i, path in enumerate(paths):
        Image.fromarray(np.full((8, 8, 3), 4 * i, dtype=np.uint8)).save(path)
    for first, second in ((20, 21), (22, 23), (50, 51), (50, 12)):
        paths[second].write_bytes(paths[first].read_bytes())
    return [_image(i, paths[i]) for i in order], features[order]


def _image(i, path):
    split = SPLITS[i % 4]
    tags = () if split else ("duplicates", "blurred") if i % 8 == 3 else ("conflicts",)
    return ReviewImage(
        f"{i * 7919 % 1000:03d}", path, "ab"[i % 2], "web", f"g{i // 2}", split, tags, ("web/x.png",) * (i % 3)
    )


def run_child(database_dir, folder, report_path):
    """Build, write a report, and end when stdin is closed."""
    images, features = planted(Path(folder))
    with open_database(Path(database_dir)) as fiftyone:
        _, findings = build_dataset(fiftyone, images, features=features, max_distance=MAX_DISTANCE, name=NAME)
        report = {
            "large": stored_of_large(fiftyone, images),
            "counts": findings.counts(),
            "near_duplicates": sorted(findings.near_duplicates),
            "refusal": refusal_of(Path(database_dir).with_name("other")),
            **stored(fiftyone),
        }
    Path(report_path).write_text(json.dumps(report))
    sys.stdout.write("reported\n")
    sys.stdout.flush()
    sys.stdin.read()


def stored_of_large(fiftyone, images):
    """What is built where there are too many images for Brain; it is removed again."""
    dataset, findings = build_large_dataset(fiftyone, images, name="large")
    found = {
        "views": {view: dataset.load_saved_view(view).values("content_id") for view in dataset.list_saved_views()},
        "brain_runs": dataset.list_brain_runs(),
        "has_features": dataset.has_field("features"),
        "counts": findings.counts(),
    }
    dataset.delete()
    return found


def refusal_of(database_dir):
    """The error of a second database in one process."""
    with pytest.raises(ReviewError) as raised, open_database(database_dir):
        pass
    return str(raised.value)


def stored(fiftyone):
    """What the database has of the dataset, by its name alone."""
    from fiftyone.core.odm import get_db_conn

    dataset = fiftyone.load_dataset(NAME)
    fields = ["tags", "label.label", "source", "group_id", "split", "origins"]
    fields += ["exact_duplicate_of", "near_duplicate_of"]
    views = {view: dataset.load_saved_view(view).values("content_id") for view in dataset.list_saved_views()}
    options = get_db_conn().client.admin.command("getCmdLineOpts")
    return {
        "served_from": options["parsed"]["storage"]["dbPath"],
        "datasets": fiftyone.list_datasets(),
        "is_persistent": dataset.persistent,
        "samples": {"content_id": dataset.values("content_id")} | {field: dataset.values(field) for field in fields},
        "views": views,
        "brain_keys": sorted(dataset.list_brain_runs()),
        "max_distance": dataset.get_run_info("near_duplicates").config.max_distance,
        "points": dataset.load_brain_results("pca").points.shape,
        "similar_to_the_first": dataset.sort_by_similarity(dataset.first().id, k=3, brain_key="features").count(),
    }


def own_environment():
    """Without the settings of whoever runs the tests."""
    return {key: value for key, value in os.environ.items() if not key.startswith("FIFTYONE_")}


class Child:
    """A process that builds, reports, and lives until it is ended."""

    def __init__(self, database_dir, folder, report_path):
        self.report_path = report_path
        self.process = subprocess.Popen(
            [sys.executable, __file__, database_dir, folder, report_path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=own_environment() | {"FIFTYONE_PRIVATE_DATABASE_PORT": "9"},  # as FiftyOne sets it for its children
        )

    def report(self):
        output = list(takewhile(lambda line: line != "reported\n", self.process.stdout))
        assert self.report_path.is_file(), "".join(output)
        return json.loads(self.report_path.read_text())

    def end(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Reports of two processes at once on one folder, of one beside them on another, and what they left running."""
    root = tmp_path_factory.mktemp("review")
    shared, elsewhere = root / "shared", root / "elsewhere"
    for folder in ("0", "1"):
        (root / folder).mkdir()
    # the same images, but each process writes its own files
    children = [Child(shared, root / folder, root / f"{folder}.json") for folder in ("0", "1")]
    try:
        reports = [children[0].report()]
        # while that of the other folder may run, which FiftyOne alone would join
        children.append(Child(elsewhere, root / "0", root / "elsewhere.json"))
        reports += [child.report() for child in children[1:]]
    finally:
        for child in children:
            child.end()
    left_running = wait_for_end(root)
    for database_dir in (shared, elsewhere):
        shutil.rmtree(database_dir)  # 300 MB each, and pytest keeps the folders of three runs
    return {
        "reports": reports,
        "dirs": [shared, shared, elsewhere],
        "folder": root / "0",
        "left_running": left_running,
    }


def wait_for_end(root):
    """The processes that still name the folder, after waiting a while for their end."""
    for _ in range(150):
        commands = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
        running = [command for command in commands if any(str(root) in word for word in command)]
        if not running:
            break
        time.sleep(0.2)
    return running


@pytest.fixture(scope="module")
def report(built):
    return built["reports"][0]


@pytest.fixture(scope="module")
def expected(built):
    """The planted images with distances by plain numpy over all pairs, float64, nothing of Brain's."""
    images, features = planted(built["folder"])
    unit = features.astype(np.float64) / np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    distance = 1 - unit @ unit.T
    return images, features, distance


@pytest.mark.slow
def test_processes_that_start_at_once_all_build_the_same(built):
    first, second, elsewhere = (
        {key: value for key, value in report.items() if key not in ("served_from", "refusal")}
        for report in built["reports"]
    )
    assert first == second == elsewhere
    assert first["datasets"] == [NAME]


@pytest.mark.slow
def test_each_build_is_served_from_its_own_folder(built):
    assert [report["served_from"] for report in built["reports"]] == [str(path) for path in built["dirs"]]


@pytest.mark.slow
def test_no_database_outlives_the_processes(built):
    assert built["left_running"] == []


@pytest.mark.slow
def test_a_process_that_has_a_database_refuses_another_folder(built, report):
    assert f"this process has its FiftyOne database in {built['dirs'][0]}" in report["refusal"]


@pytest.mark.slow
def test_samples_stand_in_the_order_given_with_all_their_fields(report, expected):
    images, samples = expected[0], report["samples"]
    assert samples["content_id"] == [image.id for image in images]
    assert samples["label.label"] == [image.label for image in images]
    assert samples["source"] == [image.source for image in images]
    assert samples["group_id"] == [image.group for image in images]
    assert samples["split"] == [image.split for image in images]
    assert samples["origins"] == [list(image.origins) for image in images]
    assert samples["tags"] == [[tag for tag in (image.split, *image.tags) if tag] for image in images]
    assert report["is_persistent"]


@pytest.mark.slow
def test_views_hold_the_images_of_a_split_or_tag(report, expected):
    for tag in TAG_VIEWS:
        assert report["views"][tag] == [image.id for image in expected[0] if tag in (image.split, *image.tags)]
    assert set(report["views"]) == {*TAG_VIEWS, "exact_duplicates", "near_duplicates"}


@pytest.mark.slow
def test_brain_results_are_stored(report):
    assert report["brain_keys"] == ["features", "pca"]
    assert report["max_distance"] == MAX_DISTANCE
    assert report["points"] == [60, 2]
    assert report["similar_to_the_first"] == 3


@pytest.mark.slow
def test_exact_duplicates_are_the_files_with_the_bytes_of_an_earlier_one(report, expected):
    by_bytes = {}
    for image in expected[0]:
        by_bytes.setdefault(image.path.read_bytes(), []).append(image.id)
    assert report["counts"]["exact_duplicates"] == sum(len(ids) - 1 for ids in by_bytes.values()) == 4
    kept_of = {id: ids[0] for ids in by_bytes.values() if len(ids) > 1 for id in ids}
    assert marks(report, "exact_duplicate_of") == kept_of
    assert sorted(report["views"]["exact_duplicates"]) == sorted(kept_of)


@pytest.mark.slow
def test_near_duplicates_are_those_that_a_greedy_pass_in_order_discards(report, expected):
    """The strongest claim that holds: the discarded ids are the same.

    A pass in order over all pairs discards an image when one that it has kept is within max_distance. N minus the
    number of components would not do: of a chain A-B-C Brain may keep A and C, which are no neighbors.
    """
    images, _, distance = expected
    kept, discarded = [], set()
    for row, image in enumerate(images):
        if kept and distance[row, kept].min() <= MAX_DISTANCE:
            discarded.add(image.id)
        else:
            kept.append(row)
    assert {duplicate for _, duplicate in report["near_duplicates"]} == discarded
    assert report["counts"]["near_duplicates"] == len(report["near_duplicates"]) == len(images) - len(kept)


@pytest.mark.slow
def test_brain_finds_what_the_pipeline_s_own_search_links_and_nothing_else(report, expected):
    """A greedy pass along the pairs of tandem.curation.duplicates.by_features.search discards the same ids as Brain.

    The planted features have mean zero, so that Brain's centering changes no distance.
    """
    images, features, _ = expected
    pairs = radius_pairs(features, min_similarity=1 - MAX_DISTANCE)
    linked = set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    kept, discarded = [], set()
    for row, image in enumerate(images):
        if any((earlier, row) in linked for earlier in kept):
            discarded.add(image.id)
        else:
            kept.append(row)
    assert {duplicate for _, duplicate in report["near_duplicates"]} == discarded
    component = smallest_rows(len(images), pairs.rows)
    row_of = {image.id: row for row, image in enumerate(images)}
    assert all(component[row_of[one]] == component[row_of[other]] for one, other in report["near_duplicates"])


@pytest.mark.slow
def test_kept_and_duplicate_are_neighbors_and_of_one_component(report, expected):
    """Neighbors by distances of our own: those that Brain hands out with its pairs are wrong."""
    images, _, distance = expected
    row_of = {image.id: row for row, image in enumerate(images)}
    num_components, component = connected_components(distance <= MAX_DISTANCE)
    for kept, duplicate in report["near_duplicates"]:
        assert distance[row_of[kept], row_of[duplicate]] <= MAX_DISTANCE
        assert component[row_of[kept]] == component[row_of[duplicate]]
    sizes = Counter(Counter(component.tolist()).values())
    assert (num_components, sizes) == (34, {1: 24, 2: 4, 3: 4, 8: 2})
    named = {id for pair in report["near_duplicates"] for id in pair}
    sizes_by_row = np.bincount(component)[component]
    pairs_and_cliques = {image.id for image, size in zip(images, sizes_by_row, strict=True) if size in (2, 8)}
    alone = {image.id for image, size in zip(images, sizes_by_row, strict=True) if size == 1}
    assert pairs_and_cliques <= named
    assert not alone & named


@pytest.mark.slow
def test_near_duplicates_are_marked_with_the_kept_id_and_stand_together(report):
    kept_of = {id: kept for kept, duplicate in report["near_duplicates"] for id in (kept, duplicate)}
    assert marks(report, "near_duplicate_of") == kept_of
    shown = [kept_of[id] for id in report["views"]["near_duplicates"]]
    assert shown == sorted(shown)


def marks(report, field):
    """Id -> the id that Brain keeps, where there is one."""
    samples = report["samples"]
    return {id: kept for id, kept in zip(samples["content_id"], samples[field], strict=True) if kept}


def test_of_very_many_images_the_views_are_built_and_brain_is_left_out(report):
    large = report["large"]
    tagged = {view: ids for view, ids in large["views"].items() if view in TAG_VIEWS}
    assert tagged == {view: ids for view, ids in report["views"].items() if view in TAG_VIEWS}
    assert (large["views"]["exact_duplicates"], large["views"]["near_duplicates"]) == ([], [])
    assert (large["brain_runs"], large["has_features"]) == ([], False)
    assert large["counts"] == {"not_run_above_images": BRAIN_TO}


def test_the_mean_of_the_planted_features_is_zero(tmp_path):
    _, features = planted(tmp_path)
    assert np.abs(features.astype(np.float64).mean(axis=0)).max() < 1e-9


def build_in_vain(images, features):
    build_dataset(None, images, features=features, max_distance=0.1)


def test_features_of_another_number_of_rows_are_refused(tmp_path):
    images, features = planted(tmp_path)
    with pytest.raises(DataError, match=r"got 60 images and features of shape \(59, 40\)"):
        build_in_vain(images, features[1:])


def test_an_id_that_occurs_twice_is_refused(tmp_path):
    images, features = planted(tmp_path)
    with pytest.raises(DataError, match=f"{images[0].id} occurs twice"):
        build_in_vain([images[0], images[0], *images[2:]], features)


# --- from an index and samples


def merged(folder):
    """An index of four images, and what curation made of it: two are excluded, as a duplicate and for a conflict."""
    records, samples = [], []
    for number, (id_, reason) in enumerate(
        [("aa", "duplicate of cc"), ("bb", "conflict: near duplicates are labelled"), ("cc", ""), ("dd", "")]
    ):
        Image.fromarray(np.full((8, 8, 3), 60 * number, dtype=np.uint8)).save(folder / f"{id_}.png")
        origins = (Origin("web", f"car/{id_}.png", "Car"), Origin("yard", "x.png", "auto"))
        records.append(ImageRecord(id_, "car", f"{id_}.png", 8, 8, (), origins))
        samples.append(Sample(id_, "car", "web", "aa", "" if reason else "train", reason))
    return Index.of(records), Samples.of(("car", "truck"), samples)


def test_images_that_are_used_come_first_and_the_others_are_tagged_with_their_reason(tmp_path):
    index, samples = merged(tmp_path)
    rows = review_order(samples)
    images = review_images(index, samples, rows, images_dir=tmp_path)
    assert rows.tolist() == [2, 3, 0, 1]
    assert [(image.id, image.split, image.tags) for image in images] == [
        ("cc", "train", ()),
        ("dd", "train", ()),
        ("aa", "", ("duplicates",)),
        ("bb", "", ("conflicts",)),
    ]
    assert {(image.label, image.source, image.group) for image in images} == {("car", "web", "aa")}
    assert images[0].path == (tmp_path / "cc.png").absolute()
    assert images[0].origins == ("web/car/cc.png", "yard/x.png")


def test_decisions_that_curation_has_not_read_yet_are_shown(tmp_path):
    index, samples = merged(tmp_path)
    decisions = Decisions((Decision("aa", "relabel", "truck"), Decision("aa", "keep"), Decision("cc", "drop")))
    images = review_images(index, samples, review_order(samples), images_dir=tmp_path, decisions=decisions)
    assert [(image.id, image.label, image.tags) for image in images] == [
        ("cc", "car", ("drop",)),
        ("dd", "car", ()),
        ("aa", "truck", ("duplicates", "keep")),
        ("bb", "car", ("conflicts",)),
    ]


if __name__ == "__main__":
    run_child(*sys.argv[1:])
