"""One attempt: a client in a child process of its own, watched, and killed when it says nothing or too much."""

import json
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from shutil import disk_usage
from typing import IO, Any, NamedTuple

from tqdm import tqdm

from tandem.sources.failures import Failure, Kind
from tandem.sources.scrubbing import scrubbed

_TICK_S = 0.2
_NUM_LINES_KEPT = 50
# What the clients read from the environment and we do not want them to: other credentials, other folders, and VERBOSE,
# which prints the Authorization header.
_OF_THE_CLIENTS = ("KAGGLE_", "ROBOFLOW_")
_ENDPOINTS = ("KAGGLE_API_ENVIRONMENT", "ROBOFLOW_REGION", "ROBOFLOW_ENVIRONMENT")
_UNWANTED = ("VERBOSE", "VERBOSE_OUTPUT", "DATASET_DIRECTORY", "XDG_CONFIG_HOME")


@dataclass(frozen=True)
class Limits:
    """connect_s, silence_s: longest wait for a connection, for a byte. grace_s: added for what is not the network's.

    total_s: longest attempt. max_bytes: largest archive. attempts: how many at most; before the second, wait_s pass,
    doubled each time up to max_wait_s, with jitter, or what the service asks for, up to max_retry_after_s.
    """

    connect_s: float = 10
    silence_s: float = 60
    grace_s: float = 60
    total_s: float = 6 * 3600
    max_bytes: int = 200 * 10**9
    attempts: int = 5
    wait_s: float = 2
    max_wait_s: float = 60
    max_retry_after_s: float = 600


DEFAULT_LIMITS = Limits()


class Task(NamedTuple):
    """client: module of the child. job: what the child is told. environ: what it finds in its environment beside ours.

    secrets: values that no text may show. title: beside the progress bar.
    """

    client: str
    job: Mapping[str, Any]
    environ: Mapping[str, str]
    secrets: tuple[str, ...]
    title: str


@dataclass(frozen=True)
class Done:
    """result: what the client's child returned. hashes: x-goog-hash as served, "" if not. num_bytes: as stated."""

    result: Mapping[str, Any] = field(default_factory=dict)
    place: str = ""
    hashes: str = ""
    etag: str = ""
    num_bytes: int | None = None


def attempt(task: Task, *, home: Path, limits: Limits, environ: Mapping[str, str]) -> Done | Failure:
    """Run the client once. home: an empty folder that the client takes for the user's home.

    environ: the environment that the child inherits, but for what its client would take credentials or paths from.
    """
    job = {**task.job, "connect_s": limits.connect_s, "read_s": limits.silence_s}
    printed: deque[str] = deque(maxlen=_NUM_LINES_KEPT)
    with (
        _child(task.client, job, _prepared(environ, task.environ, home), printed) as lines,
        tqdm(desc=task.title, unit="B", unit_scale=True, disable=None) as bar,
    ):
        ended = _follow(lines, _Watch(bar, room=home, limits=limits))
    if isinstance(ended, Failure):
        ended = ended._replace(said=scrubbed(ended.said, task.secrets), place=scrubbed(ended.place, task.secrets))
        _show_if_asked(printed, task.secrets, environ)
    return ended


def _follow(lines: "queue.Queue[str | None]", watch: "_Watch") -> Done | Failure:
    ended: Done | Failure | None = None
    while ended is None:
        try:
            line = lines.get(timeout=_TICK_S)
        except queue.Empty:
            ended = watch.overdue()
            continue
        ended = watch.take(json.loads(line)) if line else watch.failure("client", "its process ended without a word")
    return ended


