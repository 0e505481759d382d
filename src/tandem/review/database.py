"""FiftyOne and the folder of its database.

Only one process at a time works in a database folder, and a process can use one folder only. The database is scratch:
deleting its folder loses nothing.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tandem.errors import ReviewError
from tandem.review.mongod import fiftyone_folder
from tandem.review.mongod_process import LOG, running_mongod

_URI = "FIFTYONE_DATABASE_URI"
_SETTINGS = {
    "FIFTYONE_DO_NOT_TRACK": "true",
    "FIFTYONE_DATABASE_VALIDATION": "false",  # only silences a notice that mongod 6 will be too old one day
    "FIFTYONE_SHOW_PROGRESS_BARS": "false",
    "FIFTYONE_LOGGING_LEVEL": "ERROR",
}
_PATIENCE_MS = 10_000  # with a mongod of this machine that has ended; pymongo's own is 30 s
# FiftyOne sets it for its child processes: the port of its own database, which may be in another folder, or have ended
_PORT_OF_PARENT = "FIFTYONE_PRIVATE_DATABASE_PORT"


@contextmanager
def open_database(database_dir: Path, *, wait: bool = True) -> Iterator[Any]:
    """The fiftyone module, connected to a database in this folder or to the one that FIFTYONE_DATABASE_URI names.

    wait: until no other process works in the folder; False: raise ReviewError when one does. A mongod that outlived the
    process which started it is ended. Raises ReviewError when FiftyOne or its database does not start.
    """
    database_dir = database_dir.resolve()
    with _exclusive_use(database_dir, wait=wait):
        _require_same_folder(database_dir)
        if os.environ.get(_URI):
            fiftyone = _import_fiftyone(database_dir)
            with _connected(fiftyone, _explain_foreign):
                yield fiftyone
        else:
            with _served_from(database_dir) as fiftyone:
                yield fiftyone


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


def _require_same_folder(database_dir: Path) -> None:
    """FiftyOne keeps what it has read of a database for as long as its process lives."""
    if "fiftyone" not in sys.modules:
        return
    in_use = Path(sys.modules["fiftyone"].config.database_dir)
    if in_use.resolve() != database_dir:
        raise ReviewError(f"this process has its FiftyOne database in {in_use}; use another process for {database_dir}")


@contextmanager
def _served_from(database_dir: Path) -> Iterator[Any]:
    """The fiftyone module, with a mongod of this process in the folder."""

    def explain(problem: str) -> str:
        return (
            f"FiftyOne's database in {database_dir} {problem}. See {database_dir / LOG}; "
            "`tandem setup` says whether there is a mongod that runs; FIFTYONE_DATABASE_URI can name a "
            "MongoDB of your own instead; the folder can be deleted, nothing is lost with it"
        )

    with running_mongod(fiftyone_folder() / "mongod", database_dir, explain=explain) as wait_for_port:
        fiftyone = _import_fiftyone(database_dir)  # which takes longer than the start of mongod
        uri = f"mongodb://127.0.0.1:{wait_for_port()}/?serverSelectionTimeoutMS={_PATIENCE_MS}"
        os.environ[_URI] = fiftyone.config.database_uri = uri  # the App's server reads the first
        try:
            with _connected(fiftyone, explain):
                yield fiftyone
        finally:
            fiftyone.config.database_uri = None
            del os.environ[_URI]


def _import_fiftyone(database_dir: Path) -> Any:
    """The module; it reads its settings from the environment when it is imported first."""
    if "fiftyone" not in sys.modules:
        os.environ.update({**_SETTINGS, **os.environ, "FIFTYONE_DATABASE_DIR": str(database_dir)})
        os.environ.pop(_PORT_OF_PARENT, None)
    try:
        import fiftyone  # not at the top: this takes seconds
    except ImportError as error:
        raise ReviewError(
            f"FiftyOne in {sys.prefix} cannot be imported: {error}; install this project's requirements again"
        ) from error
    return fiftyone


def _explain_foreign(problem: str) -> str:
    return (
        f"the database that {_URI} names {problem}; "
        "start it, correct the variable, or unset it to have a database in this project"
    )


@contextmanager
def _connected(fiftyone: Any, explain: Callable[[str], str]) -> Iterator[None]:
    """Connections of FiftyOne, which are closed at the end: it would look for the database when Python ends.

    Raises ReviewError, in the words of explain(problem), when there is no answer, now or later.
    """
    import mongoengine  # type: ignore[import-untyped]
    from fiftyone.core.config import FiftyOneConfigError
    from fiftyone.core.odm import get_db_conn
    from pymongo.errors import PyMongoError

    try:
        fiftyone.list_datasets()
    except (OSError, RuntimeError, PyMongoError, FiftyOneConfigError) as error:
        raise ReviewError(explain(f"does not answer: {_reason(error)}")) from error
    try:
        yield
    except PyMongoError as error:
        raise ReviewError(explain(f"does not answer: {_reason(error)}")) from error
    finally:
        get_db_conn().client.close()
        mongoengine.disconnect_all()


def _reason(error: BaseException) -> str:
    """The cause says more than FiftyOne's "could not connect", but pymongo's text goes on with the whole topology."""
    return f"{type(error).__name__}: {error.__cause__ or error}".partition(" (configured timeouts")[0]
