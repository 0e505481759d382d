"""Which executor `runtime.cluster` stands for, open for as long as a stage needs it."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from tandem.cluster.local import LOCAL
from tandem.cluster.work import ANY_CLUSTER, Executor
from tandem.errors import ParamsError


def require_ray(cluster: str | None) -> None:
    """Raise ParamsError where a cluster is asked for and Ray is not installed."""
    if cluster is not None and find_spec("ray") is None:
        raise ParamsError(
            f"runtime.cluster is {cluster!r}, and Ray is not installed; install it (pip install 'tandem[cluster]') "
            "here and on all nodes, or set it to null"
        )


@contextmanager
def open_executor(cluster: str | None) -> Iterator[Executor]:
    """This machine for None; else Ray.

    cluster: "auto" for the cluster that Ray finds (RAY_ADDRESS, or one that was started on this machine), and a new one
    on this machine where it finds none; else an address, such as 10.0.0.2:6379. Raises ParamsError without Ray, and
    ClusterError for a cluster that cannot be used.
    """
    require_ray(cluster)
    if cluster is None:
        yield LOCAL
        return
    from tandem.cluster.ray import connected  # which loads Ray

    with connected(None if cluster == ANY_CLUSTER else cluster) as executor:
        yield executor
