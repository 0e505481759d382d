"""From a task to a verified archive: attempts one after another, each going on from what is sound of the one before."""

import random
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from tqdm import tqdm

from tandem.errors import CorruptArchiveError, SourceError
from tandem.files import read_json, write_json
from tandem.sources.transfer import checksums
from tandem.sources.transfer.attempt import ClientCall, Completed, Limits, attempt
from tandem.sources.transfer.checksums import Digests
from tandem.sources.transfer.failures import Failure, describe_failure, is_resumable, is_transient, remedy

_jitter = random.SystemRandom()


class Request(NamedTuple):
    """archive: the name that the client gives it in its folder. resumes: whether the client can go on with a part.

    sha256: expected of the archive, None to take any. explain: what to do about a failure, "" where nothing special
    is known.
    """

    task: ClientCall
    archive: str
    resumes: bool
    sha256: str | None
    explain: Callable[[Failure], str]


class Download(NamedTuple):
    """An archive that was used, and what its service said of it."""

    done: Completed
    digests: Digests


class ServiceInfo(NamedTuple):
    """What a service has under a name. size: in words. licence: as the service states it, "" where it does not."""

    versions: tuple[int, ...]
    size: str
    licence: str


def ask(
    task: ClientCall, *, explain: Callable[[Failure], str], limits: Limits, environ: Mapping[str, str]
) -> Mapping[str, Any]:
    """What a client's child returns when it is asked once. Raises SourceError."""
    with TemporaryDirectory() as home:
        ended = attempt(task, home=Path(home), limits=limits, environ=environ)
    if isinstance(ended, Failure):
        raise SourceError(f"{describe_failure(ended)}; {explain(ended) or remedy(ended)}")
    return ended.result


def fetch_with_retries(
    order: Request, *, scratch: Path, use: Callable[[Path], None], limits: Limits, environ: Mapping[str, str]
) -> Download:
    """Download until `use(archive)` takes what came; it raises DamagedArchive to have it fetched again.

    scratch: folder of this download alone; it is gone after success, and holds at most a sound part of the archive
    otherwise. Raises SourceError.
    """
    seen: set[str] = set()
    for number in range(1, limits.attempts + 1):
        tried = _try(order, number, scratch=scratch, use=use, seen=seen, limits=limits, environ=environ)
        if isinstance(tried, Download):
            return tried
        if not is_transient(tried) or tried.retry_after_s > limits.max_retry_after_s or number == limits.attempts:
            raise SourceError(_message(tried, order, number, scratch))
        _wait(_pause(number, tried, limits), tried, order.task.title)
    raise AssertionError("limits.attempts is at least 1")


def _try(
    order: Request,
    number: int,
    *,
    scratch: Path,
    use: Callable[[Path], None],
    seen: set[str],
    limits: Limits,
    environ: Mapping[str, str],
) -> Download | Failure:
    """One attempt and all that follows it; what must not be gone on with is removed."""
    is_kept = False
    try:
        folder = _folder(order, scratch)
        task = _numbered(order.task, number, {**order.task.job, "folder": str(folder), "resume": order.resumes})
        with TemporaryDirectory(prefix="home-", dir=scratch) as home:
            ended = attempt(task, home=Path(home), limits=limits, environ=environ)
        tried = ended if isinstance(ended, Failure) else _checked(order, folder / order.archive, ended, seen, use)
        is_kept = (
            isinstance(tried, Failure) and is_resumable(tried) and order.resumes and (folder / order.archive).is_file()
        )
        return tried
    except (KeyboardInterrupt, SystemExit):
        is_kept = order.resumes  # as after a kill: what has come is a sound part
        raise
    finally:
        if not is_kept:
            shutil.rmtree(scratch, ignore_errors=True)


def _folder(order: Request, scratch: Path) -> Path:
    """Where the client writes: with a part of the same archive, if that can be gone on with; else not there yet."""
    tag, asked = scratch / "asked.json", dict(order.task.job)
    if not (order.resumes and _read(tag) == asked):
        shutil.rmtree(scratch, ignore_errors=True)
        write_json(tag, asked)
    return scratch / "files"


def _read(tag: Path) -> object:
    try:
        return read_json(tag)
    except (OSError, ValueError):
        return None


def _numbered(task: ClientCall, number: int, job: Mapping[str, object]) -> ClientCall:
    return task._replace(job=job, title=task.title if number == 1 else f"{task.title}, attempt {number}")


def _checked(
    order: Request, archive: Path, done: Completed, seen: set[str], use: Callable[[Path], None]
) -> Download | Failure:
    if not archive.is_file():
        return Failure("client", f"it left no {order.archive}", place=done.place)
    found = checksums.digests(archive)
    if flaw := checksums.mismatch(found, num_bytes=done.num_bytes, hashes=done.hashes):
        return Failure("damage", flaw, place=done.place)
    if order.sha256 not in (None, found.sha256):
        wrong = f"its sha256 is {found.sha256}, but {order.sha256} is expected"
        if done.hashes or found.sha256 in seen:  # not the way's fault: the service has other bytes
            raise SourceError(
                f"{wrong}; another file is served now: look at its page, then correct sha256 if it is meant"
            )
        seen.add(found.sha256)
        return Failure("damage", wrong, place=done.place)
    try:
        use(archive)
    except CorruptArchiveError as error:
        return Failure("damage", str(error).partition(";")[0], place=done.place)
    return Download(done, found)


def _wait(pause_s: float, failure: Failure, title: str) -> None:
    if sys.stderr.isatty():
        tqdm.write(f"{title}: {describe_failure(failure)}; the next attempt begins in {pause_s:.0f} s", file=sys.stderr)
    time.sleep(pause_s)


def _pause(number: int, failure: Failure, limits: Limits) -> float:
    """Seconds before the next attempt: doubling, with jitter of a quarter, at least what the service asked for."""
    doubled = min(limits.max_wait_s, limits.wait_s * 2 ** (number - 1))
    return max(failure.retry_after_s, doubled * _jitter.uniform(0.75, 1.25))


def _message(failure: Failure, order: Request, number: int, scratch: Path) -> str:
    tried = f"after {number} attempts: " if number > 1 else ""
    pause = f", and asks for a pause of {failure.retry_after_s:g} s" if failure.retry_after_s else ""
    part = scratch / "files" / order.archive
    kept = f"; the {part.stat().st_size} bytes that came are kept for the next run" if part.is_file() else ""
    return f"{tried}{describe_failure(failure)}{pause}; {order.explain(failure) or remedy(failure)}{kept}"
