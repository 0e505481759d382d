"""The files that a project is made of: those of tandem's own repository.

A wheel carries them in tandem/template, by a table in pyproject.toml; a clone has them where they lie. What only a
project of one's own has, its README and its workflow, lies in files/ beside this module.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path

from tandem.errors import DataError
from tandem.files import list_files
from tandem.pipeline.code.pinned import PACKAGE, PIN_PATH, SHOWN_BELOW, is_clone
from tandem.pipeline.params import PARAMS_PATH

_IN_WHEEL = "tandem/template/"
_OWN = Path(__file__).parent / "files"
_NOT_FOR_PROJECTS = ("stages/ruff.toml",)  # it extends tandem's own pyproject.toml
_CODE = f"      - {SHOWN_BELOW}/tandem\n"  # what the stage check depends on in a clone
WORKFLOW = ".github/workflows/pipeline.yml"
README = "README.md"
PRESETS = "presets/"


def template_files() -> dict[str, bytes]:
    """POSIX path in a project -> content, of all files that are the same in each project of this version.

    The stage `check` of a project depends on the file that pins tandem's version, where that of a clone depends on the
    code itself. Raises DataError for a package that lacks them.
    """
    files = {name: path.read_bytes() for name, path in _paths() if name not in _NOT_FOR_PROJECTS}
    try:
        pipeline = files["dvc.yaml"].decode()
    except KeyError:
        raise DataError(
            f"the tandem in {PACKAGE.parent} lacks the files that projects are made of; install it again from its wheel"
        ) from None
    head, code, tail = pipeline.partition(_CODE)
    assert code, "dvc.yaml names the code that its stage check lists"
    files["dvc.yaml"] = f"{head}      - {PIN_PATH}\n{tail}".encode()
    return files | {WORKFLOW: (_OWN / "workflow.yml").read_bytes()}


def readme(name: str) -> bytes:
    """The README of a new project of this name."""
    return (_OWN / "project.md").read_text(encoding="utf-8").replace("NAME", name).encode()


def preset_names(files: dict[str, bytes]) -> list[str]:
    """Of the presets among a template's files."""
    return sorted(Path(name).stem for name in files if name.startswith(PRESETS))


def preset(name: str, files: dict[str, bytes]) -> str:
    """The text of a preset. Raises DataError that names those there are."""
    path = f"{PRESETS}{name}.yaml"
    if path not in files:
        known = ", ".join(preset_names(files))
        raise DataError(f"there is no preset {name!r}; there are {known}: `--preset {preset_names(files)[0]}`")
    return files[path].decode()


def repository() -> Path | None:
    """The clone of tandem that the package lies in; None for an installed one."""
    root = PACKAGE.parents[1]
    return root if is_clone(root) and (root / PARAMS_PATH).is_file() else None


def _paths() -> Iterator[tuple[str, Path]]:
    root = repository()
    if root is None:
        yield from _within(PACKAGE / "template", "", without="__pycache__")  # which pip makes
        return
    for source, name in _table(root).items():
        if (root / source).is_file():
            yield name, root / source
        else:
            yield from _within(root / source, name, without=(".", "__pycache__"))  # what tools leave, and no wheel has


def _within(folder: Path, name: str, *, without: str | tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    """The files of a folder that is called so in a project. without: how names begin of what is left out."""
    for file in list_files(folder):
        inside = file.relative_to(folder)
        if not any(part.startswith(without) for part in inside.parts):
            yield Path(name, inside).as_posix(), file


def _table(root: Path) -> dict[str, str]:
    """Path in a clone -> path in a project, of files and folders, as the wheel is built."""
    built = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]
    return {source: target.removeprefix(_IN_WHEEL) for source, target in built["wheel"]["force-include"].items()}
