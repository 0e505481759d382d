"""A new project, whole or not at all: made in a folder that becomes it, or whose content moves into an empty one."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tandem.errors import DataError
from tandem.files import atomic_dir
from tandem.folders import PARTIAL, filled_dir
from tandem.pipeline.code.pinned import PIN_PATH
from tandem.pipeline.params import PARAMS_PATH
from tandem.projects.classes import ClassPlan
from tandem.projects.inspection import InspectedSource, absolute, inspect_sources
from tandem.projects.parameters import parameters_for
from tandem.projects.pin import requirements
from tandem.projects.repository import begin_repository, commit, require_git, work_tree_of
from tandem.projects.template import README, WORKFLOW, preset, readme, template_files

_SAMPLE, _OF_PHOTOGRAPHS = "sample", "vehicles"  # presets; of photographs: with weights of ImageNet
_MAY_BE_THERE = (".git", PARTIAL)


class CreatedProject(NamedTuple):
    """sources, plan: what was found in the data, if any was named. work_tree: root of the git repository around it.

    problem: why git did not commit, "" where it did or was not to.
    """

    folder: Path
    sources: Sequence[InspectedSource]
    plan: ClassPlan | None
    work_tree: Path | None
    problem: str


def create_project(folder: Path, *, preset_name: str | None, data: Sequence[Path]) -> CreatedProject:
    """Make a project in a folder that is new or empty. preset_name: None takes that of photographs for data.

    Raises DataError or SourceError, and leaves nothing, for a folder that holds something, for a preset that there is
    not, and for data that no project can be made of.
    """
    require_git()
    _require_free(folder)
    _require_apart(folder, data)
    files = template_files()
    name = preset_name or (_OF_PHOTOGRAPHS if data else _SAMPLE)
    params, sources, plan = preset(name, files), list[InspectedSource](), None
    around = work_tree_of(folder)
    if around not in (None, folder.resolve()):
        del files[WORKFLOW]  # GitHub reads those of its root alone
    with _new_folder(folder) as building:
        if data:
            with tempfile.TemporaryDirectory(prefix=".data.", dir=building) as scratch:
                sources = inspect_sources(data, Path(scratch))
                params, plan = parameters_for(sources, params, name=name)
        own = {README: readme(absolute(folder).name), PIN_PATH.name: requirements().encode()}
        files |= {**own, PARAMS_PATH.name: params.encode()}
        _write(files, building)
        problem = ""
        if around is None:
            begin_repository(building)
            problem = commit(building, sorted(files))
    if around == folder.resolve():
        problem = commit(folder, sorted(files))
    return CreatedProject(folder, sources, plan, around if around != folder.resolve() else None, problem)


def _require_free(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file; name a folder that is new or empty")
    there = sorted(path.name for path in folder.iterdir() if path.name not in _MAY_BE_THERE) if folder.is_dir() else []
    if there:
        shown = ", ".join(there[:3]) + (f" and {len(there) - 3} more" if len(there) > 3 else "")
        is_project = {PARAMS_PATH.name, "dvc.yaml"} <= set(there)
        advice = f"; `tandem init --upgrade {folder}` renews a project" if is_project else ""
        raise DataError(f"{folder} is not empty, it holds {shown}; name a folder that is new or empty{advice}")


def _require_apart(folder: Path, data: Sequence[Path]) -> None:
    """Raise DataError for a project within its own data, which would grow by what is made of them."""
    for path in data:
        if path.is_dir() and folder.resolve().is_relative_to(path.resolve()):
            raise DataError(f"{folder} would lie in the data, {absolute(path)}; name a folder beside it")


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder to build in; its content is in `folder` when the block ends well, and nothing of it otherwise."""
    if not folder.exists():
        with atomic_dir(folder) as building:
            yield building
        return
    with filled_dir(folder) as building:
        yield building


def _write(files: Mapping[str, bytes], folder: Path) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
