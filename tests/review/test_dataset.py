"""FiftyOne is imported in child processes only: this file is also their program (see `_child`)."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from scipy.sparse.csgraph import connected_components

from tandem.curation.duplicates.search import components, radius_pairs
from tandem.errors import DataError, ReviewError
from tandem.review import database, mongod
from tandem.review import dataset as review
from tandem.review.dataset import ReviewImage

NAME = "planted"
MAX_DISTANCE = 0.1
SPLITS = ("train", "val", "test", "")


def planted(folder):
    """60 images in no order of name: per half 12 alone, a clique of 8, two pairs, two chains of 3; 4 byte copies.

    The second half has the features of the first with the sign turned, so the mean is zero and centering changes
    nothing. Neighbors in a chain are 0.08 apart and its ends 0.30.
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
    tags = () if split else ("copies", "blurred") if i % 8 == 3 else ("conflicts",)
    return ReviewImage(
        f"{i * 7919 % 1000:03d}", path, "ab"[i % 2], "web", f"g{i // 2}", split, tags, ("web/x.png",) * (i % 3)
    )


def _child(database_dir, folder, report_path):
    images, features = planted(Path(folder))
    findings = review.replace_dataset(
        name=NAME, database_dir=Path(database_dir), images=images, features=features, max_distance=MAX_DISTANCE
    )
    report = {
        "num_exact_copies": findings.num_exact_copies,
        "num_near_duplicates": findings.num_near_duplicates,
        "near_duplicates": sorted(findings.near_duplicates),
        "refused": _refused(Path(database_dir).with_name("other"), images, features),
        **_stored(),
    }
    Path(report_path).write_text(json.dumps(report))
    sys.stdout.write("reported\n")
    sys.stdout.flush()
    sys.stdin.read()


def _refused(database_dir, images, features):
    try:
        review.replace_dataset(name=NAME, database_dir=database_dir, images=images, features=features, max_distance=0.1)
    except ReviewError as error:
        return str(error)


def _stored():
    import fiftyone
    from fiftyone.core.odm import get_db_conn

    dataset = fiftyone.load_dataset(NAME)
    fields = ["tags", "label.label", "source", "group_id", "split", "origins", "exact_copy_of", "near_duplicate_of"]
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
        "like_the_first": dataset.sort_by_similarity(dataset.first().id, k=3, brain_key="features").count(),
    }


def _environment(**extra):
    return {key: value for key, value in os.environ.items() if not key.startswith("FIFTYONE_")} | extra


