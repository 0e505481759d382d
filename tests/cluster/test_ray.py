"""The same rows from the nodes of a real Ray cluster as from this process, whatever happens to the nodes."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np
import psutil
import pytest
import requests
from PIL import Image

from factories import RANDOM_WEIGHTS, extract_settings, ingest_settings
from killing import Killing
from planted_images import png, smooth_image, with_capture
from ray_nodes import Nodes, free_port
from ray_works import Different, Rows
from tandem.cache.store import CACHE_DIR
from tandem.cluster.executor import open_executor
from tandem.cluster.local import LocalExecutor
from tandem.cluster.work import Executor
from tandem.curation.duplicates.by_features.approximate import FeatureSearch
from tandem.curation.duplicates.by_features.index import fit_centers
from tandem.curation.duplicates.by_features.rows import UnitRows
from tandem.curation.duplicates.by_features.search import similar_and_nearest
from tandem.curation.duplicates.candidates import Candidates
from tandem.curation.duplicates.descriptions import keypoints_reader
from tandem.curation.duplicates.hashes import hash_pairs
from tandem.curation.duplicates.pairs import unique_pairs
from tandem.curation.duplicates.verify import verify_candidates
from tandem.datasets.examples import SourceAnnotations
from tandem.datasets.formats.annotations import Annotation, Box
from tandem.datasets.ingest import ingest
from tandem.datasets.ingested import save_ingested
from tandem.errors import ClusterError, DataError
from tandem.features.embedding import BackbonePass
from tandem.sources.settings import BoxPolicy
from tandem.tables.copied import CopiedImage

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def cluster(two_nodes: Nodes) -> Iterator[Executor]:
    with open_executor(two_nodes.address) as executor:
        yield executor


def images(folder: Path, count: int) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = [folder / f"{number:03}.png" for number in range(count)]
    for path in paths:
        path.write_bytes(png(Image.fromarray(rng.integers(0, 256, (40, 52, 3), dtype=np.uint8))))
    return paths


def test_rows_come_in_order_from_processes_of_both_nodes(cluster: Executor) -> None:
    rows = list(cluster.compute(Rows(pause_s=0.02)).rows(range(200)))
    assert [row[0] for row in rows] == [number**2 for number in range(200)]
    assert len({row[1] for row in rows}) == 2


def test_features_are_the_same_bytes_as_of_one_machine(cluster: Executor, tmp_path: Path) -> None:
    """By the fastest engine; tests/project/test_cluster.py has the other one."""
    settings = extract_settings(size_px=64, engine="auto", tta_views=2)
    work = BackbonePass("mobilenet_v2", RANDOM_WEIGHTS, settings, "cpu", 16, 2)
    paths = images(tmp_path, 150)
    here, there = LocalExecutor().compute(work), cluster.compute(work)
    assert LocalExecutor().facts(work) == cluster.facts(work)
    assert np.stack(list(here.rows(paths))).tobytes() == np.stack(list(there.rows(paths))).tobytes()
    assert here.made == there.made


def test_images_in_a_bucket_need_no_shared_disk(cluster: Executor, two_nodes: Nodes, tmp_path: Path) -> None:
    from moto.server import ThreadedMotoServer

    settings = extract_settings(size_px=32)
    paths = images(tmp_path, 20)
    host, _, port = two_nodes.environment["AWS_ENDPOINT_URL"].removeprefix("http://").partition(":")
    server = ThreadedMotoServer(host, port=int(port), verbose=False)
    server.start()
    try:
        requests.put(f"http://{host}:{port}/team", timeout=60).raise_for_status()
        for path in paths:
            data = b"before" + path.read_bytes()
            requests.put(f"http://{host}:{port}/team/in/{path.name}", data=data, timeout=60).raise_for_status()
        copied = [
            CopiedImage(f"s3://team/in/{path.name}", 6, path.stat().st_size, sha256(path.read_bytes()).hexdigest())
            for path in paths
        ]
        work = BackbonePass("mobilenet_v2", RANDOM_WEIGHTS, settings, "cpu", 16, 2, reads_files=False)
        there = np.stack(list(cluster.compute(work).rows(copied)))
    finally:
        server.stop()
    assert there.tobytes() == np.stack(list(LocalExecutor().compute(work).rows(paths))).tobytes()


def test_what_ingest_writes_is_the_same_bytes_as_on_one_machine(cluster: Executor, tmp_path: Path) -> None:
    root = tmp_path / "files"
    root.mkdir()
    names = [path.name for path in images(root, 40)]
    (root / "copy.png").write_bytes((root / names[3]).read_bytes())
    (root / "cut.png").write_bytes((root / names[4]).read_bytes()[:-200])
    (root / names[5]).write_bytes(with_capture(smooth_image(5), "2024:05:01 10:11:12", format="PNG"))
    left, right = Box(0, 0, 0.5, 1), Box(0.5, 0, 0.5, 1)
    annotations = [Annotation(name, "car", box) for name in [*names, "cut.png"] for box in (left, None)]
    annotations += [Annotation("copy.png", "car", right)]
    source = SourceAnnotations(root, annotations, BoxPolicy("crop", 0.0, 4))
    written = dict[str, dict[str, bytes]]()
    for name, executor in {"here": LocalExecutor(), "there": cluster}.items():
        folder = tmp_path / name
        folder.mkdir()
        found = ingest("yard", source, ingest_settings(max_side_px=32), folder=folder, workers=2, executor=executor)
        save_ingested(found, folder)
        written[name] = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert written["here"] == written["there"]
    assert written["there"]["found.csv"].count(b",2024-05-01T10:11:12,EOS 6D") == 2
    assert len(found.images) == 81


def test_a_node_that_joins_is_used_and_one_that_is_killed_costs_no_row(cluster: Executor, two_nodes: Nodes) -> None:
    rows = cluster.compute(Rows(pause_s=0.02)).rows(range(3000))
    found = [next(rows) for _ in range(100)]
    third = two_nodes.add()
    while len({row[1] for row in found}) < 3:
        found.append(next(rows))
    found += [next(rows) for _ in range(100)]
    two_nodes.kill(third)
    found += rows
    assert [row[0] for row in found] == [number**2 for number in range(3000)]


def test_what_a_process_raises_is_raised_here_as_it_was(cluster: Executor) -> None:
    with pytest.raises(DataError, match="17 cannot be squared"):
        list(cluster.compute(Rows(fails_at=17)).rows(range(100)))


def test_a_file_that_is_gone_is_named(cluster: Executor, tmp_path: Path) -> None:
    work = BackbonePass("mobilenet_v2", RANDOM_WEIGHTS, extract_settings(size_px=32), "cpu", 16, 2)
    with pytest.raises(DataError, match=r"gone\.png cannot be read any more"):
        list(cluster.compute(work).rows([tmp_path / "gone.png"]))


def test_nodes_that_would_not_compute_the_same_are_refused(cluster: Executor) -> None:
    address = r"127\.0\.0\.\d"
    with pytest.raises(
        ClusterError, match=rf"node {address} and node {address} of the Ray cluster differ in libraries"
    ):
        cluster.facts(Different())


def test_memory_does_not_grow_with_what_is_computed(cluster: Executor) -> None:
    """A gigabyte of rows, of which a process holds a few batches."""
    before, most, of_process = psutil.Process().memory_info().rss >> 20, 0, dict[int, list[int]]()
    for _, process, megabytes, _ in cluster.compute(Rows(num_bytes=1_000_000)).rows(range(1000)):
        of_process.setdefault(process, []).append(megabytes)
        most = max(most, psutil.Process().memory_info().rss >> 20)
    assert most - before < 200
    assert all(max(each) - each[0] < 200 for each in of_process.values())


@pytest.mark.parametrize("setting", ["address", "environment"])
def test_an_address_without_a_cluster_is_said_at_once(setting: str) -> None:
    """In a process of its own: this one has a connection already."""
    address = f"127.0.0.2:{free_port()}"
    given, environment = (address, {}) if setting == "address" else ("auto", {"RAY_ADDRESS": address})
    code = f"from tandem.cluster.executor import open_executor\nwith open_executor({given!r}): pass"
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environment}
    )
    assert f"runtime.cluster is {given}, and no Ray cluster can be used at {address} ([Errno 111]" in done.stderr


def test_the_duplicate_search_finds_the_same_as_on_one_machine(
    cluster: Executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the bound of the exact search: hashes in buckets, keypoints, and pairs of images."""
    rng = np.random.default_rng(0)
    hashes = rng.integers(256, size=(400, 8, 32), dtype=np.uint8)
    hashes[200:300, 3] = hashes[:100, 0] ^ rng.choice(np.array([0, 1, 64], np.uint8), (100, 32))
    paths, sha256 = images(tmp_path, 30), [f"{number:064}" for number in range(30)]
    pairs = unique_pairs(*np.triu_indices(30, 1), np.ones(435, np.float32))
    candidates = Candidates(pairs, np.arange(435) % 2 == 0, np.zeros((0, 2), np.int64))
    found = []
    for executor in (LocalExecutor(), cluster):
        monkeypatch.setenv(CACHE_DIR, str(tmp_path / f"cache-{len(found)}"))
        by_hash = hash_pairs(hashes, max_distance=60, num_neighbors=2, exact_to=100, executor=executor)
        with keypoints_reader(paths, sha256, max_gb=0.01, executor=executor) as keypoints_of:
            scored = verify_candidates(candidates, keypoints_of, sha256, max_gb=0, executor=executor)
            described = [part.tobytes() for row in range(30) for part in keypoints_of(row)]
        found.append((by_hash.similar.tolist(), by_hash.nearest.tolist(), scored.correlation.tolist(), described))
    assert found[0] == found[1]
    assert len(found[0][0]) >= 95
    assert len(set(found[0][2])) > 1


