"""All checks in one table, each from what it looks at to what it says."""

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tandem.doctor.accounts import judge_accounts, look_for_accounts
from tandem.doctor.database import judge_database, look_for_database
from tandem.doctor.findings import Diagnosis
from tandem.doctor.gpu import judge_gpu, look_for_gpu
from tandem.doctor.machine import (
    judge_disks,
    judge_limits,
    judge_memory,
    look_at_disks,
    read_limits,
    read_memory,
)
from tandem.doctor.packages import judge_installation, judge_python_of_stages, read_installation
from tandem.doctor.project import Project, judge_project, needed_accounts, needs_of, unfetched
from tandem.doctor.repository import judge_remotes, judge_repository, look_at_repository, look_for_remotes
from tandem.doctor.weights import judge_weights, look_for_weights
from tandem.errors import PipelineError


@dataclass(frozen=True)
class Site:
    """project: None outside of one. lock: of pinned packages.

    data, scratch: what lies where -> path, for the disks: images and outputs, and what is needed for a moment.
    """

    project: Project | None
    environ: Mapping[str, str]
    data: Mapping[str, Path]
    scratch: Mapping[str, Path]
    lock: Path | None = None


@dataclass(frozen=True)
class Check:
    """in_project: whether it says something of projects alone."""

    subject: str
    examine: Callable[[Site], list[Diagnosis]]
    in_project: bool = False


def _installation(site: Site) -> list[Diagnosis]:
    return judge_installation(read_installation(site.lock))


def _stages(site: Site) -> list[Diagnosis]:
    found = shutil.which("python", path=site.environ.get("PATH", os.defpath))
    return judge_python_of_stages(found, prefix=sys.prefix)


def _gpu(site: Site) -> list[Diagnosis]:
    params = site.project.params if site.project else None
    return judge_gpu(look_for_gpu(), device=params.runtime.device if params else "auto")


def _memory(_site: Site) -> list[Diagnosis]:
    return judge_memory(read_memory())


def _disks(site: Site) -> list[Diagnosis]:
    sources = unfetched(site.project) if site.project else {}
    return judge_disks(look_at_disks(site.data, site.scratch), needs_of(sources))


def _limits(_site: Site) -> list[Diagnosis]:
    return judge_limits(read_limits(), system=sys.platform)


def _database(site: Site) -> list[Diagnosis]:
    return judge_database(look_for_database(site.environ))


def _accounts(site: Site) -> list[Diagnosis]:
    sources = unfetched(site.project) if site.project else {}
    return judge_accounts(look_for_accounts(site.environ), needed_by=needed_accounts(sources))


def _project(site: Site) -> list[Diagnosis]:
    return judge_project(site.project) if site.project else []


def _repository(site: Site) -> list[Diagnosis]:
    return judge_repository(look_at_repository(site.project.root)) if site.project else []


def _remotes(site: Site) -> list[Diagnosis]:
    return judge_remotes(look_for_remotes(site.project.root)) if site.project else []


def _weights(site: Site) -> list[Diagnosis]:
    params = site.project.params if site.project else None
    return judge_weights(look_for_weights(params.backbones, site.environ)) if params else []


CHECKS = (
    Check("packages", _installation),
    Check("python of the stages", _stages, in_project=True),
    Check("GPU", _gpu),
    Check("memory", _memory),
    Check("disk", _disks),
    Check("limits", _limits),
    Check("mongod", _database),
    Check("accounts", _accounts),
    Check("project", _project, in_project=True),
    Check("git and DVC", _repository, in_project=True),
    Check("DVC remote", _remotes, in_project=True),
    Check("weights", _weights, in_project=True),
)


def examine(site: Site) -> list[Diagnosis]:
    """What all checks say, in their order; they wait for other programs side by side."""
    checks = [each for each in CHECKS if site.project or not each.in_project]
    with ThreadPoolExecutor(len(checks)) as pool:
        return [finding for found in pool.map(lambda check: _examined(check, site), checks) for finding in found]


def _examined(check: Check, site: Site) -> list[Diagnosis]:
    """A check that fails says so, and the others go on."""
    try:
        return check.examine(site)
    except (PipelineError, OSError, ValueError) as error:
        return [Diagnosis(check.subject, "note", f"it could not be looked at: {error}")]
