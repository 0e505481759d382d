"""One source of any kind to a folder of its files and a receipt."""

import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from tandem.errors import SourceError
from tandem.files import tree_sha256, whole_folder
from tandem.sources import archive, kaggle, receipts, roboflow, sample
from tandem.sources.attempts import DEFAULT_LIMITS, Limits
from tandem.sources.receipts import Fetched, Receipt

REMOTE = ("kaggle", "roboflow")
_PINS = {"sha256": "sha256", "tree_sha256": "tree_sha256"}  # optional parameter -> field of the receipt


class Place(NamedTuple):
    """Where one source lies: its files, its receipt, and what is under way."""

    files: Path
    receipt: Path
    scratch: Path

    @classmethod
    def of(cls, folder: Path, name: str) -> "Place":
        """The places of source `name` below the folder of all downloads."""
        return cls(folder / "files" / name, folder / "receipts" / f"{name}.json", folder / "partial" / name)


def download(
    name: str,
    source: Mapping[str, Any],
    *,
    folder: Path,
    limits: Limits = DEFAULT_LIMITS,
    environ: Mapping[str, str] = os.environ,
) -> Receipt:
    """Fetch `sources.<name>` of the parameters to files/<name> and receipts/<name>.json below `folder`.

    Both are replaced only when all went well. What is there already with the same pin is not asked for again; files
    that no receipt describes are not replaced. environ: where credentials are looked for. Raises SourceError.
    """
    place, kind = Place.of(folder, name), source["kind"]
    try:
        earlier = _earlier(place)
        if earlier and kind in REMOTE and _fulfils(earlier, kind, source[kind]):
            return earlier
        fetched = KINDS[kind](place, limits, environ, **source[kind])
    except SourceError as error:
        raise SourceError(f"source {name} ({_asked(kind, source[kind])}): {error}") from None
    if earlier:
        tqdm.write(
            f"source {name}: {earlier.what} {earlier.version} is replaced by {fetched.what} {fetched.version}",
            file=sys.stderr,
        )
    now = datetime.now(UTC).isoformat(timespec="seconds")
    receipt = receipts.receipt(place.files, fetched, source=name, kind=kind, asked=dict(source[kind]), fetched_at=now)
    receipts.write(place.receipt, receipt)
    return receipt


def _earlier(place: Place) -> Receipt | None:
    """The receipt of the files that are there, None where there are none; other files than it describes are refused."""
    if not place.files.exists():
        return None
    receipt = receipts.read(place.receipt)
    if receipt is None or receipt.tree_sha256 != tree_sha256(place.files, without=receipt.volatile):
        raise SourceError(
            f"{place.files} holds files that {place.receipt} does not describe; they are not replaced: "
            "move them elsewhere, or remove them"
        )
    return receipt


def _fulfils(receipt: Receipt, kind: str, asked: Mapping[str, Any]) -> bool:
    was, now = ({key: value for key, value in each.items() if key not in _PINS} for each in (receipt.asked, asked))
    pins = ((asked.get(key), getattr(receipt, key)) for key in _PINS)
    return receipt.kind == kind and was == now and all(pin in (None, found) for pin, found in pins)


def _asked(kind: str, asked: Mapping[str, Any]) -> str:
    """A source in words, such as "kaggle owner/slug, version 3"."""
    facts = [f"{key} {value}" for key, value in asked.items() if key not in _PINS and value is not None]
    return f"{kind}: {', '.join(facts)}"


def _sample(place: Place, limits: Limits, environ: Mapping[str, str], *, manner: str, seed: int) -> Fetched:
    with whole_folder(place.files) as folder:
        sample.draw(folder, manner=manner, seed=seed)
        return Fetched(what=f"embedded sample, {manner}", version=str(seed), sha256=tree_sha256(folder))


def _archive(
    place: Place, limits: Limits, environ: Mapping[str, str], *, path: str, sha256: str | None = None
) -> Fetched:
    return archive.fetch(place.files, path=Path(path), sha256=sha256)


def _kaggle(place: Place, limits: Limits, environ: Mapping[str, str], **asked: Any) -> Fetched:
    return kaggle.fetch(place.files, scratch=place.scratch, limits=limits, environ=environ, **asked)


def _roboflow(place: Place, limits: Limits, environ: Mapping[str, str], **asked: Any) -> Fetched:
    return roboflow.fetch(place.files, scratch=place.scratch, limits=limits, environ=environ, **asked)


KINDS: dict[str, Callable[..., Fetched]] = {
    "sample": _sample,
    "archive": _archive,
    "kaggle": _kaggle,
    "roboflow": _roboflow,
}
