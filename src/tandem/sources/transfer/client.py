"""In the child process that runs a client: requests get a timeout, responses are reported, no error page is saved.

The child reports JSON lines on what was its standard output; whatever the client prints goes to standard error. At the
first error response, or the first connection that fails, the child reports it and ends at once: no client can swallow
it, retry on its own, or write it into an archive. It also ends when its parent does.
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

_CHUNK_BYTES = 1 << 16  # smaller than the clients' own 1 MiB: less is lost at a cut, and slow differs from silent
_REPORT_EVERY_S = 0.2
_REDIRECTS = (301, 302, 303, 307, 308)
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REASONS = {
    **dict.fromkeys(("IncompleteRead", "InvalidChunkLength", "ProtocolError"), "it ended early"),
    "RemoteDisconnected": "it was closed without an answer",
}
_reports = sys.stdout
_archive_result: dict[str, Any] | None = None


def serve(work: Callable[[dict[str, Any]], dict[str, Any]]) -> NoReturn:
    """Read a job (one JSON line on stdin), report what `work(job)` returns or how it failed, and end the process.

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
        fail("disk" if error.errno in _DISK_FULL else "client", detail=f"{type(error).__name__}: {error}")
    except SystemExit:
        fail("credentials", detail="the client found none that it could use")
    except Exception as error:  # noqa: BLE001  # whatever a client raises is reported to the parent, which explains it
        traceback.print_exc()
        fail("client", detail=f"{type(error).__name__}: {error}")


def finish(result: dict[str, Any]) -> NoReturn:
    """Report success and end the process."""
    report_event("completed", result=result)
    os._exit(0)


def fail(kind: str, **facts: Any) -> NoReturn:
    """Report a failure (fields of failures.Failure) and end the process."""
    report_event("failed", kind=kind, **facts)
    os._exit(1)


def report_event(event: str, **facts: Any) -> None:
    """Write one report for the parent process."""
    _reports.write(json.dumps({"event": event, **facts}) + "\n")
    _reports.flush()


def stop_after_archive(result: dict[str, Any]) -> None:
    """Report success with this result once the whole archive is downloaded and written, before the client goes on.

    Where the storage states no length, the client reads a length of 0: it needs a number for its progress bar.
    """
    global _archive_result
    _archive_result = result


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


def _watch_requests(timeout: tuple[float, float]) -> None:
    send = HTTPAdapter.send

    def send_watched(self: HTTPAdapter, request: Any, stream: bool = False, **options: Any) -> Any:
        url = urlsplit(request.url)
        # The clients stream GETs for archives alone; a POST that is streamed is redirected to one.
        endpoint, is_archive = f"{url.hostname}{url.path}", stream and request.method == "GET"
        report_event("request", endpoint=endpoint)
        try:
            response = send(self, request, stream=stream, **options | {"timeout": timeout})
        except requests.RequestException as error:
            _fail_connection(error, endpoint, is_archive, timeout)
        if response.status_code >= 400:
            _fail_http(response, endpoint, is_archive)
        if "text/html" in response.headers.get("Content-Type", "") and response.status_code not in _REDIRECTS:
            fail("web_page", endpoint=endpoint, is_archive=is_archive)
        if is_archive and response.status_code in (200, 206):
            report_event("archive", **_archive_facts(response, endpoint))
            if _archive_result is not None:
                response.headers.setdefault("Content-Length", "0")
        _watch_body(response, endpoint, is_archive, timeout)
        return response

    setattr(HTTPAdapter, "send", send_watched)  # noqa: B010  # all requests of both clients pass through it


def _watch_body(response: Any, endpoint: str, is_archive: bool, timeout: tuple[float, float]) -> None:
    iter_content = response.iter_content

    def iter_watched(chunk_size: int | None = 1, decode_unicode: bool = False) -> Iterator[Any]:
        num_bytes, last_report_s = 0, 0.0
        try:
            for chunk in iter_content(_CHUNK_BYTES if is_archive else chunk_size, decode_unicode):
                yield chunk
                num_bytes += len(chunk)
                if is_archive and time.monotonic() - last_report_s > _REPORT_EVERY_S:
                    last_report_s = time.monotonic()
                    report_event("bytes", num_bytes=num_bytes)
        except requests.RequestException as error:
            _fail_connection(error, endpoint, is_archive, timeout)
        if is_archive and response.status_code in (200, 206):
            report_event("bytes", num_bytes=num_bytes)
            if _archive_result is not None:
                finish(_archive_result)

    response.iter_content = iter_watched


def _fail_connection(
    error: requests.RequestException, endpoint: str, is_archive: bool, timeout: tuple[float, float]
) -> NoReturn:
    facts = {"endpoint": endpoint, "is_archive": is_archive}
    # A read that times out inside a body is a ConnectionError to requests (its issue 5430).
    if isinstance(error, requests.Timeout) or "Read timed out" in str(error):
        seconds = timeout[0] if isinstance(error, requests.ConnectTimeout) else timeout[1]
        fail("silence", detail=f"for {seconds:g} s", **facts)
    fail("connection", detail=_reason(error), **facts)


def _reason(error: BaseException | None) -> str:
    """The operating system's message, or the kind of the innermost cause; not requests' messages, which hold URLs."""
    innermost = ""
    while error is not None:
        if isinstance(error, OSError) and error.strerror:
            return error.strerror
        if isinstance(error, requests.RequestException | urllib3.exceptions.HTTPError | HTTPException):
            innermost = type(error).__name__
        error = error.__cause__ or error.__context__
    return _REASONS.get(innermost, innermost)


def _fail_http(response: Any, endpoint: str, is_archive: bool) -> NoReturn:
    fail(
        "http_error",
        status=response.status_code,
        endpoint=endpoint,
        is_archive=is_archive,
        retry_after=response.headers.get("Retry-After", ""),
        detail=_message(response),
    )


def _message(response: Any) -> str:
    """What the body of an error response says, in one short line."""
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


def _archive_facts(response: Any, endpoint: str) -> dict[str, Any]:
    """num_bytes: of the whole archive, None if not stated. start: the byte of it with which this response begins."""
    headers = response.headers
    start, total = 0, headers.get("Content-Length")
    if response.status_code == 206:  # Content-Range: bytes 100-199/200
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
        if not found:
            fail("corrupt", endpoint=endpoint, is_archive=True, detail="a part that does not say where it belongs")
        start, total = int(found[1]), found[2]
    is_encoded = "Content-Encoding" in headers  # then length and hashes are those of the encoded bytes
    return {
        "num_bytes": int(total) if total and total.isdigit() and not is_encoded else None,
        "start": start,
        "hashes": "" if is_encoded else headers.get("x-goog-hash", ""),
        "etag": headers.get("ETag", ""),
    }
