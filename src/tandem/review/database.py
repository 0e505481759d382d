"""FiftyOne and the folder of its database.

Only one process at a time works in a database folder, and a process can use one folder only. The database is scratch:
deleting its folder loses nothing.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
from filelock import FileLock, Timeout

from tandem.errors import ReviewError

_SETTINGS = {
    "FIFTYONE_DO_NOT_TRACK": "true",
    "FIFTYONE_DATABASE_VALIDATION": "false",  # only silences a notice that mongod 6 will be too old one day
    "FIFTYONE_SHOW_PROGRESS_BARS": "false",
    "FIFTYONE_LOGGING_LEVEL": "ERROR",
}
# FiftyOne sets it for its child processes: the port of its own database, which may be in another folder, or have ended
_PORT_OF_PARENT = "FIFTYONE_PRIVATE_DATABASE_PORT"
_TERMINATE_TIMEOUT_S = 30


@contextmanager
def open_database(database_dir: Path, *, wait: bool = True) -> Iterator[Any]:
    """The fiftyone module, connected to a database in this folder or to the one that FIFTYONE_DATABASE_URI names.

    wait: until no other process works in the folder; False: raise ReviewError when one does. A mongod that outlived the
    FiftyOne which started it is ended. Raises ReviewError when FiftyOne or its database does not start, or ends while
    the block uses it.
    """
    database_dir = database_dir.resolve()
    with _exclusive_use(database_dir, wait=wait):
        fiftyone = _start(database_dir)
        with _told_when_it_ends(database_dir):
            yield fiftyone


@contextmanager
def _told_when_it_ends(database_dir: Path) -> Iterator[None]:
    """What pymongo raises in the block, when mongod was killed or its disk is full, is raised as a ReviewError."""
    from pymongo.errors import PyMongoError

    try:
        yield
    except PyMongoError as error:
        reason = f"{type(error).__name__}: {error}".partition(" (configured timeouts")[0].partition(", Timeout:")[0]
        raise ReviewError(
            f"FiftyOne's database in {database_dir} ended while it was used ({reason}); see "
            f"{database_dir}/log/mongo.log and run again: it is built anew, and nothing is lost with it"
        ) from None


@contextmanager
def _exclusive_use(database_dir: Path, *, wait: bool) -> Iterator[None]:
    """Of several processes that start FiftyOne in one folder at the same time, all but one would fail."""
    try:
        database_dir.mkdir(parents=True, exist_ok=True)
        acquired = FileLock(database_dir / "tandem.lock", timeout=-1 if wait else 0).acquire()
    except Timeout as error:
        raise ReviewError(f"another process works in {database_dir}; end it, or wait until it has ended") from error
    except OSError as error:
        raise ReviewError(
            f"FiftyOne's database cannot be in {database_dir}: {error}; "
            "make that a folder in which you may write, or remove what is there"
        ) from error
    with acquired:
        yield


def _start(database_dir: Path) -> Any:
    """The fiftyone module, as open_database yields it."""
    is_first = "fiftyone" not in sys.modules
    if is_first:
        os.environ.update({**_SETTINGS, **os.environ, "FIFTYONE_DATABASE_DIR": str(database_dir)})
        os.environ.pop(_PORT_OF_PARENT, None)
    try:
        # Not at the top: this takes seconds, reads the environment once for all, and the first call after it
        # starts a database service.
        import fiftyone
        import fiftyone.service.util as services
    except ImportError as error:
        raise ReviewError(
            f"FiftyOne in {sys.prefix} cannot be imported: {error}; install this project's requirements again"
        ) from error
    if not fiftyone.config.database_uri:
        _require_same_folder(Path(fiftyone.config.database_dir), database_dir)
        _end_orphan(database_dir)
    if is_first:
        _ignore_services_of_other_folders(database_dir, services)
    _connect(fiftyone, database_dir)
    return fiftyone


def _require_same_folder(in_use: Path, database_dir: Path) -> None:
    if in_use.resolve() != database_dir:
        raise ReviewError(f"this process has its FiftyOne database in {in_use}; use another process for {database_dir}")


def _end_orphan(database_dir: Path) -> None:
    """End a mongod that runs in the folder though the FiftyOne service that started it has ended.

    FiftyOne would start a second mongod, which cannot run in the same folder, and wait a minute for it.
    """
    lock = database_dir / "mongod.lock"
    pid = lock.read_text().strip() if lock.is_file() else ""
    if not pid:
        return
    try:
        process = psutil.Process(int(pid))
        parent = process.parent()
        runs_here = process.name() == "mongod" and Path(_option(process.cmdline(), "--dbpath")) == database_dir
        if runs_here and "--51-service" not in (parent.cmdline() if parent else []):
            process.terminate()
            process.wait(_TERMINATE_TIMEOUT_S)
    except psutil.TimeoutExpired:
        raise ReviewError(
            f"mongod with pid {pid} (from mongod.lock) still runs in {database_dir}, though the FiftyOne that started "
            f"it has ended, and SIGTERM does not end it; end it by `kill -9 {pid}` and run again"
        ) from None
    except psutil.Error:
        return


def _ignore_services_of_other_folders(database_dir: Path, services: Any) -> None:
    """Keep FiftyOne from joining whichever database service the user has running, be it in another folder."""
    find_all = services.find_processes_by_args

    def find_here(args: list[str]) -> list[Any]:
        return [each for each in find_all(args) if _option(each.info["cmdline"], "--dbpath") == str(database_dir)]

    services.find_processes_by_args = find_here


def _option(command: Sequence[str], name: str) -> str:
    return next((value for option, value in pairwise(command) if option == name), "")


def _connect(fiftyone: Any, database_dir: Path) -> None:
    from fiftyone.core.config import FiftyOneConfigError
    from fiftyone.core.service import ServiceException
    from pymongo.errors import PyMongoError

    try:
        fiftyone.list_datasets()
    except (OSError, RuntimeError, PyMongoError, psutil.Error, FiftyOneConfigError, ServiceException) as error:
        # the cause says more than FiftyOne's "could not connect", but pymongo's text goes on with the whole topology
        reason = f"{type(error).__name__}: {error.__cause__ or error}".partition(" (configured timeouts")[0]
        if fiftyone.config.database_uri:
            raise ReviewError(
                f"the database that FIFTYONE_DATABASE_URI names does not answer: {reason}; "
                "start it, correct the variable, or unset it to have a database in this project"
            ) from error
        raise ReviewError(
            f"FiftyOne's database in {database_dir} did not start: {reason}. See {database_dir}/log/mongo.log; "
            "`tandem setup` says whether there is a mongod that runs; FIFTYONE_DATABASE_URI can name a "
            "MongoDB of your own instead; the folder can be deleted, nothing is lost with it"
        ) from error
