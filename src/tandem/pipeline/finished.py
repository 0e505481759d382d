"""The parameters of a finished run: what reads the files that its stages wrote."""

from pathlib import Path
from typing import Any

from tandem.errors import DataError
from tandem.pipeline import lock
from tandem.pipeline.params import read_params


def params_of_finished_run(data_dir: Path) -> dict[str, Any]:
    """The parameters of the project here, which are to be those of the last run.

    Raises DataError where nothing was trained yet, or by other parameters.
    """
    if not (data_dir / "ensemble/selected.json").is_file() or not (data_dir / "convert").is_dir():
        raise DataError("nothing was trained in this folder yet; run `dvc repro` in the project's folder")
    params = read_params()
    changed = lock.changed_params(lock.read_lock(Path("dvc.lock")), params)
    if changed:
        keys = ", ".join(change.key for change in changed)
        raise DataError(f"params.yaml differs from the last run in {keys}; run `dvc repro`, or take the change back")
    return params
