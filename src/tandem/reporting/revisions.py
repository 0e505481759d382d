"""Files of a project at a revision of git, or of an experiment of DVC: from git, DVC's cache, or its remote."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from tandem.errors import DataError

_FETCH = "`dvc fetch --all-commits` gets what a remote has of earlier runs, `git checkout` and `dvc repro` compute it"


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
                "(`git log --oneline` and `dvc exp list` list them)"
            ) from None
        except SCMError as error:
            raise DataError(f"revisions cannot be read here ({error}); run from the project's folder") from None
        except (DvcException, DataIndexError, OSError) as error:
            reason = str(error).partition("\n")[0]
            raise DataError(f"{path} of {revision} is neither here nor in a remote ({reason}); {_FETCH}") from None
