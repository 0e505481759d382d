"""The files of a source that no annotation names: none of them is passed over without a word."""

import zipfile
from collections import Counter
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tandem import files
from tandem.images.signatures import IMAGE_SUFFIXES, head, is_image_file, unread_format
from tandem.tables.index import Excluded

NESTED_ARCHIVE, UNLISTED, UNREAD_FORMAT = "nested_archive", "unlisted", "unread_format"
_ARCHIVE_ENDINGS = (
    ".zip",
    ".tar",
    ".tgz",
    ".tbz2",
    ".txz",
    ".tar.gz",
    ".tar.bz2",
    ".tar.xz",
    ".tar.zst",
    ".7z",
    ".rar",
)


class Unclaimed(NamedTuple):
    """excluded: images that nothing labels, and archives. others: number of all other files, by suffix."""

    excluded: tuple[Excluded, ...]
    others: Counter[str]


def unclaimed_files(source: str, root: Path, claimed: Collection[str]) -> Unclaimed:
    """What lies in the folder of a source beside its annotated images. claimed: POSIX paths of these."""
    excluded, others = list[Excluded](), Counter[str]()
    for path in files.list_files(root):
        name = path.relative_to(root).as_posix()
        if name in claimed:
            continue
        if reason := _reason(path):
            excluded.append(Excluded(source, name, "", *reason))
        else:
            others[path.suffix.lower() or "no suffix"] += 1
    return Unclaimed(tuple(excluded), others)


def nested_archives_in_words(root: Path) -> str:
    """What the archives in a source's folder hold, joined by "; "; "" where there are none."""
    return "; ".join(filter(None, map(_archive_in_words, files.list_files(root))))


def others_in_words(others: Counter[str]) -> str:
    """Such as "40 other files (36 .txt, 4 .yaml)"; "" for none."""
    if not others:
        return ""
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in others.most_common())
    return f"{others.total()} other file{'s' if others.total() > 1 else ''} ({kinds})"


def _reason(path: Path) -> tuple[str, str] | None:
    """Reason and detail; None for a file that is neither an image nor an archive."""
    if is_image_file(path):
        hidden = ": it is a hidden file" if path.name.startswith(".") else ""
        return UNLISTED, f"no annotation of the source names it{hidden}"
    if format := unread_format(path):
        return UNREAD_FORMAT, f"an image of a format that is not read ({format}); convert it to PNG"
    contents = _archive_in_words(path)
    return (NESTED_ARCHIVE, contents) if contents else None


def _archive_in_words(path: Path) -> str:
    """What an archive holds, such as "36 images lie in test.zip, which is not opened; ..."; "" for other files."""
    is_named_so = path.name.lower().endswith(_ARCHIVE_ENDINGS)
    num_images = _num_zipped_images(path)
    if not (num_images or is_named_so):
        return ""
    what = "files" if num_images is None else f"{num_images} image{'' if num_images == 1 else 's'}"
    lie = "lies" if num_images == 1 else "lie"
    return f"{what} {lie} in {path.name}, which is not opened; unpack it and name the folder as a source"


def _num_zipped_images(path: Path) -> int | None:
    """None for a file that is no zip, or none that can be listed."""
    if not head(path).startswith(b"PK"):
        return None
    try:
        with zipfile.ZipFile(path) as zipped:
            return sum(PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES for name in zipped.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError):
        return None
