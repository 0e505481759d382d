"""What is no data in any source: what tools leave behind in folders, and what git and DVC would obey in ours.

A `.dvcignore` in an output of ours hides images from DVC's digests; a `dvc.yaml` in it adds stages to the pipeline.
"""

from collections.abc import Mapping

_FOLDERS = frozenset(
    ("__macosx", "__pycache__", "@eadir", "$recycle.bin", "system volume information", "lost+found")
)  # beside the hidden ones, which all are litter
_FILES = frozenset(("thumbs.db", "ehthumbs.db", "desktop.ini", "dvc.yaml", "dvc.lock", ".ds_store"))
_BEGINNINGS = ("._", ".git", ".dvc")  # the first is of macOS: its half of a file that it copied elsewhere
_ENDING = ".dvc"


def litter(path: str) -> str:
    """What makes the file of a POSIX path litter: a folder above it, as "name/", or its own name; "" for data.

    Upper and lower case count as the same, since a disk may take them so.
    """
    *folders, last = [part for part in path.split("/") if part not in ("", ".")] or [""]
    found = next((folder for folder in folders if is_litter_folder(folder)), "")
    if found:
        return f"{found}/"
    name = last.casefold()
    return last if name in _FILES or name.startswith(_BEGINNINGS) or name.endswith(_ENDING) else ""


def is_litter_folder(name: str) -> bool:
    """Whether a folder of this name is litter with all that it holds: a hidden one, or one of a tool's own."""
    return name.casefold() in _FOLDERS or (name.startswith(".") and name not in (".", ".."))


def litter_in_words(counts: Mapping[str, int]) -> str:
    """Such as "65 files are left out as litter (62 of .git/, .gitignore, 2 x Thumbs.db)"; "" for none."""
    if not counts:
        return ""
    total = sum(counts.values())
    parts = [f"{count} of {name}" if name.endswith("/") else _times(count, name) for name, count in counts.items()]
    return f"{total} file{'s are' if total > 1 else ' is'} left out as litter ({', '.join(parts)})"


def _times(count: int, name: str) -> str:
    return name if count == 1 else f"{count} x {name}"
