"""One source of any kind to a folder of its files and a receipt."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout
from tqdm import tqdm

from tandem.errors import SourceError
from tandem.files import atomic_dir, dir_sha256
from tandem.sources import archive, kaggle, receipts, roboflow
from tandem.sources.receipts import Fetched, Receipt
from tandem.sources.settings import Source
from tandem.sources.synthetic import dataset as sample
from tandem.sources.transfer.attempt import DEFAULT_LIMITS, Limits

REMOTE = ("kaggle", "roboflow")
_NAMED = ("style", "path", "dataset", "project", "version", "format", "seed")  # in a message, in this order
_PINS = {"sha256": "sha256", "tree_sha256": "tree_sha256"}  # optional parameter -> field of the receipt


class DownloadPaths(NamedTuple):
    """Where one source lies: its files and its receipt; and what is under way, with the receipt that it will have."""

    files: Path
    receipt: Path
    partial: Path
    pending: Path

    @classmethod
    def of(cls, folder: Path, name: str) -> "DownloadPaths":
        """The places of source `name` below the folder of all downloads."""
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
    """Fetch `sources.<name>` of the parameters to files/<name> and receipts/<name>.json below `folder`.

    Both are replaced only when all went well. What is there already with the same pin is not asked for again; files
    that no receipt describes are not replaced. environ: where credentials are looked for. Raises SourceError.
    """
    place, kind, asked = DownloadPaths.of(folder, name), source.kind, asdict(source.description)
    try:
        with _alone(place):
            earlier = _earlier(place)
            if earlier and kind in REMOTE and _fulfils(earlier, kind, asked):
                return earlier
            receipt = _fetched(name, source, place, limits, environ)
    except SourceError as error:
        raise SourceError(f"source {name} ({_asked(kind, asked)}): {error}") from None
    if earlier:
        told = f"source {name}: {earlier.what} {earlier.version} is replaced by {receipt.what} {receipt.version}"
        tqdm.write(told, file=sys.stderr)
    return receipt


def _fetched(name: str, source: Source, place: DownloadPaths, limits: Limits, environ: Mapping[str, str]) -> Receipt:
    """Fetch and publish. Whenever it is killed, the files are absent or described by one of the two receipts."""
    kind, asked = source.kind, asdict(source.description)
    with atomic_dir(place.files, within=place.partial) as folder:
        scratch = place.partial / "archive"
        fetched = KINDS[kind](folder, scratch, limits, environ, **asked)
        receipt = receipts.make_receipt(folder, fetched, source=name, kind=kind, asked=asked)
        receipts.write_receipt(place.pending, receipt)
    _publish(place)
    shutil.rmtree(place.partial, ignore_errors=True)
    return receipt


def _publish(place: DownloadPaths) -> None:
    place.receipt.parent.mkdir(parents=True, exist_ok=True)
    place.pending.replace(place.receipt)


def _earlier(place: DownloadPaths) -> Receipt | None:
    """The receipt of the files that are there, None where there are none; other files than it describes are refused."""
    if not place.files.exists():
        return None
    for path in (place.receipt, place.pending):
        receipt = receipts.read_receipt(path)
        if receipt and receipt.tree_sha256 == dir_sha256(place.files, without=receipt.volatile):
            if path == place.pending:
                _publish(place)
            return receipt
    raise SourceError(
        f"{place.files} holds files that {place.receipt} does not describe; they are not replaced: "
        "move them elsewhere, or remove them"
    )


@contextmanager
def _alone(place: DownloadPaths) -> Iterator[None]:
    """Two downloads of one source would write into each other's part. What a killed one left behind is swept away."""
    lock = place.partial.with_name(f"{place.partial.name}.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(lock, timeout=0):
            for leftover in place.partial.glob(".*"):
                shutil.rmtree(leftover, ignore_errors=True)
            try:
                yield
            finally:
                with suppress(OSError):  # a part that is kept for the next run
                    place.partial.rmdir()
    except Timeout:
        found = f"another run downloads it right now (it holds {lock})"
        raise SourceError(f"{found}; wait for its end, then run again") from None


def _fulfils(receipt: Receipt, kind: str, asked: Mapping[str, Any]) -> bool:
    was, now = ({key: value for key, value in each.items() if key not in _PINS} for each in (receipt.asked, asked))
    pins = ((asked.get(key), getattr(receipt, key)) for key in _PINS)
    return receipt.kind == kind and was == now and all(pin in (None, found) for pin, found in pins)


def _asked(kind: str, asked: Mapping[str, Any]) -> str:
    """A source in words, such as "kaggle owner/slug, version 3"."""
    facts = [f"{key} {asked[key]}" for key in _NAMED if key in asked]
    return f"{kind}: {', '.join(facts)}"


def _sample(
    target: Path, scratch: Path, limits: Limits, environ: Mapping[str, str], *, style: str, seed: int
) -> Fetched:
    sample.generate_sample(target, style=style, seed=seed)
    return Fetched(what=f"synthetic sample, {style}", version=str(seed), sha256=dir_sha256(target))


def _archive(
    target: Path,
    scratch: Path,
    limits: Limits,
    environ: Mapping[str, str],
    *,
    path: str,
    sha256: str | None = None,
) -> Fetched:
    return archive.fetch(target, path=Path(path), sha256=sha256)


def _kaggle(target: Path, scratch: Path, limits: Limits, environ: Mapping[str, str], **asked: Any) -> Fetched:
    return kaggle.fetch(target, scratch=scratch, limits=limits, environ=environ, **asked)


def _roboflow(target: Path, scratch: Path, limits: Limits, environ: Mapping[str, str], **asked: Any) -> Fetched:
    return roboflow.fetch(target, scratch=scratch, limits=limits, environ=environ, **asked)


KINDS: dict[str, Callable[..., Fetched]] = {
    "sample": _sample,
    "archive": _archive,
    "kaggle": _kaggle,
    "roboflow": _roboflow,
}