def test_the_search_by_features_is_the_same_bytes_though_a_node_is_killed(
    cluster: Executor, two_nodes: Nodes, tmp_path: Path
) -> None:
    """Beyond the bound of the exact search, of features that are mapped from a file."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 32))[rng.integers(60, size=9000)] + 0.7 * rng.normal(size=(9000, 32))
    features[8000:] = 3 * features[:1000] + 0.1 * rng.normal(size=(1000, 32))
    np.save(tmp_path / "features.npy", features[:, None].astype(np.float32))
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")[:, 0]
    third, found = two_nodes.add(), []
    killing = Killing(cluster, lambda: two_nodes.kill(third))
    for executor in (LocalExecutor(), killing):
        pairs, nearest = similar_and_nearest(mapped, min_similarity=0.95, k=3, exact_to=100, executor=executor)
        found.append([part.tobytes() for part in (pairs.first, pairs.second, pairs.similarity, nearest)])
    assert found[0] == found[1]
    assert third not in two_nodes.processes
    assert len(pairs) >= 1000


def test_a_node_without_the_features_is_told_what_it_lacks(cluster: Executor, tmp_path: Path) -> None:
    np.save(tmp_path / "features.npy", np.random.default_rng(0).normal(size=(500, 8)))
    rows = UnitRows(np.load(tmp_path / "features.npy", mmap_mode="r"))
    search = cluster.compute(FeatureSearch(rows, fit_centers(rows), 0.9, 1))
    (tmp_path / "features.npy").unlink()  # as if it were another machine's disk
    with pytest.raises(ClusterError, match=r"a process cannot read .*features\.npy .*put the project on a disk"):
        list(search.rows(range(0, 500, 256)))


LISTENS = """
import psutil
from ray_works import Rows
from tandem.cluster.executor import open_executor
with open_executor("auto") as executor:
    rows = list(executor.compute(Rows()).rows(range(20)))
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    listening = [each for process in processes for each in process.net_connections("tcp") if each.status == "LISTEN"]
print(len(rows), len(listening), *sorted({each.laddr.ip.removeprefix("::ffff:") for each in listening}))
"""


def test_a_cluster_that_a_stage_starts_listens_on_the_loopback_interface_alone() -> None:
    """Where none was started on this machine, of which Ray finds the address in its folder."""
    tests = str(Path(__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": tests, "RAY_TMPDIR": tempfile.mkdtemp(prefix="ray-", dir="/tmp")}
    command = [sys.executable, "-c", LISTENS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    shutil.rmtree(environment["RAY_TMPDIR"])
    num_rows, num_listening, *addresses = done.stdout.split()
    assert (int(num_rows), addresses) == (20, ["127.0.0.1"])
    assert int(num_listening) >= 4
