"""What the stages write, by dvc.yaml; what the last run wrote, by dvc.lock: missing, damaged, and by which stage."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tandem.errors import DataError
from tandem.files import list_files, parse_yaml
from tandem.pipeline.lock import read_lock
from tandem.pipeline.params import PARAMS_PATH, read_params

_MAX_BYTES = 4 * 10**9  # that are read to find a damaged file
_KINDS = ("outs", "metrics", "plots")


def stage_that_writes(path: Path, root: Path = Path()) -> str:
    """The stage, as `dvc repro` takes its name, that writes a file; "" for a file that none does."""
    relative = path.absolute().relative_to(root.absolute()) if path.absolute().is_relative_to(root.absolute()) else path
    found = (stage for output, stage in outputs(root).items() if relative == output or output in relative.parents)
    return next(found, "")


def outputs(root: Path = Path()) -> dict[Path, str]:
    """What the stages write, below root -> the stage; nothing where there is no pipeline."""
    if not (root / "dvc.yaml").is_file():
        return {}
    stages = parse_yaml((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    has_foreach = any("foreach" in entry for entry in stages.values())
    params = read_params(root / PARAMS_PATH) if has_foreach else {}
    return {Path(path): stage for name, entry in stages.items() for stage, path in _of_stage(name, entry, params)}


def _of_stage(name: str, entry: Mapping[str, Any], params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    body, keys = entry.get("do", entry), [""]
    if "foreach" in entry:
        keys = list(params[entry["foreach"].strip("${}")])
    for each in (each for kind in _KINDS for each in body.get(kind, ())):
        path = each if isinstance(each, str) else next(iter(each))
        yield from ((f"{name}@{key}" if key else name, path.replace("${key}", key)) for key in keys)


def require_outputs(root: Path = Path(), *, may_be_missing: bool = False) -> None:
    """Raise DataError that lists outputs which are missing or empty, though `dvc repro` may have ended with 0.

    may_be_missing: only those that are there and empty count.
    """
    missing = {
        path: stage
        for path, stage in outputs(root).items()
        if not (_has_content(root / path) or (may_be_missing and not (root / path).exists()))
    }
    if missing:
        lines = [f"\n  {path}, of stage {stage}" for path, stage in missing.items()]
        raise DataError(
            f"{len(missing)} outputs are missing or empty:{''.join(lines)}\n"
            "run `dvc repro`; where it ended well before, the disk of its cache is full; make room there, and run "
            "`dvc repro` again"
        )


def _has_content(path: Path) -> bool:
    if path.is_dir():
        return any(each.stat().st_size for each in list_files(path))
    return path.is_file() and path.stat().st_size > 0


def changed_file(root: Path = Path(), *, stage: str) -> tuple[Path, str] | None:
    """A file that is there and not as its stage wrote it, and that stage, by the digests in dvc.lock; None without.

    stage: whose own outputs are left out.
    """
    left = _MAX_BYTES
    for writer, entry in read_lock(root / "dvc.lock").items():
        if writer == stage:
            continue
        for output in entry.get("outs", ()):
            for path, digest in _files_of(output, root):
                if not path.is_file():
                    continue
                left -= path.stat().st_size
                if left > 0 and _md5(path) != digest:
                    return path.relative_to(root), writer
    return None


def _files_of(output: Mapping[str, Any], root: Path) -> Iterator[tuple[Path, str]]:
    """The files of an output with their digests; those of a folder as DVC's cache lists them, where it does."""
    path, digest = root / output["path"], str(output.get("md5", ""))
    if not digest.endswith(".dir"):
        yield path, digest
        return
    listing = root / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
    if listing.is_file():
        for each in json.loads(listing.read_text(encoding="utf-8")):
            yield path / each["relpath"], each["md5"]


def _md5(path: Path) -> str:
    """As DVC has it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
