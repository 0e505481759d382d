"""An empty folder that is filled at once or not at all, and stays the folder that someone stands in."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL = ".tandem-partial"  # what is under way in such a folder; one that a killed run left counts as nothing


@contextmanager
def filled_dir(folder: Path) -> Iterator[Path]:
    """Yield an empty folder within an existing one; what it holds lies in that when the block ends well.

    Nothing of it does otherwise. Of two folders where one takes the other's place, see files.atomic_dir: who stands in
    an empty folder would stand in a removed one.
    """
    building, moved = folder / PARTIAL, list[Path]()
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    try:
        yield building
        for path in sorted(building.iterdir()):
            moved.append(path.rename(folder / path.name))
    except BaseException:
        for path in moved:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
