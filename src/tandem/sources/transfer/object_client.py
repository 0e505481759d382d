"""Reads a file of an object store in a child process for sources.archive, as the module of `python -m`.

By fsspec, which knows S3 (extra `s3`) and other stores. A range of the file is asked for at a time, so that a part of
it can be resumed; of which object a part is, its ETag and size say, which lie beside it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tandem.files import read_json, write_json
from tandem.sources.transfer import client

_RANGE_BYTES = 1 << 22  # lost at a cut, at most
_OBJECT_TAG = "object.json"  # beside the part
_WITHOUT_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "TokenRetrievalError")


def work(job: dict[str, Any]) -> dict[str, Any]:
    """Download job["url"] to job["folder"]/job["archive"]; or return what the store knows of it."""
    url, protocol = job["url"], job["url"].partition("://")[0]
    client.report_event("request", endpoint=url)
    with _explained(url):
        store, info = _found(url, _options(protocol, job))
    if info["type"] != "file":
        client.fail("client", endpoint=url, detail="it is a folder of the store, not a file")
    if job["do"] == "describe":
        return {"num_bytes": info["size"]}
    _download(store, info, job)
    with _explained(url):
        store.invalidate_cache()
        now = store.info(url)
    if _identity(now) != _identity(info):
        client.fail("corrupt", endpoint=url, is_archive=True, detail="it was replaced while it was read")
    return {"client": f"fsspec {version('fsspec')}{_package_of(protocol)}"}


def _found(url: str, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The store, and what it knows of the file. Where there are no credentials it is asked as a public one."""
    import fsspec

    store, _ = fsspec.core.url_to_fs(url, **options)
    store.retries = 1  # of s3fs; the parent retries
    try:
        return store, store.info(url)
    except Exception as error:
        if type(error).__name__ != "NoCredentialsError" or "anon" in options:
            raise
    return _found(url, {**options, "anon": True})


def _download(store: Any, info: dict[str, Any], job: dict[str, Any]) -> None:
    folder, url = Path(job["folder"]), job["url"]
    folder.mkdir(parents=True, exist_ok=True)
    part, tag = folder / job["archive"], folder / _OBJECT_TAG
    start = part.stat().st_size if part.is_file() and _is_of(tag, info) else 0
    write_json(tag, _identity(info))
    client.report_event("archive", num_bytes=info["size"], start=start, hashes="", etag=info.get("ETag", "").strip('"'))
    with part.open("r+b" if start else "wb") as file:
        file.truncate(start)
        file.seek(start)
        for begin in range(start, info["size"], _RANGE_BYTES):
            end = min(begin + _RANGE_BYTES, info["size"])
            with _explained(url, is_archive=True):
                data = store.cat_file(url, start=begin, end=end)
            if len(data) != end - begin:
                client.fail("connection", endpoint=url, is_archive=True, detail="it ended early")
            file.write(data)
            file.flush()
            client.report_event("bytes", num_bytes=end - start)


def _identity(info: dict[str, Any]) -> dict[str, Any]:
    """By which an object is known to be the same: one of the store's own, and its size."""
    return {"size": info["size"], **{key: str(info[key]) for key in ("ETag", "etag", "LastModified") if key in info}}


def _is_of(tag: Path, info: dict[str, Any]) -> bool:
    return tag.is_file() and read_json(tag) == _identity(info)


def _options(protocol: str, job: dict[str, Any]) -> dict[str, Any]:
    if protocol not in ("s3", "s3a"):
        return {}
    timeouts = {"connect_timeout": job["connect_s"], "read_timeout": job["read_s"]}
    return {"config_kwargs": {**timeouts, "retries": {"total_max_attempts": 1}}}


def _package_of(protocol: str) -> str:
    try:
        return f", s3fs {version('s3fs')}" if protocol in ("s3", "s3a") else ""
    except PackageNotFoundError:
        return ""


@contextmanager
def _explained(url: str, *, is_archive: bool = False) -> Iterator[None]:
    """Report what a store raises as what it means, and end the process."""
    facts = {"endpoint": url, "is_archive": is_archive}
    try:
        yield
    except FileNotFoundError:
        client.fail("http_error", status=404, **facts | {"is_archive": False})
    except PermissionError as error:
        client.fail("http_error", status=403, detail=_said(error), **facts | {"is_archive": False})
    except Exception as error:  # noqa: BLE001  # each store has its own tree of errors, none of which is imported here
        names = {kind.__name__ for kind in type(error).__mro__}
        if names.intersection(_WITHOUT_CREDENTIALS):
            client.fail("credentials", detail=_said(error), **facts)
        if isinstance(error, ImportError | ValueError):
            client.fail("client", detail=_said(error), **facts)
        if names.intersection(("TimeoutError", "ReadTimeoutError", "FSTimeoutError")):
            client.fail("silence", detail=f"({_said(error)})", **facts)
        client.fail("connection", detail=_said(error), **facts)


def _said(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


if __name__ == "__main__":
    client.serve(work)
