"""Counts what is decoded and what passes through backbones. With this folder on its path, Python imports it at start.

Nothing of the library changes. Where its decoders and engines are imported, what counts is put around them, and each
image is a line in the file that TANDEM_COUNTS names: the stage, and what was done. The decoders themselves are counted,
so that no way to them is missed: an image that one of them hands on to another is decoded twice.
"""

import importlib.util
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

COUNTS = "TANDEM_COUNTS"
TOGETHER = "tandem.features.engines.together"
_kind_of_pass = ["pass"]  # the last: what a pass is just now


def count(kind: str, number: int = 1) -> None:
    """One line for each image. Whole lines alone are appended, by several processes too."""
    line = f"{Path(sys.argv[0]).stem},{kind}\n"
    with Path(os.environ[COUNTS]).open("ab", buffering=0) as file:
        file.write((line * number).encode())


def counted(embed: Callable[..., Any]) -> Callable[..., Any]:
    """An engine's embed that counts the images that go in."""

    def count_each(batches: Iterable[Any]) -> Iterator[Any]:
        for batch in batches:
            count(_kind_of_pass[-1], len(batch))
            yield batch

    return lambda batches: embed(count_each(batches))


def in_simplejpeg(module: Any) -> None:
    decode = module.decode_jpeg

    def decode_jpeg(*args: Any, **options: Any) -> Any:
        count("decode")
        return decode(*args, **options)

    module.decode_jpeg = decode_jpeg


def in_pillow(module: Any) -> None:
    load = module.ImageFile.load

    def load_counted(image: Any) -> Any:
        if image.tile:  # it is not loaded yet
            count("decode")
        return load(image)

    module.ImageFile.load = load_counted


def in_engines(module: Any) -> None:
    start = module.Engine.__init__

    def start_counted(engine: Any, name: str, embed: Callable[..., Any]) -> None:
        is_several = embed.__module__ == TOGETHER  # which count for themselves
        start(engine, name, embed if is_several else counted(embed))

    module.Engine.__init__ = start_counted


def in_choice_of_engine(module: Any) -> None:
    start_engine = module.start_engine

    def start_counted(*args: Any, **options: Any) -> Any:
        _kind_of_pass.append("comparison")  # of engines, on a few synthetic images
        try:
            return start_engine(*args, **options)
        finally:
            _kind_of_pass.pop()

    module.start_engine = start_counted


class Finder:
    """Finds the modules to change as others would, and changes them once they are loaded."""

    def __init__(self, changes: dict[str, Callable[[Any], None]]) -> None:
        self._changes = changes

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """The module's, whose loader changes it; None for all others. What is found is not looked for again."""
        change = self._changes.pop(name, None)
        spec = importlib.util.find_spec(name) if change else None
        if change is None or spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            change(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


if COUNTS in os.environ:
    finder: Any = Finder(
        {
            "simplejpeg": in_simplejpeg,
            "PIL.ImageFile": in_pillow,
            "tandem.features.engines.base": in_engines,
            "tandem.features.engines.engine": in_choice_of_engine,
        }
    )
    sys.meta_path.insert(0, finder)
