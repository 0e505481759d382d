"""A mongod that runs in one folder as long as the process that started it needs it, and ends with that process.

FiftyOne would start it through a process of its own which imports all of FiftyOne, 5 s of a core each time.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from tandem.errors import ReviewError

LOG = Path("log/mongo.log")  # in the folder
_LISTENING_ID = 23016  # of the log's line "Waiting for connections"
_START_TIMEOUT_S = 60
_TERMINATE_TIMEOUT_S = 30
# Its standard input ends when the process that started it has ended, be it by a kill. It ends when mongod does.
_KEEPER = """
import subprocess, sys, threading
mongod = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
def end():
    sys.stdin.read()
    mongod.terminate()
threading.Thread(target=end, daemon=True).start()
sys.exit(mongod.wait())
"""


@contextmanager
def running_mongod(executable: Path, folder: Path, *, explain: Callable[[str], str]) -> Iterator[Callable[[], int]]:
    """Start a mongod on 127.0.0.1; yields what waits until it listens and returns its port.

    It has ended when the block is left. The caller is the only one that uses the folder. A mongod that was left there
    is ended first. Raises ReviewError when an earlier one does not end, or, in the words of explain(problem), when it
    does not start.
    """
    if not executable.exists():
        raise ReviewError(explain(f"did not start: there is no {executable}"))
    _end_earlier(folder)
    log = folder / LOG
    log.parent.mkdir(exist_ok=True)
    command = [executable, "--dbpath", folder, "--port", "0", "--bind_ip", "127.0.0.1", "--nounixsocket"]
    with log.open("wb") as output:
        keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _KEEPER, *map(str, command)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C in a terminal is for the caller, which ends it in its own time
        )
    try:
        yield lambda: _port(keeper, log, explain)
    finally:
        assert keeper.stdin
        keeper.stdin.close()
        keeper.wait()


def _port(keeper: "subprocess.Popen[bytes]", log: Path, explain: Callable[[str], str]) -> int:
    end = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < end:
        has_ended = keeper.poll() is not None  # before the log is read: then all of it is there
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        if ports := [port for line in lines if (port := _listening_port(line))]:
            return ports[0]
        if has_ended:
            raise ReviewError(
                explain(f"did not start: mongod ended with exit code {keeper.returncode}: {_reason(lines)}")
            )
        time.sleep(0.05)
    raise ReviewError(explain(f"did not start: mongod does not listen after {_START_TIMEOUT_S} s"))


def _listening_port(line: str) -> int | None:
    entry = _entry(line)
    return int(entry["attr"]["port"]) if entry.get("id") == _LISTENING_ID else None


def _reason(lines: list[str]) -> str:
    """The first error in the log, or its last line; mongod's own words."""
    errors = [entry for line in lines if (entry := _entry(line)).get("s") in ("E", "F")]
    if not errors:
        return lines[-1][:300] if lines else "it said nothing"
    error = errors[0].get("attr", {}).get("error", "")
    detail = error.get("errmsg", "") if isinstance(error, dict) else error
    return f"{errors[0]['msg']} {detail}".strip()[:300]


def _entry(line: str) -> dict[str, Any]:
    """A line of mongod's log, which is JSON; {} for any other."""
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def _end_earlier(folder: Path) -> None:
    """End a mongod that still runs in the folder: what started it has been killed, or is ending."""
    lock = folder / "mongod.lock"
    pid = lock.read_text().strip() if lock.is_file() else ""
    if not pid:
        return
    try:
        process = psutil.Process(int(pid))
        if process.name() == "mongod" and str(folder) in process.cmdline():
            process.terminate()
            process.wait(_TERMINATE_TIMEOUT_S)
    except psutil.TimeoutExpired:
        raise ReviewError(
            f"mongod with pid {pid} (from mongod.lock) still runs in {folder}, and SIGTERM does not end it; "
            f"end it by `kill -9 {pid}` and run again"
        ) from None
    except psutil.Error:
        return
