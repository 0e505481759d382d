"""One attempt: a client in a child process of its own, watched, and killed when it says nothing or too much."""

import json
import queue
import sys
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from shutil import disk_usage
from typing import Any, NamedTuple

from tqdm import tqdm

from tandem.sources.transfer.failures import Failure, FailureKind
from tandem.sources.transfer.process import child, client_environ
from tandem.sources.transfer.redact import redacted

_TICK_S = 0.2
_NUM_LINES_KEPT = 50


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


class ClientCall(NamedTuple):
    """client: module of the child. job: what the child is told. environ: what it finds in its environment beside ours.

    secrets: values that no text may show. title: beside the progress bar.
    """

    client: str
    job: Mapping[str, Any]
    environ: Mapping[str, str]
    secrets: tuple[str, ...]
    title: str


@dataclass(frozen=True)
class Completed:
    """result: what the client's child returned. hashes: x-goog-hash as served, "" if not. num_bytes: as stated."""

    result: Mapping[str, Any] = field(default_factory=dict)
    place: str = ""
    hashes: str = ""
    etag: str = ""
    num_bytes: int | None = None


def attempt(task: ClientCall, *, home: Path, limits: Limits, environ: Mapping[str, str]) -> Completed | Failure:
    """Run the client once. home: an empty folder that the client takes for the user's home.

    environ: the environment that the child inherits, but for what its client would take credentials or paths from.
    """
    job = {**task.job, "connect_s": limits.connect_s, "read_s": limits.silence_s}
    printed: deque[str] = deque(maxlen=_NUM_LINES_KEPT)
    with (
        child(task.client, job, client_environ(environ, task.environ, home=home), printed) as lines,
        tqdm(desc=task.title, unit="B", unit_scale=True, disable=None) as bar,
    ):
        ended = _update_ema(lines, _Watch(bar, room=home, limits=limits))
    if isinstance(ended, Failure):
        ended = ended._replace(said=redacted(ended.said, task.secrets), place=redacted(ended.place, task.secrets))
        _print_if_verbose(printed, task.secrets, environ)
    return ended


def _update_ema(lines: "queue.Queue[str | None]", watch: "_Watch") -> Completed | Failure:
    while True:
        try:
            line = lines.get(timeout=_TICK_S)
            ended = watch.take(line)
        except queue.Empty:
            ended = None
        if ended := ended or watch.overdue():
            return ended


@dataclass
class _Watch:
    """What is known of a running child. start: where its answer begins in the archive. came: bytes there.

    room: a folder on the disk that it writes to.
    """

    bar: "tqdm[None]"
    room: Path
    limits: Limits
    done: Completed = field(default_factory=Completed)
    start: int = 0
    came: int = 0
    begun: float = field(default_factory=time.monotonic)
    heard: float = field(default_factory=time.monotonic)

    def failure(self, kind: FailureKind, said: str) -> Failure:
        return Failure(kind, said, place=self.done.place)

    def overdue(self) -> Failure | None:
        silence_s = self.limits.silence_s + self.limits.grace_s
        if time.monotonic() - self.heard > silence_s:
            return self.failure("silence", f"for {silence_s:g} s")
        if time.monotonic() - self.begun > self.limits.total_s:
            return self.failure("deadline", f"more than {self.limits.total_s:g} s")
        return None

    def take(self, line: str | None) -> Completed | Failure | None:
        """Note what the child said; the end of the attempt if this was its last word, or one too many."""
        self.heard = time.monotonic()
        try:
            report: dict[str, Any] = json.loads(line or "")
        except ValueError:
            return self.failure("client", f"it said {line!r}" if line else "its process ended without a word")
        event = report.pop("event")
        if event == "ended":
            return replace(self.done, result=report["result"])
        if event == "failed":
            return _failure(report)
        if event == "archive":
            return self._begin(**report)
        if event == "bytes":
            self.came = self.start + report["num_bytes"]
            self.bar.update(self.came - self.bar.n)
            return self._too_large(self.came)
        self.done = replace(self.done, place=report["place"])
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
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _print_if_verbose(printed: Iterable[str], secrets: Iterable[str], environ: Mapping[str, str]) -> None:
    if environ.get("TANDEM_TRACEBACK") == "1":
        sys.stderr.write(redacted("".join(printed), secrets))
