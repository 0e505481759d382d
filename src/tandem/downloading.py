"""One source of any kind to a folder of its files and a receipt."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tandem.errors import SourceError
from tandem.files import tree_sha256, whole_folder
from tandem.sources import archive, receipts, sample
from tandem.sources.receipts import Fetched, Receipt


def download(name: str, source: Mapping[str, Any], *, target: Path) -> Receipt:
    """Fetch `sources.<name>` of the parameters into `target`, which is replaced only when all went well.

    Raises SourceError.
    """
    kind = source["kind"]
    if kind not in KINDS:
        raise SourceError(
            f"source {name} is of kind {kind!r}, which this version cannot download yet; download it by hand and "
            f"use kind: archive ({', '.join(KINDS)} work)"
        )
    fetched = KINDS[kind](target, **source[kind])
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return receipts.receipt(target, fetched, source=name, kind=kind, fetched_at=now)


def _sample(target: Path, *, manner: str, seed: int) -> Fetched:
    with whole_folder(target) as folder:
        sample.draw(folder, manner=manner, seed=seed)
        return Fetched(what=f"embedded sample, {manner}", version=str(seed), sha256=tree_sha256(folder))


def _archive(target: Path, *, path: str, sha256: str | None = None) -> Fetched:
    return archive.fetch(target, path=Path(path), sha256=sha256)


KINDS: dict[str, Callable[..., Fetched]] = {"sample": _sample, "archive": _archive}
