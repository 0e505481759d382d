"""Small sources in the layouts of exporters: tiny images, and texts beside them."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from PIL import Image

from tandem.datasets.formats.annotations import BAD_ANNOTATION, Annotation


def plant(root: Path, *names: str, size: tuple[int, int] = (8, 4)) -> Path:
    """The same tiny image under each name, whatever its suffix says."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, "teal").save(root / name, "PNG")
    return root


def write(root: Path, texts: Mapping[str, str | bytes]) -> Path:
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def assert_bad(annotations: Iterable[Annotation], message: str) -> Annotation:
    """That one of the annotations cannot be used, and says so by a short message of this pattern; that one."""
    (bad,) = [each for each in annotations if each.reason == BAD_ANNOTATION]
    assert re.search(message, bad.detail), bad.detail
    assert len(bad.detail) < 1200
    return bad
