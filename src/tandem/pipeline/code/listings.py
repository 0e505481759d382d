"""The code that a script runs: its file, and what it imports from beside it and from this package, with digests."""

import re
from collections.abc import Iterator
from pathlib import Path

from tandem.files import atomic_dir, sha256, write_text
from tandem.pipeline.code.pinned import PACKAGE, SHOWN_BELOW, is_clone

# Import statements, by what they look like: a parser takes a fifth of a second for all files of this project. One in a
# string counts too, which lists a file too many at most. Groups: the module after "from", and what is imported.
_IMPORT = re.compile(
    r"(?:^|[:;])[ \t\f]*(?:from\b((?:[\w. \t\f]|\\\n)+?))?\bimport\b"
    r"([ \t\f]*\((?:[^)#]|#.*)*\)|(?:[^\n;#\\]|\\\n)*)",
    re.MULTILINE,
)
_LINE_END = re.compile(r"\r\n?")
_NO_CODE = re.compile(r"#.*|\\\n")  # comments, and the ends of lines that go on
_AROUND_DOT = re.compile(r"\s*\.\s*")
_NAME = re.compile(r"(?:^|[(,])\s*(\w+(?:\.\w+)*)")  # without what follows "as"


def write_listings(scripts: Path, folder: Path, *, root: Path) -> None:
    """Write `folder`, whole: for each script of the folder `scripts` its listing, <name>.txt.

    What begins with an underscore there is no script, but imported by them.
    """
    code = Code(root)
    with atomic_dir(folder) as temporary:
        for script in sorted(scripts.glob("[!_]*.py")):
            write_text(temporary / f"{script.stem}.txt", code.listing(script))


class Code:
    """The package that the scripts below `root` run, each file of which is read once.

    That is root/src/tandem, as in a clone of tandem, else the one that is installed. Its files are named as in a
    clone, so that the same code has the same listing wherever it lies. Imports are followed wherever they are in a
    file, within functions too. Importing a module runs the `__init__.py` of each package on the way to it; other
    modules of those packages do not count.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.src = root / SHOWN_BELOW if is_clone(root) else PACKAGE.parent
        self._files = dict[Path, set[Path]]()
        self._lines = dict[Path, str]()

    def listing(self, script: Path) -> str:
        """A line "digest  path" for each file that a script runs, by path relative to root, as sha256sum has them."""
        files = {self._name(path): path for path in (script, *self._imported(script))}
        return "".join(self._line(files[name], name) for name in sorted(files))

    def _name(self, path: Path) -> str:
        if self.src in path.parents:
            return SHOWN_BELOW.joinpath(path.relative_to(self.src)).as_posix()
        return path.relative_to(self.root).as_posix()

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
            is_script, names = self.src not in path.parents, set(_names(path))
            modules = {self.src.joinpath(*name.split(".")) for name in names if name.split(".")[0] == PACKAGE.name}
            modules |= {path.parent.joinpath(*name.split(".")) for name in names if is_script}
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
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    for module, names in _IMPORT.findall(_LINE_END.sub("\n", text)):
        above = "".join(_NO_CODE.sub(" ", module).split()).strip(".")
        imported = _NAME.findall(_AROUND_DOT.sub(".", _NO_CODE.sub(" ", names)))
        if above:
            yield from (above, *(f"{above}.{name}" for name in imported))
        elif not module:
            yield from imported
