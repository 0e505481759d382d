"""The command `tandem select`: which of new images to label next."""

import csv
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import typer

from tandem.cli.new_images.project import (
    NewImages,
    counts_as_dict,
    counts_in_words,
    load_finished,
    read_new_images,
)
from tandem.cli.output import on_one_line, print_json
from tandem.datasets.settings import IngestSettings
from tandem.errors import DataError
from tandem.folders import PARTIAL, filled_dir
from tandem.monitoring.selection import Pick, Selection, select_batch
from tandem.pipeline.params import section

Listing = Literal["table", "json", "csv"]
_COLUMNS = ("rank", "path", "label", "confidence", "second_label", "uncertainty", "distance", "reason")


def list_selected(
    names: Sequence[str], *, number: int, copy_to: Path | None, max_images: int, seed: int, listing: Listing
) -> int:
    """Print which images to label and why, the least sure first; how many files could not be read.

    copy_to: a new or empty folder for copies, named by rank. Raises DataError where the project has no finished run,
    where there is no image, and for a folder that holds something.
    """
    if copy_to:
        _require_empty(copy_to)
    project = load_finished()
    min_side_px = section(project.params, "ingest", IngestSettings).min_side_px
    new = read_new_images(names, project, max_images=max_images, seed=seed, min_side_px=min_side_px, beside_known=True)
    selection = select_batch(
        new.features,
        new.probs,
        known_features=project.features,
        near_duplicates=new.near_duplicates,
        areas=new.images.widths * new.images.heights,
        number=number,
        seed=seed,
    )
    rows = [_row(rank, pick, new, project.samples.class_names) for rank, pick in enumerate(selection.picks, start=1)]
    if copy_to:
        copy_ranked(rows, copy_to)
    if listing == "csv":
        _print_csv(rows)
    elif listing == "json":
        print_json({**counts_as_dict(new, project), **_counts(selection), "seed": seed, "selected": rows})
    else:
        typer.echo(_table(rows, new, selection))
    return len(new.failed)


def _row(rank: int, pick: Pick, new: NewImages, class_names: Sequence[str]) -> dict[str, Any]:
    """_COLUMNS of a pick."""
    probs = new.probs[pick.row]
    first, second = (-probs).argsort(kind="stable")[:2].tolist()
    reason = (
        f"{class_names[first]} or {class_names[second]}: less sure than {_percent(pick.less_sure_than)} of the images, "
        f"farther from the project's than {_percent(pick.farther_than)}"
    )
    path, confidence = str(new.images.paths[pick.row]), float(probs[first])
    values = (
        rank, path, class_names[first], confidence, class_names[second], pick.uncertainty, pick.distance, reason,
    )  # fmt: skip
    return dict(zip(_COLUMNS, values, strict=True))


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.0f} %"


def _counts(selection: Selection) -> dict[str, int]:
    return {
        "candidates": selection.num_candidates,
        "near_duplicates_of_project": selection.num_known,
        "near_duplicates": selection.num_alike,
    }


def _table(rows: Sequence[Mapping[str, Any]], new: NewImages, selection: Selection) -> str:
    paths = [on_one_line(row["path"]) for row in rows]
    width = max(map(len, paths), default=0)
    lines = [
        f"{row['rank']:>4}  {path:<{width}}  {row['label']} {row['confidence']:.2f}  {row['reason']}"
        for path, row in zip(paths, rows, strict=True)
    ]
    left_out = (
        f"{counts_in_words(new)}; left out: {selection.num_known} that the project has or near duplicates of "
        f"them, {selection.num_alike} near duplicates of others"
    )
    end = f"{len(rows)} of {selection.num_candidates} images that are left are selected"
    return "\n".join([left_out, *lines, end])


def _print_csv(rows: Sequence[Mapping[str, Any]]) -> None:
    writer = csv.DictWriter(sys.stdout, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def _require_empty(folder: Path) -> None:
    """Make the folder. Raises DataError where it cannot be, or holds something."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"images cannot be copied to {folder}: {error.strerror}; name another folder") from None
    if any(each.name != PARTIAL for each in folder.iterdir()):
        raise DataError(f"images cannot be copied to {folder}, which holds files; name a folder that is new or empty")


def copy_ranked(rows: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Each file as it is, named by its rank and its own name: all of them or none. rows: of _COLUMNS.

    Raises DataError for what is no file, such as a pipe.
    """
    with filled_dir(folder) as partial:
        for row in rows:
            path = Path(row["path"])
            if not path.is_file():
                raise DataError(f"{path} cannot be copied to {folder}, since it is no file any more; save it as one")
            shutil.copyfile(path, partial / f"{row['rank']:04d}-{path.name}")
