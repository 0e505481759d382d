"""git and DVC of the project: there, usable, and with a remote that can be reached in its way."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dvc.config import Config, ConfigError

from tandem.doctor.findings import Diagnosis

_MAIL = ("config", "user.email")
_REMOTES = "`dvc remote add --default NAME FOLDER-OR-ADDRESS` adds one"
# scheme of an address -> the package by which DVC reaches it
_PACKAGES = {
    "s3": "dvc_s3", "gs": "dvc_gs", "azure": "dvc_azure", "ssh": "dvc_ssh", "gdrive": "dvc_gdrive", "hdfs": "dvc_hdfs",
    "webhdfs": "dvc_hdfs", "oss": "dvc_oss", "http": "dvc_http", "https": "dvc_http", "webdav": "dvc_webdav",
    "webdavs": "dvc_webdav",
}  # fmt: skip


@dataclass(frozen=True)
class Repository:
    """has_git: the program. top: the repository's folder, "" outside of one. identity: of commits, "" without one.

    has_dvc: .dvc is there. needs_git: DVC is set up with git (not core.no_scm). problem: of DVC's settings.
    """

    has_git: bool
    top: str
    identity: str
    has_dvc: bool
    needs_git: bool
    problem: str = ""


@dataclass(frozen=True)
class Remote:
    """A remote of DVC. address: as DVC reads it. is_there: of a folder, whether it exists or can be made."""

    name: str
    address: str
    is_default: bool
    is_there: bool
    has_package: bool


def look_at_repository(root: Path) -> Repository:
    """What git and DVC say of a folder."""
    has_git = shutil.which("git") is not None
    top, mail = (_git(root, *words) if has_git else "" for words in (("rev-parse", "--show-toplevel"), _MAIL))
    has_dvc = (root / ".dvc").is_dir()
    try:
        core = _settings(root).get("core", {}) if has_dvc else {}
    except ConfigError as error:
        return Repository(has_git, top, mail, has_dvc, needs_git=True, problem=" ".join(str(error).split()))
    return Repository(has_git, top, mail, has_dvc, needs_git=not core.get("no_scm", False))


def look_for_remotes(root: Path) -> list[Remote]:
    """The remotes of DVC's settings, of all levels; none where these cannot be read."""
    try:
        settings = _settings(root)
    except ConfigError:
        return []
    default = settings.get("core", {}).get("remote", "")
    return [_remote(name, str(each["url"]), name == default) for name, each in settings.get("remote", {}).items()]


def dvc_cache(root: Path) -> Path:
    """Where DVC keeps outputs."""
    try:
        found = _settings(root).get("cache", {}).get("dir")
    except ConfigError:
        found = None
    return root / ".dvc" / (found or "cache")


def _settings(root: Path) -> Mapping[str, Any]:
    return Config(dvc_dir=str((root / ".dvc").absolute()))


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.strip() if not done.returncode else ""


def _remote(name: str, address: str, is_default: bool) -> Remote:
    scheme = _scheme(address)
    if scheme:
        package = _PACKAGES.get(scheme, "")
        return Remote(name, address, is_default, is_there=True, has_package=bool(package and find_spec(package)))
    folder = Path(os.path.expanduser(address))  # noqa: PTH111  # which raises for no user
    above = next((each for each in (folder, *folder.parents) if each.exists()), Path("/"))
    return Remote(name, address, is_default, is_there=above.is_dir() and os.access(above, os.W_OK), has_package=True)


def _scheme(address: str) -> str:
    scheme, separator, _ = address.partition("://")
    return scheme.lower() if separator and scheme.lower() != "file" else ""


def judge_repository(found: Repository) -> list[Diagnosis]:
    """git and DVC."""
    return [_judge_git(found), _judge_dvc(found)]


def _judge_git(found: Repository) -> Diagnosis:
    if not found.has_git:
        return Diagnosis("git", "error" if found.needs_git else "note", "it is not on PATH", "install git")
    if not found.top:
        return Diagnosis("git", "error" if found.needs_git else "note", "this is no git repository", "`git init`")
    if not found.identity:
        set_it = "`git config user.email MAIL` and `git config user.name NAME`"
        return Diagnosis("git", "note", "it knows no author, which commits and `dvc exp run` need", set_it)
    return Diagnosis("git", "ok", f"repository {found.top}, author {found.identity}")


def _judge_dvc(found: Repository) -> Diagnosis:
    if found.problem:
        return Diagnosis("DVC", "error", f"its settings cannot be read: {found.problem}", "mend .dvc/config")
    if not found.has_dvc:
        return Diagnosis("DVC", "error", "this folder is no DVC project (.dvc is missing)", "`dvc init`")
    return Diagnosis("DVC", "ok", f"a project {'in git' if found.needs_git else 'without git'}")


def judge_remotes(remotes: list[Remote]) -> list[Diagnosis]:
    """Each remote; `dvc repro` needs none of them."""
    if not remotes:
        return [Diagnosis("DVC remote", "note", "there is none, so outputs stay on this machine", _REMOTES)]
    return [_judge_remote(each) for each in remotes]


def _judge_remote(remote: Remote) -> Diagnosis:
    scheme, subject = _scheme(remote.address), f"DVC remote {remote.name}"
    if not remote.has_package:
        package = _PACKAGES.get(scheme, f"dvc_{scheme}").replace("_", "-")
        return Diagnosis(subject, "note", f"{remote.address} needs the package {package}", f"install {package}")
    if not remote.is_there:
        what = f"the folder {remote.address} is not there and cannot be made"
        return Diagnosis(subject, "note", what, f"mount its disk, or `dvc remote modify {remote.name} url FOLDER`")
    default = "" if remote.is_default else f"; it is not the default: `dvc remote default {remote.name}`"
    return Diagnosis(subject, "ok", f"{remote.address}{default}")
