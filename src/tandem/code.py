"""The code that a script runs: its own file and the modules of this package that it imports, with their digests."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tandem.files import sha256


def listing(script: Path, *, root: Path) -> str:
    """A line "digest  path" for each file of the code of `script`, by path relative to root; `sha256sum -c` checks it.

    root: holds the package in src/tandem. Imports are followed wherever they stand in a file, within functions too. A
    package inside this one counts as a whole: some of its modules are run and not imported.
    """
    files = {script, *_imported(script, root / "src")}
    names = sorted((file.relative_to(root).as_posix(), file) for file in files)
    return "".join(f"{_digest(file)}  {name}\n" for name, file in names)


def _imported(script: Path, src: Path) -> set[Path]:
    """The package's files that a script imports, and what they import in turn."""
    found, ahead = set[Path](), [script]
    while ahead:
        for file in _files_of(ahead.pop(), src) - found:
            found.add(file)
            ahead.append(file)
    return found


@cache
def _files_of(path: Path, src: Path) -> set[Path]:
    """The package's files that one file imports."""
    files = set[Path]()
    for name in _names(path):
        module = src.joinpath(*name.split(".")).with_suffix(".py")
        if name.startswith("tandem.") and module.is_file():
            within = module.parent != src / "tandem"
            files |= set(module.parent.glob("*.py")) if within else {module}
    return files


def _names(path: Path) -> Iterator[str]:
    """The full name of each module that a file imports; "from a import b" may name a.b."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


@cache
def _digest(path: Path) -> str:
    return sha256(path)
