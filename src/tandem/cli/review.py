"""The command `tandem review`: the project's files to the App, and a reviewer's decisions to a file in git."""

import shutil
import signal
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import typer

from tandem.curation.settings import CurateSettings
from tandem.datasets.ingested import IngestedImage, load_ingested_images, quality_by_id
from tandem.datasets.merge import CORRUPT_REASONS, SIZE_REASONS
from tandem.errors import DataError, ReviewError
from tandem.files import read_csv
from tandem.pipeline.params import read_params, section
from tandem.review.app import CorruptFile, Overlays, Prediction, corrupt_files, predictions_of
from tandem.review.session import ReviewInputs, duplicates_by_id, groups_of_several, run_session
from tandem.shards import unpack_some
from tandem.tables.features import load_features
from tandem.tables.index import load_index
from tandem.tables.logits import load_logits
from tandem.tables.samples import Samples, load_samples
from tandem.tables.stored import load_stored

_LOCAL_ADDRESSES = ("127.0.0.1", "localhost", "::1")
_DECISIONS = Path("data/review/decisions.csv")
_MERGE, _CURATE, _EXTRACT = Path("data/merge"), Path("data/curate"), Path("data/extract")
_MODELS = (Path("data/train"), Path("data/ensemble"))  # each model's logits in a folder of its name
_EXCLUDED, _LABEL_ERRORS = _MERGE / "excluded.csv", Path("metrics/label_errors.csv")


def open_review(*, address: str, port: int, expose: bool, assume_yes: bool) -> None:
    """Open the App until Ctrl-C, and write decisions.

    expose: allow an address that others can reach. assume_yes: write decisions about very many images, too.
    """
    _require_local(address, port, expose=expose)
    settings = section(read_params(), "curate", CurateSettings)
    inputs = _load_inputs(settings)
    for number in (signal.SIGTERM, signal.SIGINT):  # both end the review like Ctrl-C, in a background job too
        signal.signal(number, signal.default_int_handler)
    num_decisions = run_session(
        inputs,
        database_dir=Path(".fiftyone/review"),
        decisions_path=_DECISIONS,
        address=address,
        port=port,
        ask=lambda finding: assume_yes or (sys.stdin.isatty() and typer.confirm(f"{finding}. Write them?")),
    )
    typer.echo(f"{num_decisions} decisions in {_DECISIONS}; `git diff` shows them, `dvc repro` applies them")


def _require_local(address: str, port: int, *, expose: bool) -> None:
    if address in _LOCAL_ADDRESSES:
        return
    warning = f"on {address} whoever reaches port {port} can read any file that you can, through the App"
    if not expose:
        raise ReviewError(f"{warning}; leave --address away, or add --expose if that is what you want")
    typer.echo(f"warning: {warning}", err=True)


def _load_inputs(settings: CurateSettings) -> ReviewInputs:
    pairs_path, features_dir = _CURATE / "near_duplicates.csv", _EXTRACT / settings.backbone
    for path in (_MERGE / "index.csv", _CURATE / "samples.csv", pairs_path, features_dir):
        if not path.exists():
            raise DataError(f"there is nothing to review yet ({path} is missing); run `dvc repro` first")
    index, samples = load_index(_MERGE / "index.csv"), load_samples(_CURATE)
    if index.ids != samples.ids:
        raise DataError("data/curate is of other images than data/merge; run `dvc repro` first")
    groups = groups_of_several(samples)
    return ReviewInputs(
        index=index,
        samples=samples,
        images=load_stored(_MERGE / "stored.csv").packed(Path("data/ingest")),
        features=load_features(features_dir, ids=index.ids).without_tta,
        duplicates=duplicates_by_id(read_csv(pairs_path), groups),
        overlays=_load_overlays(samples, groups),
        images_dir=Path(".fiftyone/images"),
        max_distance=1 - settings.candidates.min_similarity,
    )


def _load_overlays(samples: Samples, groups: list[list[str]]) -> Overlays:
    issues = _read_rows(_LABEL_ERRORS)
    return Overlays(
        class_names=samples.class_names,
        issues={row["id"]: (float(row["issue_score"]), row["kind"]) for row in issues},
        duplicate_groups=groups,
        predictions=_load_predictions(samples),
        corrupt=_unpack_corrupt(),
        quality=quality_by_id(_load_images()),
    )


def _load_images() -> Iterator[IngestedImage]:
    """Of all sources."""
    for folder in sorted(Path("data/ingest").iterdir()):
        yield from load_ingested_images(folder)


def _unpack_corrupt() -> list[CorruptFile]:
    """The files that could not be read, or not at that size, as far as their downloads are there, as files."""
    downloads, folder = Path("data/download/files"), Path(".fiftyone/corrupt")
    rows = [row for row in _read_rows(_EXCLUDED) if row["reason"] in (*CORRUPT_REASONS, *SIZE_REASONS)]
    names = defaultdict[str, set[str]](set)
    for row in rows:
        names[row["source"]].add(row["path"])
    shutil.rmtree(folder, ignore_errors=True)
    for source, paths in names.items():
        if (downloads / source).is_dir():
            unpack_some(downloads / source, paths, folder / source)
    return corrupt_files(rows, folder)


def _load_predictions(samples: Samples) -> dict[str, dict[str, Prediction]]:
    """Model -> id -> prediction, of val and test. Models that were trained before the images changed are left out."""
    paths = [path for folder in _MODELS for path in sorted(folder.glob("*/logits.npz"))]
    tables = {path.parent.name: load_logits(path) for path in paths}
    return {
        model: predictions_of(table, (samples.val, samples.test))
        for model, table in tables.items()
        if table.ids == samples.ids
    }


def _read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table that the last run may not have written."""
    return read_csv(path) if path.is_file() else []
