"""The mongod that curate and reviews start."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tandem.doctor.findings import Diagnosis
from tandem.errors import ReviewError
from tandem.review import mongod

_URI = "FIFTYONE_DATABASE_URI"


@dataclass(frozen=True)
class Database:
    """path: of a mongod that runs, None without one. version: in its words. problem: why there is none.

    host: of a database that runs already, by the environment; "" without one.
    """

    path: Path | None
    version: str
    problem: str
    host: str


def look_for_database(environ: Mapping[str, str]) -> Database:
    """In FiftyOne's folder, or else on PATH; nothing is started but `mongod --version`."""
    if uri := environ.get(_URI):
        return Database(None, "", "", urlsplit(uri).hostname or "its host")
    try:
        folder = mongod.fiftyone_folder()
    except ReviewError as error:
        return Database(None, "", str(error), "")
    path = mongod.find(folder, search_path=environ.get("PATH", os.defpath))
    if path is None:
        return Database(None, "", f"{folder / 'mongod'} {mongod.problem_with(folder / 'mongod')}", "")
    done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=60, check=False)
    return Database(path, (done.stdout.splitlines() or [""])[0], "", "")


def judge_database(found: Database) -> list[Diagnosis]:
    """A mongod that runs, or a database elsewhere."""
    if found.host:
        return [Diagnosis("mongod", "ok", f"{_URI} names a database on {found.host}")]
    if found.path is None:
        return [Diagnosis("mongod", "error", found.problem, "run `tandem setup`")]
    return [Diagnosis("mongod", "ok", f"{found.version} in {found.path}")]
