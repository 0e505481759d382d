"""The command `tandem review`: the project's files to the App, and a person's decisions back to a file in git."""

import signal
import sys
from pathlib import Path

import numpy as np
import typer

from tandem.curation.duplicates.search import components
from tandem.curation.settings import CurateSettings
from tandem.errors import DataError, ReviewError
from tandem.files import read_csv
from tandem.pipeline.params import read_params, section
from tandem.review import session
from tandem.review.app import Overlays
from tandem.tables import logits
from tandem.tables.features import load_features
from tandem.tables.index import load_index
from tandem.tables.samples import Samples, load_samples

LOCAL = ("127.0.0.1", "localhost", "::1")
DECISIONS = Path("data/review/decisions.csv")
_MERGE, _CURATE, _LABEL_ERRORS = Path("data/merge"), Path("data/curate"), Path("metrics/label_errors.csv")


def main(*, address: str, port: int, is_exposed: bool, is_sure: bool) -> None:
    """Open the App until Ctrl-C. is_exposed: on an address that others can reach. is_sure: answer questions by yes."""
    if address not in LOCAL:
        warning = f"on {address} whoever reaches port {port} can read any file that you can, through the App"
        if not is_exposed:
            raise ReviewError(f"{warning}; leave --address away, or add --expose if that is what you want")
        typer.echo(f"warning: {warning}", err=True)
    settings = section(read_params(), "curate", CurateSettings)
    folder = Path("data/extract") / settings.backbone
    for path in (_MERGE / "index.csv", _CURATE / "samples.csv", _CURATE / "near_duplicates.csv", folder):
        if not path.exists():
            raise DataError(f"there is nothing to review yet ({path} is missing); run `dvc repro` first")
    index, samples = load_index(_MERGE / "index.csv"), load_samples(_CURATE)
    if index.ids != list(samples.ids):
        raise DataError("data/curate is of other images than data/merge; run `dvc repro` first")
    for number in (signal.SIGTERM, signal.SIGINT):  # both end like Ctrl-C, in a background job too
        signal.signal(number, signal.default_int_handler)
    pairs = read_csv(_CURATE / "near_duplicates.csv")
    material = session.ReviewInputs(
        index,
        samples,
        _overlays(samples, pairs),
        x=np.asarray(load_features(folder, ids=index.ids).x),
        images_dir=_MERGE / "images",
        max_distance=1 - settings.candidates.min_similarity,
        duplicates=session.duplicates_of(pairs, samples),
    )
    written = session.run_session(
        material,
        database_dir=Path(".fiftyone/review"),
        decisions_path=DECISIONS,
        address=address,
        port=port,
        ask=lambda question: is_sure or (sys.stdin.isatty() and typer.confirm(f"{question}. Write them?")),
    )
    typer.echo(f"{written} decisions in {DECISIONS}; `dvc repro` obeys them, `git diff` shows them")


def _overlays(samples: Samples, pairs: list[dict[str, str]]) -> Overlays:
    found = Path("data/train").glob("*/logits.npz"), Path("data/ensemble").glob("*/logits.npz")
    tables = {path.parent.name: logits.load_logits(path) for paths in found for path in sorted(paths)}
    values = {name: table.values for name, table in tables.items() if table.ids == samples.ids}
    suspects = read_csv(_LABEL_ERRORS) if _LABEL_ERRORS.is_file() else []
    dropped = read_csv(_MERGE / "excluded.csv") if (_MERGE / "excluded.csv").is_file() else []
    return Overlays(
        class_names=samples.class_names,
        issues={row["id"]: (float(row["issue_score"]), row["kind"]) for row in suspects},
        duplicates=_duplicate_sets(samples, pairs),
        predictions=session.predictions_of(values, samples, splits=("val", "test")),
        corrupt=session.corrupt_files(dropped, Path("data/download/files")),
    )


def _duplicate_sets(samples: Samples, pairs: list[dict[str, str]]) -> list[frozenset[str]]:
    """Groups of two images or more."""
    row_of = {id_: row for row, id_ in enumerate(samples.ids)}
    groups = [row_of[group] for group in samples.groups.tolist()]
    first = [*groups, *(row_of[row["first"]] for row in pairs)]
    second = [*range(len(groups)), *(row_of[row["second"]] for row in pairs)]
    joined = components(len(groups), first=np.array(first), second=np.array(second))
    ids = np.array(samples.ids)
    numbers, counts = np.unique(joined, return_counts=True)
    return [frozenset(ids[joined == number].tolist()) for number in numbers[counts > 1].tolist()]