class Child:
    """A process that builds, reports, and keeps its database until it is ended."""

    def __init__(self, database_dir, folder, report_path):
        self.report_path = report_path
        self.process = subprocess.Popen(
            [sys.executable, __file__, database_dir, folder, report_path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=_environment(FIFTYONE_PRIVATE_DATABASE_PORT="9"),  # as FiftyOne leaves it to its children
        )

    def report(self):
        said = list(takewhile(lambda line: line != "reported\n", self.process.stdout))
        assert self.report_path.is_file(), "".join(said)
        return json.loads(self.report_path.read_text())

    def end(self):
        # no reading to the end of stdout: the database service inherits it, and outlives the process that started
        # it for as long as another one is attached
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Reports of two processes at once on one folder, of one beside them on another, and what was left running."""
    root = tmp_path_factory.mktemp("review")
    shared, elsewhere = root / "shared", root / "elsewhere"
    for folder in ("0", "1"):
        (root / folder).mkdir()
    # the same images, but each process writes its own files
    children = [Child(shared, root / folder, root / f"{folder}.json") for folder in ("0", "1")]
    try:
        reports = [child.report() for child in children]
        children.append(Child(elsewhere, root / "0", root / "elsewhere.json"))
        reports.append(children[-1].report())
    finally:
        for child in children:
            child.end()
    left = _left(root)
    for database_dir in (shared, elsewhere):
        shutil.rmtree(database_dir)  # 300 MB each, and pytest keeps the folders of three runs
    return {"reports": reports, "dirs": [shared, shared, elsewhere], "folder": root / "0", "left": left}


def _left(root):
    """Processes that still name the folder, after waiting a while for them to end."""
    for _ in range(150):
        commands = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
        left = [command for command in commands if any(str(root) in word for word in command)]
        if not left:
            break
        time.sleep(0.2)
    return left


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
    first, second, elsewhere = ({**report, "served_from": ""} for report in built["reports"])
    without_of = {key: value for key, value in first.items() if key != "refused"}
    assert without_of == {key: value for key, value in second.items() if key != "refused"}
    assert without_of == {key: value for key, value in elsewhere.items() if key != "refused"}
    assert first["datasets"] == [NAME]


@pytest.mark.slow
def test_each_build_is_served_from_its_own_folder(built):
    assert [report["served_from"] for report in built["reports"]] == [str(path) for path in built["dirs"]]


@pytest.mark.slow
def test_no_database_outlives_the_processes(built):
    assert built["left"] == []


@pytest.mark.slow
def test_a_process_that_has_a_database_refuses_another_folder(built, report):
    assert f"this process has its FiftyOne database in {built['dirs'][0]}" in report["refused"]


@pytest.mark.slow
def test_samples_stand_in_the_order_given_with_all_their_fields(report, expected):
    images, samples = expected[0], report["samples"]
    assert samples["content_id"] == [image.id for image in images]
    assert samples["label.label"] == [image.label for image in images]
    assert samples["source"] == [image.source for image in images]
    assert samples["group_id"] == [image.group for image in images]
    assert samples["split"] == [image.split for image in images]
    assert samples["origins"] == [list(image.origins) for image in images]
    assert samples["tags"] == [[word for word in (image.split, *image.tags) if word] for image in images]
    assert report["is_persistent"]


@pytest.mark.slow
def test_views_hold_the_images_of_a_split_or_tag(report, expected):
    for word in review.SAVED_VIEWS:
        assert report["views"][word] == [p.id for p in expected[0] if word in (p.split, *p.tags)]


@pytest.mark.slow
def test_brain_results_are_stored(report):
    assert report["brain_keys"] == ["features", "pca"]
    assert report["max_distance"] == MAX_DISTANCE
    assert report["points"] == [60, 2]
    assert report["like_the_first"] == 3


@pytest.mark.slow
def test_exact_copies_are_the_files_with_the_bytes_of_an_earlier_one(report, expected):
    by_bytes = {}
    for image in expected[0]:
        by_bytes.setdefault(image.path.read_bytes(), []).append(image.id)
    assert report["num_exact_copies"] == sum(len(ids) - 1 for ids in by_bytes.values()) == 4
    copy_of = {id: ids[0] for ids in by_bytes.values() if len(ids) > 1 for id in ids}
    assert _marks(report, "exact_copy_of") == copy_of
    assert sorted(report["views"]["exact_copies"]) == sorted(copy_of)


@pytest.mark.slow
def test_near_duplicates_are_those_that_a_greedy_pass_in_order_drops(report, expected):
    """The strongest claim that holds: the dropped set is equal, id for id.

    A pass in order over all pairs drops an image when one that it has kept is within max_distance. The number of
    components minus N would not do: of a chain A-B-C Brain may keep A and C, which are no neighbors.
    """
    images, _, distance = expected
    kept, dropped = [], set()
    for row, image in enumerate(images):
        if kept and distance[row, kept].min() <= MAX_DISTANCE:
            dropped.add(image.id)
        else:
            kept.append(row)
    assert {duplicate for _, duplicate in report["near_duplicates"]} == dropped
    assert report["num_near_duplicates"] == len(report["near_duplicates"]) == len(images) - len(kept)


@pytest.mark.slow
def test_brain_drops_what_the_pipeline_s_own_search_links_and_nothing_else(report, expected):
    """The pairs of tandem.curation.duplicates.search on the same rows: a greedy pass along them drops what Brain drops, id for id.

    The planted features have mean zero, so that Brain's centering changes no distance.
    """
    images, features, _ = expected
    pairs = radius_pairs(features, min_similarity=1 - MAX_DISTANCE)
    linked = set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    kept, dropped = [], set()
    for row, image in enumerate(images):
        if any((earlier, row) in linked for earlier in kept):
            dropped.add(image.id)
        else:
            kept.append(row)
    assert {duplicate for _, duplicate in report["near_duplicates"]} == dropped
    component = components(len(images), first=pairs.first, second=pairs.second)
    row_of = {image.id: row for row, image in enumerate(images)}
    assert all(component[row_of[one]] == component[row_of[other]] for one, other in report["near_duplicates"])
    by_bytes = Counter(image.path.read_bytes() for image in images)
    assert report["num_exact_copies"] == sum(count - 1 for count in by_bytes.values())


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
    pairs_and_cliques = {p.id for p, size in zip(images, sizes_by_row, strict=True) if size in (2, 8)}
    alone = {p.id for p, size in zip(images, sizes_by_row, strict=True) if size == 1}
    assert pairs_and_cliques <= named
    assert not alone & named


@pytest.mark.slow
def test_near_duplicates_are_marked_with_the_kept_id_and_stand_together(report):
    marks = {id: kept for kept, duplicate in report["near_duplicates"] for id in (kept, duplicate)}
    assert _marks(report, "near_duplicate_of") == marks
    shown = [marks[id] for id in report["views"]["near_duplicates"]]
    assert shown == sorted(shown)


def _marks(report, field):
    samples = report["samples"]
    return {id: kept for id, kept in zip(samples["content_id"], samples[field], strict=True) if kept}


def test_the_mean_of_the_planted_features_is_zero(tmp_path):
    _, features = planted(tmp_path)
    assert np.abs(features.astype(np.float64).mean(axis=0)).max() < 1e-9


@pytest.mark.slow
def test_a_database_that_does_not_answer_is_named(tmp_path):
    (tmp_path / "files").mkdir()
    uri = "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=500"
    ended = subprocess.run(
        [sys.executable, __file__, tmp_path / "db", tmp_path / "files", tmp_path / "report.json"],
        env=_environment(FIFTYONE_DATABASE_URI=uri),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    last = ended.stderr.strip().splitlines()[-1]
    assert ended.returncode == 1
    assert "ReviewError: the database that FIFTYONE_DATABASE_URI names does not answer" in last
    assert "127.0.0.1:9" in last
    assert "Connection refused" in last


@pytest.mark.slow
def _mongod(database_dir):
    """A mongod that no FiftyOne has started, ready."""
    database_dir.mkdir()
    command = [mongod.find(), "--dbpath", database_dir, "--port", "0", "--nounixsocket"]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    next(line for line in started.stdout if "Waiting for connections" in line)
    return started


def test_an_orphaned_mongod_of_the_folder_is_ended(tmp_path):
    (tmp_path / "files").mkdir()
    orphan = _mongod(tmp_path / "db")
    try:
        database._end_orphan(tmp_path / "db")
        assert orphan.wait(10) == 0
        database._end_orphan(tmp_path / "db")
    finally:
        orphan.kill()
        orphan.communicate(timeout=60)


def test_a_mongod_of_another_folder_is_left_alone(tmp_path):
    other = _mongod(tmp_path / "other")
    try:
        (tmp_path / "db").mkdir()
        (tmp_path / "db" / "mongod.lock").write_text(f"{other.pid}\n")
        database._end_orphan(tmp_path / "db")
        time.sleep(1)
        assert other.poll() is None
    finally:
        other.kill()
        other.communicate(timeout=60)


def test_an_orphan_that_does_not_end_is_named_by_its_pid(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "_PATIENCE_S", 1)
    orphan = _mongod(tmp_path / "db")
    try:
        os.kill(orphan.pid, signal.SIGSTOP)
        with pytest.raises(ReviewError, match=rf"mongod with pid {orphan.pid} .* still holds {tmp_path / 'db'}"):
            database._end_orphan(tmp_path / "db")
    finally:
        orphan.kill()
        orphan.communicate(timeout=60)


def _build_in_vain(tmp_path, images, features):
    review.replace_dataset(name=NAME, database_dir=tmp_path / "db", images=images, features=features, max_distance=0.1)


def test_features_of_another_number_of_rows_are_refused(tmp_path):
    images, features = planted(tmp_path)
    with pytest.raises(DataError, match=r"got 60 images and features of shape \(59, 40\)"):
        _build_in_vain(tmp_path, images, features[1:])


def test_an_id_that_occurs_twice_is_refused(tmp_path):
    images, features = planted(tmp_path)
    with pytest.raises(DataError, match=f"{images[0].id} occurs twice"):
        _build_in_vain(tmp_path, [images[0], images[0], *images[2:]], features)


def test_a_missing_file_is_named(tmp_path):
    images, features = planted(tmp_path)
    absent = replace(images[0], path=tmp_path / "absent.png")
    with pytest.raises(DataError, match=r"there is no file .*absent\.png"):
        _build_in_vain(tmp_path, [absent, *images[1:]], features)


def test_a_database_folder_that_is_a_file_is_named(tmp_path):
    images, features = planted(tmp_path)
    (tmp_path / "db").write_text("")
    with pytest.raises(ReviewError, match=f"cannot be in {tmp_path / 'db'}"):
        _build_in_vain(tmp_path, images, features)


if __name__ == "__main__":
    _child(*sys.argv[1:])
