"""Arrays that were computed before, by the id of what they are of: one SQLite file for each way to compute them.

They lie in the user's cache folder, so that all projects and all copies of one share them, and save time alone: what a
store does not hold, or holds damaged, is computed, and where it cannot be written to nothing is kept. A line on stderr
says so; nothing here raises. The files together are bounded: those that were used least recently go first.
"""

import hashlib
import json
import os
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

CACHE_DIR = "TANDEM_CACHE_DIR"  # in the environment: another folder than that of the system for a user's caches
BYTES_A_GB = 10**9
_SCHEMA = """
CREATE TABLE IF NOT EXISTS made (text TEXT, checksum BLOB);
CREATE TABLE IF NOT EXISTS rows (id TEXT PRIMARY KEY, checksum BLOB, data BLOB);
"""
_INSERT = "INSERT OR REPLACE INTO rows VALUES (?, ?, ?)"
_ROWS_A_QUERY = 256
_PATIENCE_S = 60  # for other processes that write to the same file, each for a moment
_OVERHEAD, _ENTRY_BYTES, _UNUSED_BYTES = 1.1, 300, 2200  # of a row; of a page that large rows do not fill
_FILLED = 0.95  # of the limit, by what stays where it was exceeded
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)  # the last: other tables, or none


def cache_dir(environ: Mapping[str, str] | None = None) -> Path:
    """The folder of all stores."""
    found = (os.environ if environ is None else environ).get(CACHE_DIR)
    expanded = os.path.expanduser(found) if found else platformdirs.user_cache_path("tandem")  # noqa: PTH111
    return Path(expanded) / "computed"


