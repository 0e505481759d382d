"""The commands `tandem results` and `tandem compare`: the scores of the last run, and those of experiments."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from tandem.cli.output import print_json
from tandem.errors import DataError
from tandem.evaluation.summary import results_text
from tandem.files import read_json
from tandem.pipeline import lock
from tandem.pipeline.params import read_params
from tandem.reporting.state import RunState, read_state, stale_stages

_METRICS, _LOCK = Path("metrics"), Path("dvc.lock")
_MAX_DIFFERENCES = 8

_NEXT = """\
where to look next
  metrics/                 all numbers; after a change `dvc metrics diff`
  data/merge/excluded.csv  what was excluded, and why
  data/curate/samples.csv  group and split of each image
  metrics/label_errors.csv likely label errors; `tandem review` opens the images
  tandem report            all of it on one page to show, with images; model card, dataset card
  dvc plots show           scores, confusion, reliability, the study (a page that needs no network)
  dvc exp run -S train.lr=0.01 && tandem compare
(`source .venv/bin/activate` puts these commands on your path)"""


# What `tandem compare` leaves away: dependencies, which DVC shows as columns of digests, and ends of intervals.
_NOT_COMPARED = r"(data|metrics|src|stages)(/|$)|(params\.yaml|requirements\.txt)$|.*_(low|high)$"


def show_results(*, as_json: bool) -> None:
    """Print the results. Raises DataError where nothing has run."""
    evaluation, summary = _METRICS / "evaluate.json", _METRICS / "summary.json"
    if not evaluation.is_file():
        committed = f"; {summary} is of the run that was committed" if summary.is_file() else ""
        raise DataError(
            f"nothing has run in this folder yet ({evaluation} is missing{committed}); "
            "run `dvc repro` in the project's folder"
        )
    stages = lock.read_lock(_LOCK)
    state, scores = read_state(Path(), read_params()), read_json(evaluation)
    repeated = read_json(_METRICS / "repeated_splits.json")
    if as_json:
        print_json({**_state_as_dict(stages, state), "evaluation": scores, "repeated_splits": repeated})
    else:
        typer.echo(f"{_data_line(stages)}\n{_state(state)}\n\n{results_text(scores, repeated)}\n\n{_NEXT}")


def _state_as_dict(stages: Mapping[str, Any], state: RunState) -> dict[str, Any]:
    """Of which data and parameters the results are. stale_stages: None where DVC does not say."""
    curation = read_json(_METRICS / "curate.json")
    stale, problem = stale_stages() if state.changed else (state.stale, state.problem)
    return {
        "data": {"images": curation["images"], "used": curation["used"], "sources": lock.sources_of_run(stages)},
        "changed_params": [asdict(each) for each in state.changed],
        "stale_stages": None if problem else list(stale),
    }


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


def compare_experiments(options: Sequence[str], *, as_json: bool) -> None:
    """Print what `dvc exp show` knows, less what nobody compares. options: more of DVC's own.

    Raises typer.Exit with DVC's code.
    """
    command = [sys.executable, "-m", "dvc", "exp", "show"]
    if not as_json:
        narrow = ["--only-changed", "--drop", _NOT_COMPARED]
        raise typer.Exit(subprocess.run([*command, *narrow, *options], check=False).returncode)
    done = subprocess.run([*command, "--json", *options], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise typer.Exit(done.returncode)
    print_json({"experiments": without_common(list(_experiments(json.loads(done.stdout))))})


def _experiments(shown: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """A row for the workspace, for each commit that is shown, and for each experiment. shown: by `dvc exp show`."""
    for commit in shown:
        yield _experiment(commit, baseline=None)
        for each in commit.get("experiments") or ():
            yield _experiment(each["revs"][0], baseline=commit["rev"])


def _experiment(entry: Mapping[str, Any], *, baseline: str | None) -> dict[str, Any]:
    """baseline: the commit that an experiment changes, None of a commit."""
    data = entry.get("data") or {}
    metrics = [file.get("data", {}) for file in (data.get("metrics") or {}).values()]
    params = [dict(_leaves(file.get("data", {}))) for file in (data.get("params") or {}).values()]
    return {
        "name": entry.get("name"),
        "rev": entry["rev"],
        "baseline": baseline,
        "error": (entry.get("error") or {}).get("msg"),
        "metrics": {key: value for each in metrics for key, value in each.items()},
        "params": {key: value for each in params for key, value in each.items()},
    }


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key -> value, of all that is no section."""
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from _leaves(item, f"{key}.{name}" if key else name)
    else:
        yield key, value


def without_common(experiments: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Experiments without the parameters in which all that have any are alike."""
    known = [each["params"] for each in experiments if each["params"]]
    keys = {key for params in known for key in params}
    common = {key for key in keys if all(key in params and params[key] == known[0].get(key) for params in known)}
    return [
        {**each, "params": {key: value for key, value in each["params"].items() if key not in common}}
        for each in experiments
    ]
