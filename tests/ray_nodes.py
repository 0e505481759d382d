"""Nodes of a Ray cluster as processes of this machine, and works that tests give them."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from tandem.cluster.work import Facts, Share, Started, Work
from tandem.errors import DataError

TESTS = Path(__file__).parent
# Ray replaces 127.0.0.1 by the machine's address in its network; others of the loopback interface stay.
_HOST = "127.0.0.{}"
_FIRST = 2
_PATIENCE_S = 120
_STORE_BYTES = 150_000_000
# a node that was killed is noticed in seconds; a busy machine is no dead one
_DETECTION = {"RAY_health_check_period_ms": "1000", "RAY_health_check_failure_threshold": "10"}


@dataclass
class Nodes:
    """A cluster. address: of its first node. processes: `ray start`, by the number of the node."""

    folder: Path
    address: str
    processes: dict[int, subprocess.Popen] = field(default_factory=dict)

    def add(self, *, num_cpus: int = 2) -> int:
        """Start another node; its number."""
        number = max(self.processes, default=_FIRST - 1) + 1
        host = _HOST.format(number)
        if self.processes:
            role = [f"--address={self.address}"]
        else:
            port = self.address.rpartition(":")[2]
            role = ["--head", f"--port={port}", f"--ray-client-server-port={free_port()}", "--include-dashboard=false"]
            role += [f"--temp-dir={self.folder}"]
        options = [f"--node-ip-address={host}", f"--num-cpus={num_cpus}", "--num-gpus=0", "--disable-usage-stats"]
        options += [f"--object-store-memory={_STORE_BYTES}", "--min-worker-port=0", "--max-worker-port=0"]
        environment = {**os.environ, **_DETECTION, "PYTHONPATH": str(TESTS), "RAY_TMPDIR": str(self.folder)}
        environment.pop("OMP_NUM_THREADS", None)  # as on another machine, where nothing of the stage's is set
        with (self.folder / f"node-{number}.log").open("wb") as log:
            command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *role, *options]
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        self.processes[number] = process
        self._wait_for(number)
        return number

    def kill(self, number: int) -> None:
        """End all processes of a node at once, as a loss of power does."""
        process = self.processes.pop(number)
        for each in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
            each.kill()
        process.wait(timeout=_PATIENCE_S)

    def _wait_for(self, number: int) -> None:
        log = self.folder / f"node-{number}.log"
        end = time.monotonic() + _PATIENCE_S
        while "Ray runtime started" not in log.read_text(errors="replace"):
            if time.monotonic() > end or self.processes[number].poll() is not None:
                raise RuntimeError(f"node {number} did not start: {log.read_text(errors='replace')}")
            time.sleep(0.1)


@contextmanager
def running(num_nodes: int) -> Iterator[Nodes]:
    """A cluster of so many nodes, all of which are ended."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # short: Ray's sockets lie in it
    nodes = Nodes(folder, f"{_HOST.format(_FIRST)}:{free_port()}")
    try:
        for _ in range(num_nodes):
            nodes.add()
        yield nodes
    finally:
        for number in sorted(nodes.processes, reverse=True):
            nodes.kill(number)
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as found:
        found.bind((_HOST.format(_FIRST), 0))
        return found.getsockname()[1]


@dataclass(frozen=True)
class Rows(Work[int, tuple[int, int, int]]):
    """Of a number: its square, the process that computed it, and that one's memory in MB. pause_s: of each.

    num_bytes: that a row carries besides.
    """

    pause_s: float = 0
    num_bytes: int = 0
    batch: int = 10
    fails_at: int = -1

    @property
    def title(self) -> str:
        return "squares"

    @property
    def share(self) -> Share:
        return Share(None)

    def facts(self) -> Facts:
        return {"library": 1}

    def start(self) -> Started:
        return Started({"engine": "squares"}, self._rows)

    def batches(self, items: Sequence[int], num_batches: int) -> Iterator[Sequence[int]]:
        return (items[at : at + self.batch] for at in range(0, len(items), self.batch))

    def _rows(self, items: Sequence[int]) -> Iterator[tuple]:
        for item in items:
            time.sleep(self.pause_s)
            if item == self.fails_at:
                raise DataError(f"{item} cannot be squared")
            yield item**2, os.getpid(), psutil.Process().memory_info().rss >> 20, np.zeros(self.num_bytes, np.uint8)


class Different(Rows):
    """Facts of which each process has its own."""

    def facts(self) -> Facts:
        return {"libraries": os.getpid(), "code": "one"}
