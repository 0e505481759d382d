"""The command `tandem init`: a project of one's own, and its way to the installed version of tandem."""

import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import typer

from tandem.cli.output import print_json
from tandem.errors import DataError
from tandem.projects.creation import CreatedProject, create_project
from tandem.projects.inspection import described
from tandem.projects.upgrade import (
    changes_of_upgrade,
    require_committed,
    unified_diff,
    unknown_scripts,
    version_in_words,
    write_changes,
)

_HOW = "name its folder: `tandem init DIR`; `.` is this one"


def init_project(folder: Path | None, *, preset_name: str | None, data: Sequence[Path], as_json: bool) -> None:
    """Make a project, and say what was found and what comes next."""
    if folder is None:
        raise DataError(f"a new project needs a folder; {_HOW}")
    created = create_project(folder, preset_name=preset_name, data=data)
    if as_json:
        print_json(_as_dict(created))
    else:
        typer.echo("\n".join(_told(created)))


def upgrade_project(folder: Path | None, *, assume_yes: bool, as_json: bool) -> None:
    """Show what the installed version changes in a project, and write it if that is wanted."""
    root = folder or Path()
    changes = changes_of_upgrade(root)
    if own := unknown_scripts(root):
        typer.echo(f"not of {version_in_words()}, and left as they are: {', '.join(own)}", err=True)
    if as_json:
        if assume_yes:
            require_committed(root, changes)
            write_changes(root, changes)
        print_json({"folder": str(root), "diff": unified_diff(changes), "is_written": assume_yes and bool(changes)})
        return
    if not changes:
        typer.echo(f"the project is as {version_in_words()} makes it; nothing is to be done")
        return
    typer.echo(unified_diff(changes), nl=False)
    require_committed(root, changes)
    files = f"{len(changes)} file{'s' if len(changes) > 1 else ''}"
    if not assume_yes and not sys.stdin.isatty():
        raise DataError("nothing is written, as nobody was asked; `tandem init --upgrade --yes` writes it")
    if assume_yes or typer.confirm(f"write {files} of {version_in_words()}?"):
        write_changes(root, changes)
        typer.echo(f"{files} written; `tandem check` says whether params.yaml still fits")
    else:
        typer.echo("nothing is written")


def _as_dict(created: CreatedProject) -> dict[str, object]:
    """classes, ignored: None without data."""
    return {
        "folder": str(created.folder),
        "sources": {
            each.name: {"path": str(each.path), "format": each.format, "images": each.num_images, "labels": each.labels}
            for each in created.sources
        },
        "classes": list(created.plan.names) if created.plan else None,
        "ignored": dict(created.plan.ignored) if created.plan else None,
        "next": list(_next_commands(created.folder)),
    }


def _told(created: CreatedProject) -> Iterator[str]:
    for source in created.sources:
        first, *others = described(source)
        yield f"{source.name}: {first}"
        yield from (f"  {line}" for line in others)
    if created.plan:
        yield f"{len(created.plan.names)} classes: {_some([*created.plan.names])}"
        for label, reason in created.plan.ignored.items():
            yield f"  ignored: {label} ({reason})"
    yield f"{created.folder} is a project of {version_in_words()}{_repository(created)}"
    yield f"next: {' && '.join(_next_commands(created.folder))}"


def _repository(created: CreatedProject) -> str:
    if created.work_tree:
        return (
            f", in the git repository {created.work_tree}: nothing is committed yet, and there is no workflow, "
            "which GitHub reads at the root alone"
        )
    if created.problem:
        return f", in a git repository without a commit ({created.problem}); experiments need one: `git commit`"
    return ", in a git repository with one commit"


def _next_commands(folder: Path) -> Iterator[str]:
    if folder.absolute() != Path.cwd():
        yield f"cd {shlex.quote(str(folder))}"
    dvc, python = (shutil.which(name) for name in ("dvc", "python"))
    own = Path(sys.prefix, "bin")
    if not dvc or not python or os.path.realpath(Path(python).parent) != os.path.realpath(own):
        yield f"source {shlex.quote(str(own / 'activate'))}"  # else `python` and `dvc` are not those that have tandem
    yield "dvc repro"


def _some(names: Sequence[str], most: int = 12) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
