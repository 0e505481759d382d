"""Of which parameters, data and code a run's results are, and whether they are those that lie here now."""

import json
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tandem.files import sha256
from tandem.pipeline.lock import ParamChange, changed_params, read_lock
from tandem.pipeline.params import PARAMS_PATH

_PACKAGES = (
    "tandem",
    "torch",
    "torchvision",
    "timm",
    "onnxruntime",
    "numpy",
    "scikit-learn",
    "opencv-python-headless",
    "dvc",
)


@dataclass(frozen=True)
class RunState:
    """changed: parameters that are others than in the run. stale: stages that DVC would run again.

    problem: why that is not known, "" where it is. commit: of git, with its date; "" outside of git. is_dirty: whether
    files that git knows differ from it. lock_sha256: of dvc.lock, "" without one. versions: name -> version, of what is
    installed where the report is written.
    """

    changed: Sequence[ParamChange]
    stale: Sequence[str]
    problem: str
    commit: str
    commit_date: str
    is_dirty: bool
    lock_sha256: str
    versions: Mapping[str, str]

    @property
    def is_current(self) -> bool:
        """Whether the results are known to be those of the parameters, data and code as they are now."""
        return not (self.changed or self.stale or self.problem)


def read_state(root: Path, params: Mapping[str, Any]) -> RunState:
    """Of the project in this folder, by dvc.lock, DVC and git. params: as they are now."""
    lock = root / "dvc.lock"
    changed = changed_params(read_lock(lock), params)
    stale, problem = stale_stages(root) if not changed else ((), "")
    commit, _, date = _git(root, "log", "-1", "--format=%H %cs").partition(" ")
    return RunState(
        changed=changed,
        stale=stale,
        problem=problem,
        commit=commit,
        commit_date=date,
        is_dirty=bool(commit) and bool(_git(root, "status", "--porcelain", "--untracked-files=no")),
        lock_sha256=sha256(lock) if lock.is_file() else "",
        versions=_versions(),
    )


def params_of_run(root: Path, params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that the last run had, where dvc.lock says them; the others as they are now.

    By the stages that run once for all sources and backbones: the lock keeps entries of those that were removed.
    """
    found = deepcopy(dict(params))
    for name, stage in read_lock(root / "dvc.lock").items():
        tracked = {} if "@" in name else stage.get("params", {}).get(str(PARAMS_PATH), {})
        for key, value in tracked.items():
            *sections, last = key.split(".")
            place = found
            for each in sections:
                place = place.setdefault(each, {})
            place[last] = value
    return found


def stale_stages(root: Path = Path()) -> tuple[tuple[str, ...], str]:
    """The stages that DVC would run again, but for check, which runs for a comment in the code as well.

    Second: why that is not known, "" where it is.
    """
    command = [sys.executable, "-m", "dvc", "status", "--json"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return (), f"`dvc status` failed: {(done.stderr.strip().splitlines() or [''])[-1]}"
    return tuple(name for name in json.loads(done.stdout) if name != "check"), ""


def _git(root: Path, *arguments: str) -> str:
    """What git prints; "" where there is no git, no repository or no commit."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
