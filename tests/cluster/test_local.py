"""A work in this process: what it has to do with an engine is nothing but its rows."""

import subprocess
import sys
from collections.abc import Iterator, Sequence

from tandem.cluster.local import LocalExecutor
from tandem.cluster.work import Facts, Share, Started, Work


class Doubled(Work[int, int]):
    """Counts how often it is started, and the batches that it gets."""

    title, share = "doubled", Share(1)

    def __init__(self) -> None:
        self.num_starts, self.batches_got = 0, list[list[int]]()

    def facts(self) -> Facts:
        return {"factor": 2}

    def start(self) -> Started[int, int]:
        self.num_starts += 1
        return Started({"engine": "times"}, self._rows)

    def batches(self, items: Sequence[int], num_batches: int) -> Iterator[Sequence[int]]:
        raise AssertionError("here all items are one batch")

    def _rows(self, items: Sequence[int]) -> Iterator[int]:
        self.batches_got.append(list(items[:10]))
        return (2 * item for item in items)


def test_it_is_started_once_and_when_it_is_needed() -> None:
    work = Doubled()
    computation = LocalExecutor().compute(work)
    assert list(computation.rows([])) == []
    assert (LocalExecutor().facts(work), work.num_starts) == ({"factor": 2}, 0)
    assert list(computation.rows([3, 4])) == [6, 8]
    assert (list(computation.rows([5])), computation.made) == ([10], {"engine": "times"})
    assert (work.num_starts, work.batches_got) == (1, [[3, 4], [5]])


def test_rows_come_as_they_are_computed() -> None:
    assert next(LocalExecutor().compute(Doubled()).rows(range(10**9))) == 0


def test_without_a_cluster_nothing_of_ray_is_loaded() -> None:
    code = (
        "from tandem.cluster.executor import open_executor\n"
        "import tandem.datasets.ingest, tandem.features.reuse, tandem.pipeline.schema, sys\n"
        "with open_executor(None): print(*[name for name in sys.modules if name.split('.')[0] == 'ray'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == ""
