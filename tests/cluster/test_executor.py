"""What runtime.cluster stands for, and what is said where it cannot be."""

import subprocess
import sys

import pytest

from tandem.cluster.executor import open_executor, require_ray
from tandem.cluster.local import LocalExecutor


def test_without_a_cluster_it_is_this_machine() -> None:
    with open_executor(None) as executor:
        assert isinstance(executor, LocalExecutor)


def test_ray_is_not_asked_for_where_no_cluster_is() -> None:
    require_ray(None)


@pytest.mark.parametrize("cluster", ["auto", "10.0.0.2:6379"])
def test_without_ray_one_sentence_names_the_extra(cluster: str) -> None:
    code = (
        "import sys\nsys.modules['ray'] = None\n"  # as if it were not installed
        f"from tandem.cluster.executor import open_executor\nwith open_executor({cluster!r}): pass"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert f"runtime.cluster is '{cluster}', and Ray is not installed; install it (pip install 'tandem[cluster]')" in (
        done.stderr
    )
