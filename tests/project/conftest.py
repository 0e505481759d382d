"""A clone in which the whole pipeline ran once, and copies of it for tests to work in."""

import json
from dataclasses import asdict

import pytest
import requests
from filelock import FileLock

from scratch_project import Clone, Run, copied, generate_sources, make_clone, processes, tiny_params


@pytest.fixture(scope="session")
def first(tmp_path_factory, worker_id):
    """A clone, its first run, and what git had to say about the files after it; then the results are committed.

    Made once for all of pytest's workers, which copy it.
    """
    base = tmp_path_factory.getbasetemp()
    root = (base if worker_id == "master" else base.parent) / "first"
    with FileLock(f"{root}.lock"):
        if not (root / "run.json").is_file():
            make_first(root)
    run, status = json.loads((root / "run.json").read_text(encoding="utf-8"))
    run |= {"ran": set(run["ran"]), "restored": set(run["restored"])}
    return Clone(root / "clone", features_in(root)), Run(**run), status


def features_in(root):
    """Features that were computed once, for the clone and all its copies."""
    return {"TANDEM_CACHE_DIR": str(root / "cache")}


def make_first(root):
    root.mkdir()
    generate_sources(root / "sources", per_label=8)
    clone = make_clone(root / "clone", params=tiny_params(root / "sources"), **features_in(root))
    run = asdict(clone.counting(root / "counts.csv").repro())
    status = clone.git("status", "--porcelain").splitlines()
    clone.commit("results")
    clone.git("gc", "--quiet")  # a thousand files fewer in each copy
    run |= {"ran": sorted(run["ran"]), "restored": sorted(run["restored"])}
    (root / "run.json").write_text(json.dumps([run, status]), encoding="utf-8")


@pytest.fixture(scope="session")
def work(tmp_path_factory):
    """The folder of this worker's clones."""
    folder = tmp_path_factory.mktemp("pipeline")
    yield folder
    for process in processes(folder):  # none, if all is well; else they would outlive the tests
        process.kill()


@pytest.fixture
def clone(first, work, request):
    with copied(first[0], work, request.node.name) as copy:
        yield copy


@pytest.fixture(scope="module")
def bucket():
    """The address of an S3-compatible server that ends with this process, with the bucket `team`."""
    from moto.server import ThreadedMotoServer  # takes half a second, which other files should not wait for

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    requests.put(f"http://{host}:{port}/team", timeout=60).raise_for_status()
    yield f"http://{host}:{port}"
    server.stop()
