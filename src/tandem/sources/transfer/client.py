"""In the child that runs a client: each request gets a timeout, each answer is reported, no error page is saved.

The child reports JSON lines on what was its standard output; whatever the client prints goes to standard error. At the
first answer that is no success, or the first broken connection, the child reports it and ends on the spot: no client
can swallow it, retry on its own, or write it into an archive. It also ends when its parent does.
"""

import errno
import json
import os
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from http.client import HTTPException
from typing import Any, NoReturn
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

_PIECE_BYTES = 1 << 16  # smaller than the clients' own 1 MiB: less is lost at a cut, and slow is told from silent
_REPORT_EVERY_S = 0.2
_REDIRECTS = (301, 302, 303, 307, 308)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REASONS = {
    **dict.fromkeys(("IncompleteRead", "InvalidChunkLength", "ProtocolError"), "it ended early"),
    "RemoteDisconnected": "it was closed without an answer",
}
_reports = sys.stdout
_archive_result: dict[str, Any] | None = None


def serve(work: Callable[[dict[str, Any]], dict[str, Any]]) -> NoReturn:
    """Take a job (one JSON line on stdin), report what `work(job)` returns or how it failed, and end.

    job["connect_s"], job["read_s"]: timeouts of every request, whatever the client asks for.
    """
    global _reports  # a process has one standard output
    _reports = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _watch_requests(timeout=(job["connect_s"], job["read_s"]))
    try:
        finish(work(job))
    except OSError as error:
        traceback.print_exc()
        fail("disk" if error.errno in _FULL else "client", said=f"{type(error).__name__}: {error}")
    except SystemExit:
        fail("credentials", said="the client found none that it could use")
    except Exception as error:  # noqa: BLE001  # whatever a client raises is told to the parent, which explains it
        traceback.print_exc()
        fail("client", said=f"{type(error).__name__}: {error}")


def finish(result: dict[str, Any]) -> NoReturn:
    """Report success and end the process."""
    report_event("ended", result=result)
    os._exit(0)


def fail(kind: str, **facts: Any) -> NoReturn:
    """Report a failure (fields of failures.Failure) and end the process."""
    report_event("failed", kind=kind, **facts)
    os._exit(1)


def report_event(event: str, **facts: Any) -> None:
    """Tell the parent."""
    _reports.write(json.dumps({"event": event, **facts}) + "\n")
    _reports.flush()


def no_further_than(archive_result: dict[str, Any]) -> None:
    """End well with this result as soon as the whole archive has come and been written, before the client goes on.

    A length that the storage does not state then is no obstacle to a client that wants a number for its progress bar.
    """
    global _archive_result
    _archive_result = archive_result


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


def _watch_requests(timeout: tuple[float, float]) -> None:
    send = HTTPAdapter.send

    def watched(self: HTTPAdapter, request: Any, stream: bool = False, **options: Any) -> Any:
        url = urlsplit(request.url)
        # The clients stream GETs for archives alone; a POST that is streamed is redirected to one.
        place, is_archive = f"{url.hostname}{url.path}", stream and request.method == "GET"
        report_event("asked", place=place)
        try:
            response = send(self, request, stream=stream, **options | {"timeout": timeout})
        except requests.RequestException as error:
            _broken(error, place, is_archive, timeout)
        if response.status_code >= 400:
            _refused(response, place, is_archive)
        if "text/html" in response.headers.get("Content-Type", "") and response.status_code not in _REDIRECTS:
            fail("page", place=place, is_archive=is_archive)
        if is_archive and response.status_code in (200, 206):
            report_event("archive", **_described(response, place))
            if _archive_result is not None:
                response.headers.setdefault("Content-Length", "0")
        _watch_body(response, place, is_archive, timeout)
        return response

    setattr(HTTPAdapter, "send", watched)  # noqa: B010  # the one place that all requests of both clients pass


def _watch_body(response: Any, place: str, is_archive: bool, timeout: tuple[float, float]) -> None:
    pieces_of = response.iter_content

    def pieces(chunk_size: int | None = 1, decode_unicode: bool = False) -> Iterator[Any]:
        done, told = 0, 0.0
        try:
            for piece in pieces_of(_PIECE_BYTES if is_archive else chunk_size, decode_unicode):
                yield piece
                done += len(piece)
                if is_archive and time.monotonic() - told > _REPORT_EVERY_S:
                    told = time.monotonic()
                    report_event("bytes", num_bytes=done)
        except requests.RequestException as error:
            _broken(error, place, is_archive, timeout)
        if is_archive and response.status_code in (200, 206):
            report_event("bytes", num_bytes=done)
            if _archive_result is not None:
                finish(_archive_result)

    response.iter_content = pieces


def _broken(error: requests.RequestException, place: str, is_archive: bool, timeout: tuple[float, float]) -> NoReturn:
    facts = {"place": place, "is_archive": is_archive}
    # A read that times out inside a body is a ConnectionError to requests (its issue 5430).
    if isinstance(error, requests.Timeout) or "Read timed out" in str(error):
        seconds = timeout[0] if isinstance(error, requests.ConnectTimeout) else timeout[1]
        fail("silence", said=f"for {seconds:g} s", **facts)
    fail("connection", said=_reason(error), **facts)


def _reason(error: BaseException | None) -> str:
    """The operating system's word for it, or the name of the innermost cause: messages of requests hold URLs."""
    innermost = ""
    while error is not None:
        if isinstance(error, OSError) and error.strerror:
            return error.strerror
        if isinstance(error, requests.RequestException | urllib3.exceptions.HTTPError | HTTPException):
            innermost = type(error).__name__
        error = error.__cause__ or error.__context__
    return _REASONS.get(innermost, innermost)


def _refused(response: Any, place: str, is_archive: bool) -> NoReturn:
    fail(
        "answer",
        status=response.status_code,
        place=place,
        is_archive=is_archive,
        retry_after=response.headers.get("Retry-After", ""),
        said=_message(response),
    )


def _message(response: Any) -> str:
    """What an answer's body says, in one short line."""
    try:
        text = response.raw.read(4096, decode_content=True).decode("utf-8", errors="replace")
    except (urllib3.exceptions.HTTPError, OSError):
        return ""  # the status says enough
    try:
        value = json.loads(text)
    except ValueError:
        value = {}
    inner = value.get("error", value) if isinstance(value, dict) else value
    message = inner.get("message", "") if isinstance(inner, dict) else inner
    return " ".join(str(message or ("" if "<" in text else text)).split())[:200]


def _described(response: Any, place: str) -> dict[str, Any]:
    """num_bytes: of the whole archive, None if not stated; start: where this answer begins in it."""
    headers = response.headers
    start, total = 0, headers.get("Content-Length")
    if response.status_code == 206:  # Content-Range: bytes 100-199/200
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
        if not found:
            fail("damage", place=place, is_archive=True, said="a part that does not say where it belongs")
        start, total = int(found[1]), found[2]
    is_coded = "Content-Encoding" in headers  # then length and hashes are those of the coded bytes
    return {
        "num_bytes": int(total) if total and total.isdigit() and not is_coded else None,
        "start": start,
        "hashes": "" if is_coded else headers.get("x-goog-hash", ""),
        "etag": headers.get("ETag", ""),
    }
