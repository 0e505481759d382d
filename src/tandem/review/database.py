"""FiftyOne and the folder of its database.

Only one process at a time works in a database folder, and a process can use one folder only. The database is scratch:
deleting its folder loses nothing.
"""

import fcntl
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from tandem.errors import ReviewError

_SETTINGS = {
    "FIFTYONE_DO_NOT_TRACK": "true",
    "FIFTYONE_DATABASE_VALIDATION": "false",  # only silences a notice that mongod 6 will be too old one day
    "FIFTYONE_SHOW_PROGRESS_BARS": "false",
    "FIFTYONE_LOGGING_LEVEL": "ERROR",
}
# FiftyOne tells its children the port of its own database, wherever that lies and whether or not it still runs
_PORT_OF_PARENT = "FIFTYONE_PRIVATE_DATABASE_PORT"
_PATIENCE_S = 30  # for an orphaned database to end by itself once it is told to


@contextmanager
def open_database(database_dir: Path, *, wait: bool = True) -> Iterator[Any]:
    """The fiftyone module, connected to a database in this folder or to the one that FIFTYONE_DATABASE_URI names.

    is_patient: wait until no other process works in the folder, or else raise ReviewError when one does. A mongod that
    outlived the FiftyOne which started it is ended. Raises ReviewError when FiftyOne or its database does not start.
    """
    database_dir = database_dir.resolve()
    with _alone_in(database_dir, wait):
        yield _start(database_dir)


@contextmanager
def _alone_in(database_dir: Path, wait: bool) -> Iterator[None]:
    """No other process works in the folder then: of several that start FiftyOne at once, all but one fail."""
    try:
        database_dir.mkdir(parents=True, exist_ok=True)
        lock = (database_dir / "tandem.lock").open("w")
    except OSError as error:
        raise ReviewError(f"FiftyOne's database cannot be in {database_dir}: {error}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ReviewError(f"another process works in {database_dir}; end it, or wait until it has ended") from error
        yield


def _start(database_dir: Path) -> Any:
    """The fiftyone module, connected to a database in this folder or to the one that the user has set."""
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
        raise ReviewError(f"FiftyOne cannot be imported: {error}") from error
    if not fiftyone.config.database_uri:
        _require_folder(Path(fiftyone.config.database_dir), database_dir)
        _end_orphan(database_dir)
    if is_first:
        _see_only_services_of(database_dir, services)
    _connect(fiftyone, database_dir)
    return fiftyone


def _require_folder(held: Path, wanted: Path) -> None:
    if held.resolve() != wanted:
        raise ReviewError(f"this process has its FiftyOne database in {held}; use another process for {wanted}")


def _end_orphan(database_dir: Path) -> None:
    """End a mongod that holds the folder though the FiftyOne service that started it is gone.

    FiftyOne would start a second one, which cannot run, and wait a minute for it.
    """
    lock = database_dir / "mongod.lock"
    pid = lock.read_text().strip() if lock.is_file() else ""
    if not pid:
        return
    try:
        holder = psutil.Process(int(pid))
        parent = holder.parent()
        command = holder.cmdline()
        is_ours = holder.name() == "mongod" and Path(_option(command, "--dbpath")) == database_dir
        if is_ours and "--51-service" not in (parent.cmdline() if parent else []):
            holder.terminate()
            holder.wait(_PATIENCE_S)
    except psutil.TimeoutExpired:
        raise ReviewError(
            f"mongod with pid {pid} (from mongod.lock) still holds {database_dir}, but the FiftyOne that started it "
            f"is gone, and it does not end; end it with `kill -9 {pid}` and run again"
        ) from None
    except psutil.Error:
        return


def _see_only_services_of(database_dir: Path, services: Any) -> None:
    """Keep FiftyOne from joining whichever database service the user has running, be it in another folder."""
    find = services.find_processes_by_args

    def find_ours(args: list[str]) -> Iterator[Any]:
        held = {service: _option(service.info["cmdline"], "--dbpath") for service in find(args)}
        return (service for service, folder in held.items() if folder == str(database_dir))

    services.find_processes_by_args = find_ours


def _option(command: Sequence[str], name: str) -> str:
    return next((value for option, value in pairwise(command) if option == name), "")


def _connect(fiftyone: Any, database_dir: Path) -> None:
    from fiftyone.core.config import FiftyOneConfigError
    from fiftyone.core.service import ServiceException
    from pymongo.errors import PyMongoError

    try:
        fiftyone.list_datasets()
    except (OSError, RuntimeError, PyMongoError, psutil.Error, FiftyOneConfigError, ServiceException) as error:
        # a cause says more than FiftyOne's "could not connect", but pymongo's text goes on with the whole topology
        reason = f"{type(error).__name__}: {error.__cause__ or error}".partition(" (configured timeouts")[0]
        if fiftyone.config.database_uri:
            raise ReviewError(f"the database that FIFTYONE_DATABASE_URI names does not answer: {reason}") from error
        raise ReviewError(
            f"FiftyOne's database in {database_dir} did not start: {reason}. See {database_dir}/log/mongo.log; "
            "`tandem setup` tells whether there is a mongod that runs; FIFTYONE_DATABASE_URI can name a "
            "MongoDB of your own instead; deleting the folder loses nothing"
        ) from error
