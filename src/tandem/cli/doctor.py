"""The command `tandem doctor`: what would keep this machine, or the project in this folder, from a run."""

import os
from pathlib import Path

import typer

from tandem.cache.store import CACHE_DIR, cache_dir
from tandem.cli.output import print_json
from tandem.doctor.checkup import Site, examine
from tandem.doctor.findings import findings_as_dict, format_findings, stops
from tandem.doctor.machine import temporary_folder
from tandem.doctor.project import is_project, read_project
from tandem.doctor.repository import dvc_cache


def examine_here(*, as_json: bool) -> None:
    """Print a line a check. Raises typer.Exit with code 1 where something would stop `dvc repro`."""
    root, kept = Path(), {"TMPDIR": temporary_folder(), f"the feature cache ({CACHE_DIR})": cache_dir()}
    is_here = is_project(root)
    of_project = {"data/": Path("data"), "DVC's cache": dvc_cache(root)} if is_here else {"this folder": root}
    site = Site(
        project=read_project(root) if is_here else None,
        environ=os.environ,
        data=of_project,
        scratch=kept,
        lock=Path("requirements.lock") if is_here else None,
    )
    findings = examine(site)
    if as_json:
        print_json(findings_as_dict(findings))
    else:
        typer.echo(format_findings(findings))
    if stops(findings):
        raise typer.Exit(1)
