"""The command `tandem diff`: what changed between two versions of the data, and of the scores."""

import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import typer

from tandem.cli.output import print_json
from tandem.errors import DataError, ParamsError
from tandem.evaluation.bootstrap import Interval
from tandem.evaluation.settings import EvaluateSettings
from tandem.pipeline.lock import ParamChange, changed_params
from tandem.pipeline.params import PARAMS_PATH, read_params, section
from tandem.reporting.changes import (
    Changes,
    DataVersion,
    GroupChange,
    ImageChange,
    ScoreChange,
    ScoredModel,
    changes_between,
    score_change,
)
from tandem.reporting.revisions import write_files_at
from tandem.tables.index import load_excluded, load_index
from tandem.tables.logits import folder_of_model, load_logits_in
from tandem.tables.samples import load_samples
from tandem.training.ensembles import selected_model

WORKING_TREE = "working tree"
_DATA = Path("data")
_MERGE, _CURATE, _ENSEMBLE = _DATA / "merge", _DATA / "curate", _DATA / "ensemble"
_FILES = (PARAMS_PATH, _MERGE / "index.csv", _MERGE / "excluded.csv", _CURATE / "samples.csv", _CURATE / "classes.json")
_WORDS = {"used_again": "used again", "moved": "moved to another split", "excluded": "newly excluded"}
_METRICS = {"top1_accuracy": "top-1 accuracy", "macro_f1": "macro F1", "log_loss": "log loss"}
_SHOWN_ID = 12


@dataclass(frozen=True)
class Version:
    """What was read of a revision, or of the working tree. model: None where there is none, for the reason given."""

    name: str
    params: Mapping[str, Any]
    data: DataVersion
    model: ScoredModel | None
    reason: str


def show_diff(before: str, after: str | None, *, num_examples: int, as_json: bool) -> None:
    """Print what changed from one revision to another, or to the working tree.

    num_examples: of each kind, in the text. Raises DataError for a revision that cannot be had.
    """
    with tempfile.TemporaryDirectory() as scratch:
        then, now = (_version(name, Path(scratch) / str(number)) for number, name in enumerate((before, after)))
    changes = changes_between(then.data, now.data)
    # as what a stage ran with that has all parameters
    params = changed_params({"": {"params": {str(PARAMS_PATH): then.params}}}, now.params)
    scores = _scores(then, now)
    if as_json:
        print_json(_as_dict(then, now, changes, params, scores))
    else:
        typer.echo("\n".join(_lines(then, now, changes, params, scores, num_examples=num_examples)))


def _version(name: str | None, folder: Path) -> Version:
    """name: of a revision, None for the working tree. folder: for the files of a revision."""
    root = folder if name else Path()
    if name:
        write_files_at(name, _FILES, folder)
    elif missing := [path for path in _FILES if not path.is_file()]:
        raise DataError(f"there is no data here yet ({missing[0]} is missing); run `dvc repro`, or name two revisions")
    with _named(name, root):
        index, samples = load_index(root / _MERGE / "index.csv"), load_samples(root / _CURATE)
        data = DataVersion(index, samples, load_excluded(root / _MERGE / "excluded.csv"))
        params = read_params(root / PARAMS_PATH)
    try:
        with _named(name, root):
            return Version(name or WORKING_TREE, params, data, _model(name, root, data, params["backbones"]), "")
    except (DataError, FileNotFoundError) as error:
        return Version(name or WORKING_TREE, params, data, None, str(error))


@contextmanager
def _named(revision: str | None, folder: Path) -> Iterator[None]:
    """What is wrong with a file of a revision is said of the revision, not of the folder that holds it for a moment."""
    try:
        yield
    except (DataError, ParamsError) as error:
        if not revision or str(folder) not in str(error):
            raise
        problem = str(error).replace(f"{folder}/", "").partition("; ")[0]
        advice = "the project had another format then, or the file is damaged; name another revision"
        raise DataError(f"at {revision}, {problem}; {advice}") from None


def _model(name: str | None, root: Path, data: DataVersion, backbones: Collection[str]) -> ScoredModel:
    if name:
        write_files_at(name, [_ENSEMBLE / "selected.json"], root)
    model, samples = selected_model(root / _ENSEMBLE), data.samples
    folder = folder_of_model(_DATA, model, backbones)
    if name:
        write_files_at(name, [folder / "logits.npz"], root)
    logits = load_logits_in(root / folder, ids=samples.ids, class_names=samples.class_names)
    return ScoredModel(model, samples, logits)


