"""Images as files of their own, which is how the App shows them. Scratch: laid out again whenever a file is missing."""

from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from tandem.types import Encoded


def lay_out(images: Sequence[Encoded], names: Sequence[str], folder: Path) -> None:
    """Write each image to a file of its name in `folder`, where there is none yet; remove all other files there.

    names: of which each stands for one content.
    """
    folder.mkdir(parents=True, exist_ok=True)
    here = {path.name for path in folder.iterdir()}
    for name in here - set(names):
        (folder / name).unlink()
    missing = [(image, name) for image, name in zip(images, names, strict=True) if name not in here]
    for image, name in tqdm(missing, "lay out", unit="image", disable=None):
        partial = folder / f".{name}.partial"  # a file of the name is whole
        partial.write_bytes(image.read_bytes())
        partial.replace(folder / name)
