"""One source of any kind to shards of its files and a receipt."""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout
from tqdm import tqdm

from tandem.errors import DamagedFileError, SourceError
from tandem.files import atomic_dir
from tandem.shards import pack, shards_sha256
from tandem.sources import receipts
from tandem.sources.kinds import SOURCE_KINDS
from tandem.sources.receipts import Receipt
from tandem.sources.settings import PINS, Source
from tandem.sources.transfer.attempt import DEFAULT_LIMITS, Limits
from tandem.sources.transfer.fetch import REQUEST_TAG

_SCRATCH = "archive"  # what is under way of an archive


class DownloadPaths(NamedTuple):
    """Of one source. files: the shards of its files. partial: what is under way. pending: the receipt of that."""

    files: Path
    receipt: Path
    partial: Path
    pending: Path

    @classmethod
    def of(cls, folder: Path, name: str) -> "DownloadPaths":
        """The paths of source `name` below the folder of all downloads."""
        partial = folder / "partial" / name
        return cls(folder / "files" / name, folder / "receipts" / f"{name}.json", partial, partial / "receipt.json")


def download(
    name: str,
    source: Source,
    *,
    folder: Path,
    limits: Limits = DEFAULT_LIMITS,
    environ: Mapping[str, str] = os.environ,
) -> Receipt:
    """Download `sources.<name>` to files/<name> and receipts/<name>.json below `folder`.

    Both are replaced only when all went well. A service is not asked again for what is here already with the same
    pins; files that no receipt describes are not replaced. environ: where credentials are looked for. Raises
    SourceError.
    """
    paths = DownloadPaths.of(folder, name)
    try:
        with _lock(paths, limits.lock_s):
            _remove_litter(folder / "partial", name)
            existing = _existing_receipt(paths)
            if existing and _stays_the_same(source) and _fits(existing, source):
                return existing
            receipt = _fetch(name, source, paths, limits, environ)
    except SourceError as error:
        raise SourceError(f"source {name} ({_in_words(source)}): {error}") from None
    if existing:
        versions = f"{existing.what} {existing.version} is replaced by {receipt.what} {receipt.version}"
        tqdm.write(f"source {name}: {versions}", file=sys.stderr)
    return receipt


def _fetch(name: str, source: Source, paths: DownloadPaths, limits: Limits, environ: Mapping[str, str]) -> Receipt:
    """Fetch and publish. Whenever it is killed, the files are absent or described by one of the two receipts."""
    kind, description = SOURCE_KINDS[source.kind], source.description
    with atomic_dir(paths.files, within=paths.partial) as folder:
        unpacked, scratch = folder.with_name(f"{folder.name}.files"), paths.partial / _SCRATCH
        try:
            unpacked.mkdir()
            fetched = kind.fetch(unpacked, description, scratch=scratch, limits=limits, environ=environ)
            receipt = receipts.make_receipt(unpacked, fetched, source=name, kind=source.kind, asked=asdict(description))
            pack(unpacked, folder)
        finally:
            shutil.rmtree(unpacked, ignore_errors=True)
        receipts.write_receipt(paths.pending, receipt)
    _publish_receipt(paths)
    shutil.rmtree(paths.partial, ignore_errors=True)
    return receipt


def _publish_receipt(paths: DownloadPaths) -> None:
    paths.receipt.parent.mkdir(parents=True, exist_ok=True)
    paths.pending.replace(paths.receipt)


def _existing_receipt(paths: DownloadPaths) -> Receipt | None:
    """The receipt of the files that are here, None where there are none. Raises SourceError if it does not fit them."""
    if not paths.files.exists():
        return None
    for path in (paths.receipt, paths.pending):
        receipt = receipts.read_receipt(path)
        if receipt and receipt.tree_sha256 == _tree_sha256(paths.files, receipt):
            if path == paths.pending:
                _publish_receipt(paths)
            return receipt
    raise SourceError(
        f"{paths.files} holds files that {paths.receipt} does not describe; they are not replaced: "
        "move them elsewhere, or remove them"
    )


def _tree_sha256(shards: Path, receipt: Receipt) -> str:
    """Of the files that are here; "" for what no download has written."""
    try:
        return shards_sha256(shards, without=receipt.volatile)
    except DamagedFileError:
        return ""


@contextmanager
def _lock(paths: DownloadPaths, wait_s: float) -> Iterator[None]:
    """One download of a source at a time: two would write into the same part."""
    lock = _lock_path(paths.partial)
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(lock, timeout=wait_s):
            try:
                yield
            finally:
                with suppress(OSError):  # a part that is kept for the next run
                    paths.partial.rmdir()
    except Timeout:
        found = f"another run downloads it right now (it holds {lock})"
        raise SourceError(f"{found}; wait for its end, then run again") from None


def _lock_path(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.lock")


def _remove_litter(folder: Path, name: str) -> None:
    """Remove what killed downloads of any source have left, but for parts that can be resumed. folder: of all parts.

    name: of the source whose lock is held; a source that another run downloads is left alone.
    """
    for partial in (path for path in folder.iterdir() if path.is_dir()):
        lock = FileLock(_lock_path(partial), timeout=0)
        with suppress(Timeout), nullcontext() if partial.name == name else lock:
            scratch = partial / _SCRATCH
            for leftover in (*partial.glob(".*"), *scratch.glob("home-*")):
                shutil.rmtree(leftover, ignore_errors=True)
            if not (scratch / REQUEST_TAG).is_file():
                shutil.rmtree(scratch, ignore_errors=True)
            with suppress(OSError):  # of another source, something is kept
                if partial.name != name:
                    partial.rmdir()


def _stays_the_same(source: Source) -> bool:
    """Whether what it names is the same whenever it is fetched: a version of a service, a pinned file of a store."""
    archive = source.archive
    return SOURCE_KINDS[source.kind].IS_REMOTE or bool(archive and archive.is_address and archive.sha256)


def _fits(receipt: Receipt, source: Source) -> bool:
    """Whether a receipt is of this source: the same parameters, and the digests that it pins, if any."""
    params = asdict(source.description)
    pins = {key: params[key] for key in PINS if params.get(key) is not None}
    return (
        receipt.kind == source.kind
        and _without_pins(receipt.asked) == _without_pins(params)
        and all(getattr(receipt, key) == digest for key, digest in pins.items())
    )


def _without_pins(params: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in params.items() if key not in PINS}


def _in_words(source: Source) -> str:
    """A source for messages, such as "kaggle: dataset owner/slug, version 3"."""
    facts = [f"{key} {value}" for key, value in _without_pins(asdict(source.description)).items()]
    return f"{source.kind}: {', '.join(facts)}"
