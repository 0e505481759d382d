"""Pascal VOC: an XML file for each image, with its boxes in pixels, as of LabelImg, CVAT, Roboflow, Kaggle."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tandem import files
from tandem.datasets.formats.annotations import (
    NO_IMAGE,
    Annotation,
    Box,
    bad_annotation,
    boxed,
    in_order,
    mark_missing,
    pixel_box,
)
from tandem.datasets.formats.image_files import ImageFiles, is_hidden, size_in_pixels
from tandem.datasets.formats.text import load_text, shorten
from tandem.errors import DataError

_ROOT = re.compile(rb"<annotation[\s>]")
_DECLARED = re.compile(rb"""\s*<\?xml[^>]*\sencoding\s*=\s*["']([\w.-]+)""")
_HEAD = 4096  # bytes in which the root element begins
_MAX_DEPTH, _MAX_BYTES = 20, 10_000_000  # of an XML file
_IMAGE_FOLDERS = ("JPEGImages", "images", "Images", "data", "")


class _Bounded(ElementTree.TreeBuilder):
    """A document type could define entities that grow without bound, and VOC has none, nor deep nesting."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0

    def start(self, tag: Any, attrs: dict[Any, Any], /) -> ElementTree.Element:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ValueError(f"nested more than {_MAX_DEPTH} deep")
        return super().start(_without_namespace(tag), attrs)

    def end(self, tag: str, /) -> ElementTree.Element:
        self._depth -= 1
        return super().end(_without_namespace(tag))

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError("it has a document type")


def _without_namespace(tag: str) -> str:
    return tag.rpartition("}")[2]


def matches(root: Path) -> bool:
    """Whether an XML file of VOC lies in the folder."""
    return any(_xml_files(root))


def read(root: Path) -> list[Annotation]:
    """One annotation a box, one with label "" for an image without; by path, then box.

    An image has the name of its XML file, or that which the file states. It is opened only where its size is not
    stated. What is no XML of VOC, and boxes that are no numbers or end before they begin, are annotations that say so.
    """
    images = ImageFiles(root)
    found: list[Annotation] = []
    xml_of: dict[str, Path] = {}
    for path in _xml_files(root):
        of_file = list(_of_file(root, path, images))
        other = xml_of.setdefault(of_file[0].path, path)
        if other.read_bytes() != path.read_bytes():
            raise DataError(
                f"{other} and {path} both describe {of_file[0].path!r}, and differ; keep the one that is right"
            )
        found += map(mark_missing, of_file)
    rest = [Annotation(path, "", detail="no XML file describes it") for path in images.paths if path not in xml_of]
    return in_order([*found, *rest])


def _xml_files(root: Path) -> Iterator[Path]:
    for path in files.list_files(root):
        if path.suffix.lower() == ".xml" and not is_hidden(path.relative_to(root)):
            with path.open("rb") as file:
                if _ROOT.search(file.read(_HEAD).replace(b"\0", b"")):
                    yield path


def _of_file(root: Path, path: Path, images: ImageFiles) -> Iterator[Annotation]:
    own = path.relative_to(root).as_posix()
    try:
        tree = _parse(path)
    except DataError as error:
        yield bad_annotation(own, str(error))
        return
    image = _image(root, path, tree, images)
    if image is None:
        yield Annotation(own, "", None, NO_IMAGE, f"{own} describes an image that is not there")
        return
    objects = tree.findall("object")
    if not objects:
        yield Annotation(image, "", detail=f"{own} has no object")
    size = size_in_pixels(tree.findtext("size/width"), tree.findtext("size/height"), root / image)
    for number, each in enumerate(objects, start=1):
        where = f"{path}: object {number}"
        label = (each.findtext("name") or "").strip()
        if not label:
            yield bad_annotation(image, f"{where} has no name")
            continue
        bounds = each.find("bndbox")
        yield (Annotation(image, label) if bounds is None else boxed(image, label, _box(bounds, size), where=where))


def _parse(path: Path) -> ElementTree.Element:
    try:
        parser = ElementTree.XMLParser(target=_Bounded())  # noqa: S314  # without entities it cannot grow
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError(f"more than {_MAX_BYTES} bytes")
        return ElementTree.fromstring(_text(path).lstrip(), parser)  # noqa: S314
    except (ElementTree.ParseError, ValueError, LookupError, RecursionError) as error:
        raise DataError(f"{path} is not an XML file of Pascal VOC ({error})") from None


def _text(path: Path) -> str:
    """In the encoding that the file declares: the parser knows fewer than Python. Raises ValueError or LookupError."""
    declared = _DECLARED.match(path.read_bytes())
    encoding = declared[1].decode() if declared else "utf-8"
    return load_text(path) if encoding.lower().startswith("utf") else path.read_bytes().decode(encoding)


def _image(root: Path, path: Path, tree: ElementTree.Element, images: ImageFiles) -> str | None:
    bases = (path.parent, path.parent.parent, path.parent.parent.parent)
    inside = [base.relative_to(root) for base in bases if base.is_relative_to(root)]
    mirrored = [root / Path(*_swapped(base.parts, name)) for base in inside[:1] for name in _IMAGE_FOLDERS[:4]]
    near = ["" if base == Path() else base.as_posix() for base in inside]
    near += [folder.relative_to(root).as_posix() for folder in mirrored]
    near += [(base / name).as_posix() for base in inside for name in _IMAGE_FOLDERS]
    stated = (tree.findtext("filename") or "").strip()
    return images.find(path.stem, near=near) or (images.find(stated, near=near) if stated else None)


def _swapped(parts: tuple[str, ...], name: str) -> tuple[str, ...]:
    """`VOC/Annotations/a` to `VOC/JPEGImages/a`."""
    return tuple(name if part.lower() in ("annotations", "annotation", "labels") else part for part in parts)


def _box(bounds: ElementTree.Element, size: tuple[object, object]) -> Box | str | None:
    edges = [(bounds.findtext(name) or "").strip() for name in ("xmin", "ymin", "xmax", "ymax")]
    try:
        return pixel_box(edges, width=size[0], height=size[1])
    except (ValueError, OverflowError):
        return f"has box {shorten(edges)} in an image of {shorten(size[0])} x {shorten(size[1])} pixels"
