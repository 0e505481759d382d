"""Files of a project at a revision of git, or of an experiment of DVC: from git, DVC's cache, or its remote."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from tandem.errors import DataError
from tandem.files import parse_yaml

if TYPE_CHECKING:
    from dvc.api import DVCFileSystem

_FETCH = "`dvc fetch --all-commits` gets what a remote has of earlier runs, `git checkout` and `dvc repro` compute it"
_LOCK = "dvc.lock"
_NO_RUN = (
    f"name a revision with a finished run (`git log --oneline {_LOCK}` lists them), or finish one by `dvc repro` and "
    f"commit {_LOCK}"
)


def write_files_at(revision: str, paths: Iterable[Path], folder: Path) -> None:
    """Write files of the project in the current folder, as they were at a revision, to the same places below `folder`.

    revision: a commit, branch, tag or the name of an experiment. Raises DataError where there is no such revision, or
    where neither the cache nor the remote has a file of it.
    """
    from dvc.api import DVCFileSystem  # which takes a second to import
    from dvc.config import Config
    from dvc.exceptions import DvcException
    from dvc.scm import RevError, SCMError
    from dvc_data.index import DataIndexError

    settings = Config(dvc_dir=".dvc")  # those of now, since a remote may have been added after the revision
    config = {name: settings[name] for name in ("core", "cache", "remote") if name in settings}
    files = DVCFileSystem(".", rev=revision, config=config)
    for path in paths:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with files.open(path.as_posix(), "rb") as source, target.open("wb") as copy:
                shutil.copyfileobj(source, copy)  # never a link, by which DVC's cache could be written to
        except RevError:
            raise DataError(
                f"there is no revision {revision!r} here; name a commit, a branch, a tag or an experiment "
                "(`git log --oneline` and `dvc exp list` list them), or commit first where nothing is committed yet"
            ) from None
        except SCMError as error:
            raise DataError(f"revisions cannot be read here ({error}); run from the project's folder") from None
        except (DvcException, DataIndexError, OSError) as error:
            if not _is_of_run(files, path):
                has_run = files.exists(_LOCK)
                why = (
                    f"its {_LOCK} names no run that wrote it" if has_run else f"no run was committed with it ({_LOCK})"
                )
                raise DataError(f"{revision} has no {path}: {why}; {_NO_RUN}") from None
            reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
            raise DataError(f"{path} of {revision} is neither here nor in a remote ({reason}); {_FETCH}") from None


def _is_of_run(files: "DVCFileSystem", path: Path) -> bool:
    """Whether git or DVC knows a file of a revision: by itself, or as one within an output of a stage that was run."""
    if files.exists(path.as_posix()):
        entry = files.info(path.as_posix()).get("dvc_info", {}).get("entry")
        return not entry or entry.hash_info is not None  # an output in dvc.yaml of a stage that never ran has none
    if not files.exists(_LOCK):
        return False
    stages = parse_yaml(files.read_text(_LOCK))["stages"].values()
    outputs = {out["path"] for stage in stages for out in stage.get("outs", ())}
    return any(each.as_posix() in outputs for each in path.parents)
