"""The command `tandem results`: the scores of the last run, and of which parameters and data they are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from tandem.errors import DataError
from tandem.evaluation.summary import results_text
from tandem.files import read_json
from tandem.pipeline import lock
from tandem.pipeline.params import read_params
from tandem.reporting.state import RunState, read_state

_METRICS, _LOCK = Path("metrics"), Path("dvc.lock")
_MAX_DIFFERENCES = 8

_NEXT = """\
where to look next
  metrics/                 all numbers; after a change `dvc metrics diff`
  data/merge/excluded.csv  what was excluded, and why
  data/curate/samples.csv  group and split of each image
  metrics/label_errors.csv likely label errors; `tandem review` opens the images
  dvc plots show           scores, confusion, reliability, the study (a page that needs no network)
  dvc exp run -S train.lr=0.01 && tandem compare
(`source .venv/bin/activate` puts these commands on your path)"""


def show_results() -> None:
    """Print the results. Raises DataError where nothing has run."""
    evaluation, summary = _METRICS / "evaluate.json", _METRICS / "summary.json"
    if not evaluation.is_file():
        committed = f"; {summary} is of the run that was committed" if summary.is_file() else ""
        raise DataError(
            f"nothing has run in this folder yet ({evaluation} is missing{committed}); "
            "run `dvc repro` in the project's folder"
        )
    stages = lock.read_lock(_LOCK)
    table = results_text(read_json(evaluation), read_json(_METRICS / "repeated_splits.json"))
    typer.echo(f"{_data_line(stages)}\n{_state(read_state(Path(), read_params()))}\n\n{table}\n\n{_NEXT}")


def _data_line(stages: Mapping[str, Any]) -> str:
    curation = read_json(_METRICS / "curate.json")
    sources = "; ".join(_source_line(name, source) for name, source in lock.sources_of_run(stages).items())
    return f"data: {curation['images']} images, {curation['used']} used, of {sources}"


def _source_line(name: str, source: Mapping[str, Any]) -> str:
    described = source.get(source["kind"], {})
    facts = [f"{key} {value}" for key, value in described.items() if value is not None and "sha256" not in key]
    return f"{name} ({', '.join([source['kind'], *facts])})"


def _state(state: RunState) -> str:
    """Whether the results are those of params.yaml, the data and the code as they are now, by what DVC knows."""
    if found := state.changed:
        lines = [f"  {each.key}: {each.ran_with}, now {each.is_now}" for each in found[:_MAX_DIFFERENCES]]
        more = [f"  and {len(found) - _MAX_DIFFERENCES} more"] if len(found) > _MAX_DIFFERENCES else []
        head = "These are results of OTHER PARAMETERS than those in params.yaml; `dvc repro` computes them anew:"
        return "\n".join([head, *lines, *more])
    if state.problem:
        return f"parameters: as in params.yaml; whether the data are the same is not known: {state.problem}"
    if state.stale:
        return f"These results are OUT OF DATE: `dvc repro` would run {', '.join(state.stale)} again."
    return "parameters: as in params.yaml"