class ResultStore:
    """The arrays that were computed by one recipe. made: what it came to, e.g. the engine; None before the first.

    A recipe says all that their bytes depend on, but for what an id stands for. Several processes may use a store at
    once. dtype: of the arrays, with its byte order. max_bytes: of all files in the folder, about; 0 keeps and finds
    nothing.
    """

    def __init__(self, folder: Path, recipe: Mapping[str, object], *, max_bytes: int, dtype: str = "<f4") -> None:
        self._recipe, self._dtype = dict(recipe), dtype
        self._key = hashlib.sha256(json.dumps(self._recipe, sort_keys=True).encode()).digest()
        self.path = folder / f"{self._key.hex()[:32]}.sqlite"
        self.made: dict[str, Any] | None = None
        self._row_key = b""  # of checksums: rows of another engine, which a process adds meanwhile, do not pass
        self._max_bytes, self._room = max_bytes, 0
        self._database: sqlite3.Connection | None = None
        self._was_damaged = False
        if max_bytes:
            self._open()

    def intact(self, ids: Sequence[str]) -> np.ndarray:
        """(N,) bool: of which of these ids the arrays are there, and are what was written."""
        found = np.zeros(len(ids), np.bool_)
        for at in range(0, len(ids), _ROWS_A_QUERY):
            part = ids[at : at + _ROWS_A_QUERY]
            stored = self.read(part)
            found[at : at + len(part)] = [id_ in stored for id_ in part]
        return found

    def held(self, ids: Sequence[str]) -> np.ndarray:
        """(N,) bool: of which of these ids there are arrays, intact or not: none of them is read."""
        found = set[str]()
        with self._reading() as database:
            for part in (ids[at : at + _ROWS_A_QUERY] for at in range(0, len(ids), _ROWS_A_QUERY)):
                places = ",".join("?" * len(part))
                query = f"SELECT id FROM rows WHERE id IN ({places})"  # noqa: S608  # ? alone
                rows = database.execute(query, part) if database and self.made is not None else ()
                found.update(row[0] for row in rows)
        return np.array([id_ in found for id_ in ids], dtype=np.bool_)

    def read(self, ids: Sequence[str]) -> dict[str, np.ndarray]:
        """Id -> (D,) of those that are there and intact."""
        with self._reading() as database:
            rows = list[tuple[Any, Any, Any]]()
            for part in (ids[at : at + _ROWS_A_QUERY] for at in range(0, len(ids), _ROWS_A_QUERY)):
                places = ",".join("?" * len(part))
                query = f"SELECT id, checksum, data FROM rows WHERE id IN ({places})"  # noqa: S608  # ? alone
                rows += database.execute(query, part) if database and self.made is not None else ()
            intact = {row[0]: np.frombuffer(row[2], self._dtype) for row in rows if self._is_intact(*row)}
            if len(intact) < len(rows) and not self._was_damaged:
                self._was_damaged = True
                _warn(f"{self.path} is damaged in part; those results are computed again")
            return intact
        return {}

    def prepare(self, made: Mapping[str, Any], *, ids: Sequence[str], num_new: int, row_bytes: int) -> None:
        """Make room for the arrays of `num_new` of these ids; what was made otherwise than `made` goes.

        Other files are removed first, those that were used least recently, and then the oldest rows that are of none
        of these ids. Where that does not suffice, what comes last is not kept.
        """
        row_size = row_bytes * _OVERHEAD + _ENTRY_BYTES + min(row_bytes, _UNUSED_BYTES)
        max_rows = int(self._max_bytes // row_size)

        def make_room(database: sqlite3.Connection) -> None:
            if self.made != made:
                self._restart(database, made)
            [num_rows] = database.execute("SELECT count(*) FROM rows").fetchone()
            self._remove_others(needed=int((num_rows + num_new) * row_size))
            num_rows -= _remove_oldest(database, num_rows + num_new - max_rows, but=ids)
            self._room = max_rows - num_rows

        self._in_transaction(make_room)

    @property
    def room(self) -> int:
        """For how many more arrays there is room; 0 before prepare."""
        return max(0, self._room)

    def write(self, ids: Sequence[str], arrays: Iterable[np.ndarray]) -> None:
        """Keep arrays (...), one of each id, as far as there is room and they are finite."""
        if self._room <= 0 or not len(ids):
            return
        rows = [
            (id_, self._checksum(id_, data), data)
            for id_, each in zip(ids[: self._room], arrays, strict=False)
            if np.isfinite(each).all()
            for data in [each.astype(self._dtype).tobytes()]
        ]
        self._room -= len(rows)
        self._in_transaction(lambda database: database.executemany(_INSERT, rows))

    def close(self) -> None:
        """Let go of the file; where the limit is lower than it was, after it shrank to that."""
        with self._reading() as database:
            size = 0 if database is None else self.path.stat().st_size
            if size > self._max_bytes:
                self._shrink(size=size)
        if self._database is not None:
            self._database.close()
            self._database = None

    def _open(self) -> None:
        with self._reading():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(self.path, timeout=_PATIENCE_S, isolation_level=None)
            self._database.text_factory = lambda data: data.decode(errors="replace")
            self._database.execute("PRAGMA synchronous = OFF")  # what a loss of power damages is computed again
            self._database.executescript(_SCHEMA)
            self._database.execute("SELECT id, checksum, data FROM rows LIMIT 1")  # these columns are there
            for text, checksum in self._database.execute("SELECT text, checksum FROM made").fetchall():
                if isinstance(text, str) and checksum == _digest(self._key, text.encode()):
                    self._use(json.loads(text)["made"])
            with suppress(OSError):
                os.utime(self.path)  # the last use, by which files are removed

    def _use(self, made: Mapping[str, Any] | None) -> None:
        self.made = None if made is None else dict(made)
        self._row_key = hashlib.sha256(self._key + json.dumps(made, sort_keys=True).encode()).digest()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """The database; one that is damaged is begun anew, once, and one that cannot be used is left."""
        try:
            yield self._database
        except (sqlite3.Error, OSError) as error:
            if self._database is not None:
                self._database.close()
            self._database, self._room = None, 0
            self._use(None)
            if _is_damage(error) and not self._was_damaged:
                self._was_damaged = True
                _warn(f"{self.path} is damaged ({error}); what it held is computed again")
                with suppress(OSError):
                    _remove(self.path)
                self._open()
            else:
                _warn(f"results are not kept for later: {self.path} cannot be used ({error})")

    def _in_transaction(self, change: Callable[[sqlite3.Connection], object]) -> None:
        """Change the database, whole or not at all; where it cannot be written to, it can still be read."""
        with self._reading() as database:
            try:
                if database is not None:
                    with _transaction(database):
                        change(database)
            except (sqlite3.Error, OSError) as error:
                if _is_damage(error):
                    raise
                self._room = 0
                _warn(f"results are not kept for later: {self.path} cannot be written to ({error})")

    def _restart(self, database: sqlite3.Connection, made: Mapping[str, Any]) -> None:
        text = json.dumps({"made": made, "recipe": self._recipe}, sort_keys=True)
        database.execute("DELETE FROM rows")
        database.execute("DELETE FROM made")
        database.execute("INSERT INTO made VALUES (?, ?)", (text, _digest(self._key, text.encode())))
        self._use(made)

    def _checksum(self, id_: str, data: bytes) -> bytes:
        return _digest(self._row_key, id_.encode() + b"\0" + data)

    def _is_intact(self, id_: Any, checksum: Any, data: Any) -> bool:
        return isinstance(id_, str) and isinstance(data, bytes) and self._checksum(id_, data) == checksum

    def _remove_others(self, *, needed: int) -> None:
        """Until there is room for as many bytes."""
        others = [path for path in self.path.parent.glob("*.sqlite") if path != self.path]
        found = sorted((stat.st_mtime, stat.st_size, path) for path in others if (stat := _stat(path)))
        surplus = needed + sum(size for _, size, _ in found) - self._max_bytes
        for _, size, path in found:
            if surplus > 0:
                _remove(path)
                surplus -= size

    def _shrink(self, *, size: int) -> None:
        def remove_surplus(database: sqlite3.Connection) -> None:
            [num_rows] = database.execute("SELECT count(*) FROM rows").fetchone()
            _remove_oldest(database, num_rows - int(num_rows * _FILLED * self._max_bytes / size))

        self._in_transaction(remove_surplus)
        with self._reading() as database:
            if database is not None:
                database.execute("VACUUM")


def _digest(key: bytes, data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16, key=key).digest()


def _is_damage(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", -1) & 0xFF in _DAMAGE


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            database.execute("ROLLBACK")
        raise


def _remove_oldest(database: sqlite3.Connection, number: int, *, but: Sequence[str] = ()) -> int:
    """At most so many rows, of no id in `but`; how many they are."""
    if number <= 0:
        return 0
    used = set(but)
    oldest = (rowid for rowid, id_ in database.execute("SELECT rowid, id FROM rows ORDER BY rowid") if id_ not in used)
    removed = [(rowid,) for rowid in islice(oldest, number)]
    database.executemany("DELETE FROM rows WHERE rowid = ?", removed)
    return len(removed)


def _warn(text: str) -> None:
    sys.stderr.write(f"warning: {text}\n")


def _remove(path: Path) -> None:
    for each in (path, path.with_name(f"{path.name}-journal")):
        each.unlink(missing_ok=True)


def _stat(path: Path) -> os.stat_result | None:
    with suppress(OSError):  # of a file that another process has just removed
        return path.stat()
    return None
