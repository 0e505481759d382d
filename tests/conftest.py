"""What holds for all tests."""

import gc
import os
import signal
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from scratch_project import NO_AWS

# How long an example takes says more of the machine than of the code.
settings.register_profile("tandem", deadline=None)
settings.load_profile("tandem")

# There is one of pytest's workers a core; a thread a core in each of them would only wait for the others.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import tandem.features.backbones.torchvision  # noqa: F401  # before any test file, which would import more by it

# A shell starts what runs in the background with Ctrl-C ignored, and the children of the tests would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# What was imported and collected stays: at Python's 700 garbage is sought in it again and again.
gc.set_threshold(10_000)


KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}

# Files of so many slow tests that pytest's workers share them; the tests of any other file stay on one worker, which
# makes what they have in common once.
SHARED_OUT = ("test_pipeline.py", "test_docs_run.py", "test_download_faults.py")
# Files that use the fixture `two_nodes` stay on one worker together: the cluster takes longer to start than most tests.
ON_NODES = ("cluster/test_ray.py", "cluster/test_ray_group.py", "project/test_cluster.py")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """No test reads or writes what the user's own runs keep in their cache folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TANDEM_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def two_nodes():
    """A Ray cluster of two nodes, processes of this machine, which look for their object store on a free port."""
    if find_spec("ray") is None:  # an import would read from the environment what running_nodes sets there
        pytest.skip("Ray is not installed: pip install 'tandem[cluster]'")
    from ray_nodes import free_port, running_nodes

    store = {"AWS_ENDPOINT_URL": f"http://127.0.0.2:{free_port()}", **NO_AWS, **KEYS}
    store["RAY_prestart_worker_first_driver"] = "0"  # a process a CPU of each node, of which most would never be used
    with running_nodes(2, python_path=[Path(__file__).parent], environment=store) as nodes:
        yield nodes


class FilesOrTests(LoadScopeScheduling):
    """Hands files to pytest's workers as they become free, and of those that are shared out single tests."""

    def _split_scope(self, nodeid):
        path = nodeid.partition("::")[0]
        if path.endswith(ON_NODES):
            return "two_nodes"
        return nodeid if path.endswith(SHARED_OUT) else path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """Two more than cores, since some tests wait for a clock, a service or a database; at most 8, for memory's sake."""
    return min((os.cpu_count() or 1) + 2, 8)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """xdist_group marks would say the same, but pytest-xdist 3.8 does not see them under pytest 9.2."""
    return FilesOrTests(config, log)


def pytest_collection_modifyitems(items):
    """The files with slow tests first, so that no worker is left with one of them at the end.

    Each file as a whole: what its tests have in common is made once. Of these the file that makes the clone of the
    fixture `first` is the very first, and others that copy it come last: they would wait for it.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    copies = list(dict.fromkeys(item.path for item in items if "first" in item.fixturenames and item.path in slow))
    rank = {path: 1 + (path in copies) for path in slow} | dict.fromkeys(copies[:1], 0)
    items.sort(key=lambda item: rank.get(item.path, 3))
