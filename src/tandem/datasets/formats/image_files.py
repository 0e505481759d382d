"""Which files of a source are its images, and where an image lies that an annotation names."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path, PurePath, PurePosixPath
from urllib.parse import unquote

from tandem import files
from tandem.datasets.formats.text import first_names, shorten
from tandem.errors import DataError
from tandem.images.signatures import is_image_file

_FROM_ELSEWHERE = re.compile(r"[/\\]|[A-Za-z]:[/\\]|[A-Za-z][A-Za-z0-9+.-]*://")  # a path or an address, at its start


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
        """The images whose path is, or ends in, `name`, with or without its suffix.

        Where none is written so, those of the same letters in other case: Windows and macOS take them for the same.
        """
        wanted = PurePosixPath(name.replace("\\", "/"))
        if not wanted.name or ".." in wanted.parts or wanted.is_absolute():
            return []
        exact = self._by_name.get(same_text(wanted.name), ())
        found = [path for path in exact if _ends_in(path, wanted, same_text)]
        if found:
            return found
        return [path for path in self._by_folded_name.get(_folded(wanted.name), ()) if _ends_in(path, wanted, _folded)]

    @cached_property
    def _by_folded_name(self) -> dict[str, list[str]]:
        folded: dict[str, dict[str, None]] = defaultdict(dict)
        for name, paths in self._by_name.items():
            folded[_folded(name)].update(dict.fromkeys(paths))
        return {name: list(paths) for name, paths in folded.items()}

    def could_be(self, name: str) -> list[str]:
        """The images that find() chooses from."""
        return next(filter(None, map(self.named, _wanted(name))), [])

    def find(self, name: str, *, near: Sequence[str]) -> str | None:
        """The image of this name in the first of the folders `near` that has it, else the only one anywhere.

        Of a path of another machine, an address, or a path with `..` ever shorter ends are searched.
        """
        return self._first(_wanted(name), near)

    def resolve(self, name: str, *, near: Sequence[str]) -> str | None:
        """As find, by ever shorter ends of any path."""
        return self._first(path_ends(name), near)

    def _first(self, names: Iterable[str], near: Sequence[str]) -> str | None:
        return next((image for name in names if (image := self._find(name, near))), None)

    def _find(self, name: str, near: Iterable[str]) -> str | None:
        found = self.named(name)
        for folder in near:
            inside = [path for path in found if path.startswith(f"{folder}/") or folder in ("", ".")]
            exact = [path for path in inside if len(PurePosixPath(path).parts) == _depth(folder) + _depth(name)]
            if len(exact) == 1:
                return exact[0]
        return found[0] if len(found) == 1 else None


def path_ends(name: str) -> list[str]:
    """A path, and what is left of it without its first folders, ever shorter; of an address without its query."""
    scheme, is_address, rest = name.partition("://")
    parts = (unquote(rest.partition("?")[0]) if is_address else scheme).replace("\\", "/").split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]


def _wanted(name: str) -> list[str]:
    is_from_elsewhere = _FROM_ELSEWHERE.match(name) or ".." in name.replace("\\", "/").split("/")
    return path_ends(name) if is_from_elsewhere else [name]


def _folded(text: str) -> str:
    return same_text(text).casefold()


def require_found(where: Path, missing: Sequence[str], num_names: int, images: ImageFiles) -> None:
    """Raise DataError where all images that a file names are missing, or one of the names could be several images."""
    unclear = next((name for name in missing if images.could_be(name)), "")
    if not missing or (len(missing) < num_names and not unclear):
        return
    hint = f", which could be {first_names(images.could_be(unclear))}" if unclear else ""
    raise DataError(
        f"{where} names {len(missing)} of {num_names} images that are not there, the first is "
        f"{shorten(unclear or missing[0])}{hint}; get the source again, or correct the file"
    )


def size_in_pixels(width: object, height: object, image: Path) -> tuple[object, object]:
    """Width and height as an annotation states them; where one is missing or 0, those of the upright image itself."""
    if not any(_is_unstated(side) for side in (width, height)):
        return width, height
    from tandem.images.decode import upright_size  # most files state it

    return upright_size(image.read_bytes()) or (1, 1)  # merge says what is wrong with it, and no box of it is used


def _is_unstated(side: object) -> bool:
    return side is None or (side.strip() in ("", "0") if isinstance(side, str) else side == 0)


def _ends_in(path: str, wanted: PurePosixPath, form: Callable[[str], str]) -> bool:
    parents = tuple(map(form, wanted.parts[:-1]))
    return not parents or tuple(map(form, PurePosixPath(path).parts[:-1]))[-len(parents) :] == parents


def _depth(path: str) -> int:
    return len(PurePosixPath(path).parts)
