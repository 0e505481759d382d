"""Folders and archives of a few small drawn images, as people have them, of which a project is made."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

SIDE_PX = 40


def drawn(number: int) -> bytes:
    """A PNG of coarse noise, another one for each number."""
    cells = np.random.default_rng(number).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(np.kron(cells, np.ones((8, 8, 1), dtype=np.uint8))).save(buffer, "PNG")
    return buffer.getvalue()


def plant_classes(root: Path, counts: Mapping[str, int], *, first: int = 0) -> Path:
    """A folder with a folder of so many images for each label; these are all different. first: number of the first."""
    for label, count in counts.items():
        (root / label).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            (root / label / f"{number}.png").write_bytes(drawn(first + number))
        first += count
    return root


def plant_yolo(root: Path, boxes: Mapping[str, str]) -> Path:
    """A detection export of the classes cat and dog. boxes: name of an image -> indices of the classes of its boxes."""
    (root / "images").mkdir(parents=True)
    (root / "labels").mkdir()
    (root / "data.yaml").write_text("names: [cat, dog]\n")
    for number, (name, classes) in enumerate(boxes.items()):
        (root / f"images/{name}.png").write_bytes(drawn(1000 + number))
        (root / f"labels/{name}.txt").write_text("".join(f"{index} 0.5 0.5 0.6 0.6\n" for index in classes))
    return root


def zipped(folder: Path) -> Path:
    """A zip of a folder, beside it."""
    path = folder.with_name(f"{folder.name}.zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder))
    return path
