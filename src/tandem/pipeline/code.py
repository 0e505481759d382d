"""The code that a script runs: its file, and what it imports from beside it and from this package, with digests."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tandem.files import atomic_dir, sha256, write_text


def write_listings(scripts: Path, folder: Path, *, root: Path) -> None:
    """Write `folder`, whole: for each script of the folder `scripts` its listing, <name>.txt.

    What begins with an underscore there is no script, but imported by them.
    """
    code = Code(root)
    with atomic_dir(folder) as temporary:
        for script in sorted(scripts.glob("[!_]*.py")):
            write_text(temporary / f"{script.stem}.txt", code.listing(script))


class Code:
    """The package in src/tandem below `root`, each file of which is read once.

    Imports are followed wherever they are in a file, within functions too. Importing a module runs the `__init__.py`
    of each package on the way to it; other modules of those packages do not count.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.src = root, root / "src"
        self._files = dict[Path, set[Path]]()
        self._lines = dict[Path, str]()

    def listing(self, script: Path) -> str:
        """A line "digest  path" for each file that a script runs, by path relative to root, as sha256sum has them."""
        files = {script.relative_to(self.root).as_posix(): script}
        files |= {path.relative_to(self.root).as_posix(): path for path in self._imported(script)}
        return "".join(self._line(files[name], name) for name in sorted(files))

    def _imported(self, script: Path) -> set[Path]:
        """The files of this project that a script imports, and what they import in turn."""
        found, ahead = set[Path](), [script]
        while ahead:
            new = self._files_of(ahead.pop()) - found
            found |= new
            ahead += new
        return found

    def _files_of(self, path: Path) -> set[Path]:
        """The files of this project that one file imports."""
        if path not in self._files:
            folders = [self.src] if self.src in path.parents else [self.src, path.parent]
            modules = {folder.joinpath(*name.split(".")) for name in _names(path) for folder in folders}
            imported = {file for module in modules if (file := module.with_suffix(".py")).is_file()}
            packages = {parent for module in imported for parent in module.parents if self.src in parent.parents}
            self._files[path] = imported | {package / "__init__.py" for package in packages}
        return self._files[path]

    def _line(self, path: Path, name: str) -> str:
        if path not in self._lines:
            self._lines[path] = f"{sha256(path)}  {name}\n"
        return self._lines[path]


def _names(path: Path) -> Iterator[str]:
    """The full name of each module that a file imports; "from a import b" may name a.b."""
    for node in _statements(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Those below a node, at any depth. Most nodes are expressions, in which no import can be: they are left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield child
            yield from _statements(child)
