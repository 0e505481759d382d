"""Small sources in the layouts of exporters: tiny images, and texts beside them."""

from collections.abc import Mapping
from pathlib import Path

from PIL import Image


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