@dataclass
class _Watch:
    """What is known of a running child. start: where its answer begins in the archive. room: a folder on its disk."""

    bar: "tqdm[None]"
    room: Path
    limits: Limits
    done: Done = field(default_factory=Done)
    start: int = 0
    begun: float = field(default_factory=time.monotonic)
    heard: float = field(default_factory=time.monotonic)

    def failure(self, kind: Kind, said: str) -> Failure:
        return Failure(kind, said, place=self.done.place)

    def overdue(self) -> Failure | None:
        silence_s = self.limits.silence_s + self.limits.grace_s
        if time.monotonic() - self.heard > silence_s:
            return self.failure("silence", f"for {silence_s:g} s")
        if time.monotonic() - self.begun > self.limits.total_s:
            return self.failure("deadline", f"more than {self.limits.total_s:g} s")
        return None

    def take(self, report: dict[str, Any]) -> Done | Failure | None:
        """Note a report of the child's; the end of the attempt if this was its last, or one too many."""
        self.heard, event = time.monotonic(), report.pop("event")
        if event == "ended":
            return replace(self.done, result=report["result"])
        if event == "failed":
            return _failure(report)
        if event == "asked":
            self.done = replace(self.done, place=report["place"])
        elif event == "archive":
            return self._begin(**report)
        elif event == "bytes":
            self.bar.update(self.start + report["num_bytes"] - self.bar.n)
            return self._too_large(int(self.bar.n)) or self.overdue()
        return None

    def _begin(self, *, num_bytes: int | None, start: int, hashes: str, etag: str) -> Failure | None:
        self.start = start
        self.done = replace(self.done, num_bytes=num_bytes, hashes=hashes or self.done.hashes, etag=etag)
        self.bar.reset(num_bytes)
        needed, free = (num_bytes or 0) - start, disk_usage(self.room).free
        if needed > free:
            return self.failure("disk", f"{needed} bytes are needed at {self.room}, {free} are free")
        return self._too_large(num_bytes or 0)

    def _too_large(self, num_bytes: int) -> Failure | None:
        if num_bytes > self.limits.max_bytes:
            return self.failure("size", f"{num_bytes} bytes, above {self.limits.max_bytes}")
        return None


def _failure(report: dict[str, Any]) -> Failure:
    return Failure(**report | {"retry_after_s": _seconds(report.pop("retry_after", ""))})


def _seconds(retry_after: str) -> float:
    """Seconds that a Retry-After header asks for, in either of its two forms (RFC 9110, 10.2.3)."""
    try:
        if retry_after.strip().isdigit():
            return float(retry_after)
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0


def _prepared(environ: Mapping[str, str], own: Mapping[str, str], home: Path) -> dict[str, str]:
    kept = {
        key: value
        for key, value in environ.items()
        if key in _ENDPOINTS or not (key.startswith(_OF_THE_CLIENTS) or key in _UNWANTED)
    }
    return {
        **kept,
        "HOME": str(home),
        "KAGGLE_CONFIG_DIR": str(home),
        "ROBOFLOW_CONFIG_DIR": str(home / "config.json"),
        "PYTHON_DOTENV_DISABLED": "1",  # roboflow loads any .env above it, Kaggle's key in it included
        **own,
    }


@contextmanager
def _child(
    client: str, job: Mapping[str, Any], environ: Mapping[str, str], printed: deque[str]
) -> Iterator["queue.Queue[str | None]"]:
    """A queue of the child's reports, None at their end. The child is dead when the block is left."""
    process = subprocess.Popen(
        [sys.executable, "-m", client],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        env=environ,
        start_new_session=True,  # Ctrl-C reaches the parent alone, which ends the child
    )
    assert process.stdin and process.stdout and process.stderr
    lines: queue.Queue[str | None] = queue.Queue()
    threads = [
        threading.Thread(target=_put_all, args=(process.stdout, lines), daemon=True),
        threading.Thread(target=printed.extend, args=(process.stderr,), daemon=True),
    ]
    try:
        for thread in threads:
            thread.start()
        _tell(process.stdin, job)
        yield lines
    finally:
        process.kill()
        process.wait()
        for thread in threads:
            thread.join()
        for pipe in (process.stdin, process.stdout, process.stderr):
            with suppress(BrokenPipeError):
                pipe.close()


def _tell(pipe: IO[str], job: Mapping[str, Any]) -> None:
    """Hand over the job. The pipe stays open: at its end the child knows that its parent is gone."""
    with suppress(BrokenPipeError):  # the child is dead already, and so will be found
        pipe.write(json.dumps(job) + "\n")
        pipe.flush()


def _put_all(pipe: Iterable[str], lines: "queue.Queue[str | None]") -> None:
    for line in pipe:
        lines.put(line)
    lines.put(None)


def _show_if_asked(printed: Iterable[str], secrets: Iterable[str], environ: Mapping[str, str]) -> None:
    if environ.get("TANDEM_TRACEBACK") == "1":
        sys.stderr.write(scrubbed("".join(printed), secrets))