def _scores(then: Version, now: Version) -> ScoreChange | None:
    if not then.model or not now.model:
        return None
    settings = section(now.params, "evaluate", EvaluateSettings)
    return score_change(then.model, now.model, num_resamples=settings.num_resamples, seed=settings.seed)


def _as_dict(
    then: Version, now: Version, changes: Changes, params: Sequence[ParamChange], scores: ScoreChange | None
) -> dict[str, Any]:
    return {
        "from": then.name,
        "to": now.name,
        "images": {
            "before": len(then.data.samples),
            "after": len(now.data.samples),
            "counts": changes.counts(),
            "by_source": changes.counts_by_source(),
        },
        "changes": [each._asdict() for each in changes.images],
        "groups": {
            "merged": [each._asdict() for each in changes.merged],
            "split": [each._asdict() for each in changes.split],
        },
        "params": [{"key": each.key, "before": each.ran_with, "after": each.is_now} for each in params],
        "scores": asdict(scores) if scores else {"reason": then.reason or now.reason},
    }


def _lines(
    then: Version,
    now: Version,
    changes: Changes,
    params: Sequence[ParamChange],
    scores: ScoreChange | None,
    *,
    num_examples: int,
) -> Iterator[str]:
    yield f"{then.name} -> {now.name}"
    counts = {kind: number for kind, number in changes.counts().items() if number}
    in_words = ", ".join(f"{number} {_WORDS.get(kind, kind)}" for kind, number in counts.items()) or "none changed"
    yield f"images: {len(then.data.samples)} -> {len(now.data.samples)}; {in_words}"
    for source, found in changes.counts_by_source().items():
        yield f"  {source}: " + ", ".join(f"{each} {_WORDS.get(kind, kind)}" for kind, each in found.items() if each)
    yield f"groups: {len(changes.merged)} merged, {len(changes.split)} split"
    yield from _some([_group(each, "of") for each in changes.merged], num_examples)
    yield from _some([_group(each, "into") for each in changes.split], num_examples)
    for kind, images in groupby(changes.images, lambda each: each.kind):
        yield f"{_WORDS.get(kind, kind)}:"
        yield from _some([_image(each) for each in images], num_examples)
    yield f"parameters: {len(params) or 'none'} changed"
    yield from _some([f"{each.key}: {each.ran_with}, now {each.is_now}" for each in params], num_examples)
    yield from _score_lines(scores) if scores else [f"scores: not compared: {then.reason or now.reason}"]


def _some(lines: Sequence[str], num_examples: int) -> Iterator[str]:
    yield from (f"  {line}" for line in lines[:num_examples])
    if len(lines) > num_examples:
        yield f"  and {len(lines) - num_examples} more"


def _group(change: GroupChange, word: str) -> str:
    return f"{change.name[:_SHOWN_ID]} {word} {', '.join(name[:_SHOWN_ID] for name in change.others)}"


def _image(change: ImageChange) -> str:
    what = " -> ".join(part for part in (change.before, change.after) if part)
    return f"{change.id[:_SHOWN_ID] or '(no image)':{_SHOWN_ID}}  {change.source}/{change.file}  {what}"


def _score_lines(scores: ScoreChange) -> Iterator[str]:
    then, now = scores.models
    yield f"scores of the selected model: {then}{'' if then == now else f', now {now}'}"
    if scores.paired:
        which = "the same" if scores.has_same_test else f"the {scores.common} common"
        yield f"  paired, on {which} test images:"
        for name, change in scores.paired.items():
            interval = f"({change.low:+.3f} to {change.high:+.3f}, p = {change.p_value:.2f})"
            was, is_ = (each[name].value for each in scores.on_common)
            yield f"    {_METRICS[name]} {was:.3f} -> {is_:.3f}, {change.value:+.3f} {interval}"
    if not scores.has_same_test:
        yield f"  not paired, each on its own test images ({scores.images_before}, now {scores.images_after}):"
        for name, words in _METRICS.items():
            yield f"    {words} {_interval(scores.before[name])} -> {_interval(scores.after[name])}"


def _interval(found: Interval) -> str:
    return f"{found.value:.3f} ({found.low:.3f}-{found.high:.3f})"
