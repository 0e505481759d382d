"""One attempt: a client in a child process, watched, and killed when it is silent, too slow or sends too much."""

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
from tandem.sources.transfer.process import client_environ, client_process
from tandem.sources.transfer.redact import redacted

_POLL_S = 0.2
_NUM_LINES_KEPT = 50


@dataclass(frozen=True)
class Limits:
    """connect_s, silence_s: longest wait for a connection, for a byte. grace_s: added for what is not the network's.

    total_s: longest attempt. max_bytes: largest archive. attempts: how many at most. wait_s: pause before the second
    attempt; it doubles each time up to max_wait_s, with jitter. max_retry_after_s: longest pause that the service may
    ask for. lock_s: longest wait for another run that downloads the same source, which may be about to end.
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
    lock_s: float = 15


DEFAULT_LIMITS = Limits()


class ClientCall(NamedTuple):
    """client: module of the child process. job: what it has to do. environ: variables with the credentials.

    secrets: values that no text may show. title: of the progress bar.
    """

    client: str
    job: Mapping[str, Any]
    environ: Mapping[str, str]
    secrets: tuple[str, ...]
    title: str


@dataclass(frozen=True)
class Completed:
    """result: what the client's process returned. endpoint: host and path of its last request.

    hashes, etag, num_bytes: of the archive, as its storage states them (x-goog-hash, ETag, length); "" or None if not.
    """

    result: Mapping[str, Any] = field(default_factory=dict)
    endpoint: str = ""
    hashes: str = ""
    etag: str = ""
    num_bytes: int | None = None


def attempt(call: ClientCall, *, home: Path, limits: Limits, environ: Mapping[str, str]) -> Completed | Failure:
    """Run the client once. home: an empty folder that the client takes for the user's home.

    environ: the environment that the child inherits, but for what its client would take credentials or paths from.
    """
    job = {**call.job, "connect_s": limits.connect_s, "read_s": limits.silence_s}
    printed: deque[str] = deque(maxlen=_NUM_LINES_KEPT)
    with (
        client_process(call.client, job, client_environ(environ, call.environ, home=home), printed) as lines,
        tqdm(desc=call.title, unit="B", unit_scale=True, disable=None) as bar,
    ):
        outcome = _watch(lines, _Progress(bar, folder=home, limits=limits))
    if isinstance(outcome, Failure):
        _print_if_verbose(printed, call.secrets, environ)
        detail, endpoint = (redacted(text, call.secrets) for text in (outcome.detail, outcome.endpoint))
        return outcome._replace(detail=detail, endpoint=endpoint)
    return outcome


def _watch(lines: "queue.Queue[str | None]", progress: "_Progress") -> Completed | Failure:
    """Read reports until one of them, or a limit, ends the attempt."""
    while True:
        try:
            outcome = progress.read_report(lines.get(timeout=_POLL_S))
        except queue.Empty:
            outcome = None
        if outcome := outcome or progress.overdue():
            return outcome


@dataclass
class _Progress:
    """What is known of a running client.

    folder: on the disk that it writes to. completed: what has been reported so far. start_byte: of the archive, where
    the response begins. started_s, last_report_s: on the monotonic clock.
    """

    bar: "tqdm[None]"
    folder: Path
    limits: Limits
    completed: Completed = field(default_factory=Completed)
    start_byte: int = 0
    started_s: float = field(default_factory=time.monotonic)
    last_report_s: float = field(default_factory=time.monotonic)

    def failure(self, kind: FailureKind, detail: str) -> Failure:
        return Failure(kind, detail, endpoint=self.completed.endpoint)

    def overdue(self) -> Failure | None:
        silence_s = self.limits.silence_s + self.limits.grace_s
        if time.monotonic() - self.last_report_s > silence_s:
            return self.failure("silence", f"for {silence_s:g} s")
        if time.monotonic() - self.started_s > self.limits.total_s:
            return self.failure("deadline", f"more than {self.limits.total_s:g} s")
        return None

    def read_report(self, line: str | None) -> Completed | Failure | None:
        """Take in one report of the client; the outcome if it is the last one, or breaks a limit."""
        self.last_report_s = time.monotonic()
        try:
            report: dict[str, Any] = json.loads(line or "")
        except ValueError:
            return self.failure("client", f"it said {line!r}" if line else "its process ended without a word")
        event = report.pop("event")
        if event == "completed":
            return replace(self.completed, result=report["result"])
        if event == "failed":
            return _failure(report)
        if event == "archive":
            return self._begin_archive(**report)
        if event == "bytes":
            num_bytes = self.start_byte + report["num_bytes"]
            self.bar.update(num_bytes - self.bar.n)
            return self._too_large(num_bytes)
        self.completed = replace(self.completed, endpoint=report["endpoint"])
        return None

    def _begin_archive(self, *, num_bytes: int | None, start: int, hashes: str, etag: str) -> Failure | None:
        self.start_byte, known = start, self.completed
        self.completed = replace(known, num_bytes=num_bytes, hashes=hashes or known.hashes, etag=etag)
        self.bar.reset(num_bytes)
        needed, free = (num_bytes or 0) - start, disk_usage(self.folder).free
        if needed > free:
            return self.failure("disk", f"{needed} bytes are needed at {self.folder}, {free} are free")
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
