"""Which files of a source are its images, and where an image lies that an annotation names."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath, PurePosixPath

from tandem import files
from tandem.images.signatures import is_image_file


def is_hidden(path: PurePath) -> bool:
    """Whether a file is a system's own: its name or a folder above it begins with a dot, or macOS made it."""
    return path.name.startswith(".") or "__MACOSX" in path.parts


def same_text(text: str) -> str:
    """One form of names that are the same text: macOS writes é in two code points, others in one."""
    return unicodedata.normalize("NFC", text)


class ImageFiles:
    """The images of a source. paths: POSIX, relative to its folder, sorted."""

    def __init__(self, root: Path) -> None:
        relative = (PurePosixPath(path.relative_to(root).as_posix()) for path in files.list_files(root))
        images = [path for path in relative if not is_hidden(path) and is_image_file(root / path)]
        self.paths = [str(path) for path in images]
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for path in images:
            for name in {path.name, path.stem}:
                self._by_name[same_text(name)].append(str(path))

    def named(self, name: str) -> list[str]:
        """The images whose path is, or ends in, `name`, with or without its suffix."""
        wanted = PurePosixPath(same_text(name.replace("\\", "/")))
        if not wanted.name or ".." in wanted.parts or wanted.is_absolute():
            return []
        return [path for path in self._by_name.get(wanted.name, ()) if _ends_in(PurePosixPath(path), wanted)]

    def find(self, name: str, *, near: Iterable[str]) -> str | None:
        """The image of this name in the first of the folders `near` that has it, else the only one anywhere."""
        found = self.named(name)
        for folder in near:
            inside = [path for path in found if path.startswith(f"{folder}/") or folder in ("", ".")]
            exact = [path for path in inside if len(PurePosixPath(path).parts) == _depth(folder) + _depth(name)]
            if len(exact) == 1:
                return exact[0]
        return found[0] if len(found) == 1 else None

    def resolve(self, name: str, *, near: Sequence[str]) -> str | None:
        """As find, by ever shorter ends of a path of another machine."""
        parts = name.replace("\\", "/").split("/")
        ends = ("/".join(parts[start:]) for start in range(len(parts)))
        return next((image for end in ends if (image := self.find(end, near=near))), None)


def _ends_in(path: PurePosixPath, wanted: PurePosixPath) -> bool:
    parents = wanted.parts[:-1]
    return not parents or tuple(map(same_text, path.parts[:-1]))[-len(parents) :] == parents


def _depth(path: str) -> int:
    return len(PurePosixPath(path).parts)
