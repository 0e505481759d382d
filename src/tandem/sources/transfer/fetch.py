"""From a request to a verified archive: attempts one after another, each resuming the sound part of the one before."""

import random
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from tqdm import tqdm

from tandem.errors import CorruptArchiveError, DamagedFileError, SourceError
from tandem.files import read_json, write_json
from tandem.sources.transfer import checksums
from tandem.sources.transfer.attempt import ClientCall, Completed, Limits, attempt
from tandem.sources.transfer.checksums import Digests
from tandem.sources.transfer.failures import Failure, describe_failure, is_resumable, is_transient, remedy

REQUEST_TAG = "request.json"  # in a folder whose part of an archive can be resumed: by what request
Publish = Callable[[Path], Mapping[str, int]]  # an archive to what is left out of it, name -> number of files

_jitter = random.SystemRandom()


class Request(NamedTuple):
    """archive: the name that the client gives it in its folder. can_resume: whether the client can complete a part.

    sha256: expected of the archive, None to take any. explain: what to do about a failure, "" where nothing special
    is known.
    """

    call: ClientCall
    archive: str
    can_resume: bool
    sha256: str | None
    explain: Callable[[Failure], str]


class Download(NamedTuple):
    """An archive that was published, what its service stated of it, and what was left out of it (litter)."""

    completed: Completed
    digests: Digests
    left_out: Mapping[str, int]


class ServiceInfo(NamedTuple):
    """What a service has under a name. size: in words. licence: as the service states it, "" where it does not."""

    versions: tuple[int, ...]
    size: str
    licence: str


def query(
    call: ClientCall, *, explain: Callable[[Failure], str], limits: Limits, environ: Mapping[str, str]
) -> Mapping[str, Any]:
    """What a client returns in one attempt, without a download. Raises SourceError."""
    with TemporaryDirectory() as home:
        outcome = attempt(call, home=Path(home), limits=limits, environ=environ)
    if isinstance(outcome, Failure):
        raise SourceError(f"{describe_failure(outcome)}; {explain(outcome) or remedy(outcome)}")
    return outcome.result


def fetch_with_retries(
    request: Request,
    *,
    scratch: Path,
    publish: Publish,
    limits: Limits,
    environ: Mapping[str, str],
) -> Download:
    """Download until `publish(archive)` accepts the archive; by CorruptArchiveError it has it downloaded again.

    scratch: folder of this download alone; it is removed after success, and holds at most a sound part of the archive
    after a failure. Raises SourceError.
    """
    rejected: set[str] = set()
    for number in range(1, limits.attempts + 1):
        outcome = _attempt(
            request, number, scratch=scratch, publish=publish, rejected=rejected, limits=limits, environ=environ
        )
        if isinstance(outcome, Download):
            return outcome
        if not _is_retried(outcome, number, limits):
            raise SourceError(_message(outcome, request, number, scratch))
        _wait(_pause_s(number, outcome, limits), outcome, request.call.title)
    raise AssertionError("limits.attempts is at least 1")


def _is_retried(failure: Failure, number: int, limits: Limits) -> bool:
    return is_transient(failure) and failure.retry_after_s <= limits.max_retry_after_s and number < limits.attempts


def _attempt(
    request: Request,
    number: int,
    *,
    scratch: Path,
    publish: Publish,
    rejected: set[str],
    limits: Limits,
    environ: Mapping[str, str],
) -> Download | Failure:
    """One attempt with all checks after it; what cannot be resumed is removed."""
    is_kept = False
    try:
        folder = _client_folder(request, scratch)
        archive = folder / request.archive
        with TemporaryDirectory(prefix="home-", dir=scratch) as home:
            ended = attempt(_call(request, number, folder), home=Path(home), limits=limits, environ=environ)
        outcome = ended if isinstance(ended, Failure) else _checked(request, archive, ended, rejected, publish)
        is_kept = isinstance(outcome, Failure) and is_resumable(outcome) and request.can_resume and archive.is_file()
        return outcome
    except (KeyboardInterrupt, SystemExit):
        is_kept = request.can_resume  # as after a kill: what was received is a sound part
        raise
    finally:
        if not is_kept:
            shutil.rmtree(scratch, ignore_errors=True)


def _client_folder(request: Request, scratch: Path) -> Path:
    """Where the client writes: it holds a part of the same archive if that can be resumed, else it does not exist."""
    tag, job = scratch / REQUEST_TAG, dict(request.call.job)
    if not (request.can_resume and _read(tag) == job):
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        if request.can_resume:
            write_json(tag, job)
    return scratch / "files"


def _read(tag: Path) -> object:
    try:
        return read_json(tag)
    except (DamagedFileError, OSError):
        return None


def _call(request: Request, number: int, folder: Path) -> ClientCall:
    """The client's call for an attempt: where it writes, whether it resumes, and the attempt's number in the title."""
    call = request.call
    job = {**call.job, "folder": str(folder), "resume": request.can_resume}
    return call._replace(job=job, title=call.title if number == 1 else f"{call.title}, attempt {number}")


def _checked(
    request: Request,
    archive: Path,
    completed: Completed,
    rejected: set[str],
    publish: Publish,
) -> Download | Failure:
    """Verify and publish an archive. rejected: sha256 of archives that came before and were not the expected one."""
    endpoint = completed.endpoint
    if not archive.is_file():
        return Failure("client", f"it left no {request.archive}", endpoint=endpoint)
    digests = checksums.digests(archive)
    if mismatch := checksums.mismatch(digests, num_bytes=completed.num_bytes, hashes=completed.hashes):
        return Failure("corrupt", mismatch, endpoint=endpoint)
    if request.sha256 not in (None, digests.sha256):
        mismatch = f"its sha256 is {digests.sha256}, but {request.sha256} is expected"
        if completed.hashes or digests.sha256 in rejected:  # not corrupted on its way: the service has other bytes
            raise SourceError(
                f"{mismatch}; another file is served now: look at its page, then correct sha256 if it is meant"
            )
        rejected.add(digests.sha256)
        return Failure("corrupt", mismatch, endpoint=endpoint)
    try:
        left_out = publish(archive)
    except CorruptArchiveError as error:
        return Failure("corrupt", str(error).partition(";")[0], endpoint=endpoint)
    return Download(completed, digests, left_out)


def _wait(pause_s: float, failure: Failure, title: str) -> None:
    if sys.stderr.isatty():
        tqdm.write(f"{title}: {describe_failure(failure)}; the next attempt begins in {pause_s:.0f} s", file=sys.stderr)
    time.sleep(pause_s)


def _pause_s(number: int, failure: Failure, limits: Limits) -> float:
    """Seconds before the next attempt: doubling, with jitter of a quarter, at least what the service asked for."""
    doubled = min(limits.max_wait_s, limits.wait_s * 2 ** (number - 1))
    return max(failure.retry_after_s, doubled * _jitter.uniform(0.75, 1.25))


def _message(failure: Failure, request: Request, number: int, scratch: Path) -> str:
    attempts = f"after {number} attempts: " if number > 1 else ""
    pause = f", and asks for a pause of {failure.retry_after_s:g} s" if failure.retry_after_s else ""
    part = scratch / "files" / request.archive
    kept = f"; the {part.stat().st_size} bytes that came are kept for the next run" if part.is_file() else ""
    return f"{attempts}{describe_failure(failure)}{pause}; {request.explain(failure) or remedy(failure)}{kept}"
