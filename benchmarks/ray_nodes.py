"""Nodes of a Ray cluster as processes of this machine, each with an address of the loopback interface."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil  # type: ignore[import-untyped]

# Ray replaces 127.0.0.1 by the machine's address in its network; others of the loopback interface stay.
_HOST = "127.0.0.{}"
_FIRST = 2
_PORTS = range(20_000, 32_000)  # none of them ephemeral
_PATIENCE_S = 240
_STORE_BYTES = 150_000_000
# Ray's servers listen on all of the machine's addresses: so nobody else may use a cluster. Without this, they would do
# what a file in the user's home says.
_AUTHENTICATION = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
# A busy machine is no dead one: a process that was killed is noticed by its connections.
_DETECTION = {"RAY_health_check_period_ms": "1000", "RAY_health_check_failure_threshold": "10"}


@dataclass
class Nodes:
    """A cluster. address: of its first node. processes: `ray start`, by the number of the node.

    python_path: folders that processes of works import from besides. environment: of all nodes, besides.
    """

    folder: Path
    address: str
    python_path: Sequence[Path] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    processes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    def add(self, *, num_cpus: int = 2, cores: Sequence[int] = ()) -> int:
        """Start another node; its number. cores: that its processes run on, all where none is named."""
        number = max(self.processes, default=_FIRST - 1) + 1
        log = self.folder / f"node-{number}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                self._command(number, num_cpus=num_cpus), env=self._environment(), stdout=file, stderr=file
            )
        self.processes[number] = process
        if cores:
            psutil.Process(process.pid).cpu_affinity(list(cores))  # its children inherit it
        end = time.monotonic() + _PATIENCE_S
        while "Ray runtime started" not in log.read_text(errors="replace"):
            if time.monotonic() > end or process.poll() is not None:
                raise RuntimeError(f"node {number} did not start: {log.read_text(errors='replace')}")
            time.sleep(0.1)
        return number

    def kill(self, number: int) -> None:
        """End all processes of a node at once, as a loss of power does."""
        process = self.processes.pop(number)
        if process.poll() is None:
            main = psutil.Process(process.pid)
            for each in [*main.children(recursive=True), main]:
                each.kill()
        process.wait(timeout=_PATIENCE_S)

    def _command(self, number: int, *, num_cpus: int) -> list[str]:
        role = [f"--address={self.address}"]
        if not self.processes:
            port = self.address.rpartition(":")[2]
            role = ["--head", f"--port={port}", f"--ray-client-server-port={free_port()}", "--include-dashboard=false"]
            role += [f"--temp-dir={self.folder}"]
        options = [f"--node-ip-address={_HOST.format(number)}", f"--num-cpus={num_cpus}", "--num-gpus=0"]
        options += [f"--object-store-memory={_STORE_BYTES}", "--min-worker-port=0", "--max-worker-port=0"]
        return [
            sys.executable,
            "-m",
            "ray.scripts.scripts",
            "start",
            "--block",
            "--disable-usage-stats",
            *role,
            *options,
        ]

    def _environment(self) -> Mapping[str, str]:
        """As on another machine, where nothing is set of what is set where a stage runs."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "TANDEM_", "PYTHON"))}
        path = {"PYTHONPATH": os.pathsep.join(map(str, self.python_path))} if self.python_path else {}
        return {**own, **_DETECTION, **path, **self.environment} | {
            "RAY_TMPDIR": str(self.folder),
            "RAY_USAGE_STATS_ENABLED": "0",
        }


@contextmanager
def running_nodes(
    num_nodes: int, *, python_path: Sequence[Path] = (), environment: Mapping[str, str] | None = None
) -> Iterator[Nodes]:
    """A cluster of so many nodes, all of which are ended."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # short: Ray's sockets lie in it
    nodes = Nodes(folder, f"{_HOST.format(_FIRST)}:{free_port()}", python_path, environment or {})
    before = {name: os.environ.get(name) for name in _AUTHENTICATION}
    os.environ.update(_AUTHENTICATION)  # of this process, which connects, and of the nodes
    try:
        for _ in range(num_nodes):
            nodes.add()
        yield nodes
    finally:
        for number in sorted(nodes.processes, reverse=True):
            nodes.kill(number)
        shutil.rmtree(folder, ignore_errors=True)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def free_port() -> int:
    """A port that nothing listens on, and that no system hands out: Ray's servers would share one silently."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as found, suppress(OSError):
            found.bind(("", port))
            return port
