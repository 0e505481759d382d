"""The command `tandem predict`: the classes of image files, by an exported model. Of few images it imports no torch."""

import csv
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import typer
from tqdm import tqdm

from tandem.cli.output import on_one_line
from tandem.errors import DataError
from tandem.files import atomic_file, closest_name
from tandem.images.scaling import fastest_scale, scale_by_numpy
from tandem.inference.exported import ExportedModel, load_exported
from tandem.inference.predict import STDIN, FilePrediction, as_row, predict_files

Output = Literal["table", "json", "csv"]
_BATCH_SIZE = 16
_TORCH_PAYS = 400  # images, which torch scales to the same bytes in less time than its import and numpy take
_REJECTED, _OOD = "left to a person", "none of these"
_MANY_CLASSES = 5  # of a prediction set, which a line does not name


def print_predictions(
    names: Sequence[str],
    *,
    model_path: Path,
    output: Output,
    top_k: int,
    explain_dir: Path | None,
    is_fast: bool,
    workers: int,
) -> int:
    """Print a line a file; how many files have no prediction, each of which is named on stderr.

    names: files, folders, globs, or - for an image on standard input. Of what lies in a folder, files that are no
    images are left out and counted. explain_dir: where the explanation of each prediction is written, or None.
    is_fast: see load_exported. Raises DataError for a name that leads nowhere, where there is no image,
    for a model that cannot be read, or a folder that cannot be written.
    """
    named, in_folders = find_files(names)
    if explain_dir:
        _make_folder(explain_dir)
    model = load_exported(model_path, is_fast=is_fast)
    write = _WRITERS[output](max((len(on_one_line(path)) for path in [*named, *in_folders]), default=0))
    scale = fastest_scale() if len(named) + len(in_folders) >= _TORCH_PAYS else scale_by_numpy
    predictions = predict_files([*named, *in_folders], model, batch_size=_BATCH_SIZE, workers=workers, scale=scale)
    total, num_failed, num_left_out = len(named) + len(in_folders), 0, 0
    for number, each in enumerate(tqdm(predictions, "predict", total=total, unit="image", disable=None)):
        if each.probs is not None:
            row = as_row(each, model.card, top_k=top_k)
            if explain_dir:
                row["explanation"] = str(save_explanation(each, model, explain_dir))
            write(row)
        elif not each.is_image and number >= len(named):
            num_left_out += 1
        else:
            num_failed += 1
            tqdm.write(f"error: {on_one_line(each.path)}: {each.failure}", file=sys.stderr)
    if num_failed or num_left_out:
        counts = f"{num_failed} failed, {num_left_out} other files in folders are no images"
        typer.echo(f"{total - num_failed - num_left_out} images predicted, {counts}", err=True)
    if num_left_out == total:
        raise DataError(f"there is no image in {' '.join(names)}; name other files or folders")
    return num_failed


def save_explanation(prediction: FilePrediction, model: ExportedModel, folder: Path) -> Path:
    """Write which parts of its image a prediction rests on; the file, which lies there as the image lies here."""
    from tandem.inference.explanation.drawing import draw_explanation  # matplotlib
    from tandem.inference.explanation.explain import explanation_map  # torch

    assert prediction.probs is not None and prediction.view is not None
    explanation = explanation_map(model, prediction.view, int(prediction.probs.argmax()))
    parts = Path("stdin" if prediction.path == str(STDIN) else os.path.relpath(prediction.path)).parts
    target = folder.joinpath(*("parent" if part == os.pardir else part for part in parts))
    target = target.with_name(f"{target.name}.png")
    with atomic_file(target) as temporary:
        draw_explanation(prediction.view, explanation).save(temporary, format="png")
    return target


def find_files(names: Sequence[str]) -> tuple[list[Path], list[Path]]:
    """The files that are named, by globs too, and those that lie in folders, hidden ones left out.

    A hyphen is standard input. Links to folders are followed, but not to one that they lie in. Links that lead nowhere
    and special files are among the files, to be reported. Raises DataError for a name that leads nowhere, a folder that
    cannot be read, and a second hyphen.
    """
    if names.count(str(STDIN)) > 1:
        raise DataError("- stands for one image on standard input; name it once")
    named, in_folders = list[Path](), list[Path]()
    for name in names:
        paths = _matches(Path(name))
        if not paths:
            raise DataError(
                f"there is no file, folder or match of {name!r}; {closest_name(Path(name))}correct the path"
            )
        for found in paths:
            if found.is_dir():
                in_folders += sorted(_files_below(found), key=lambda each: each.relative_to(found).as_posix())
            else:
                named.append(found)
    return named, in_folders


def _matches(path: Path) -> list[Path]:
    """The path itself, or what it matches as a glob."""
    if path == STDIN or path.exists():
        return [path]
    return sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"explanations cannot be written to {folder}: {error.strerror}; name another folder") from None


def _files_below(folder: Path, *, above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """All that is no folder and not hidden. above: the folders that hold this one, as they are without links."""
    above |= {folder.resolve()}
    try:
        paths = list(folder.iterdir())
    except OSError as error:
        raise DataError(f"the folder {folder} cannot be read: {error.strerror}; check its permissions") from None
    for path in paths:
        if path.name.startswith("."):
            continue
        if not path.is_dir():
            yield path
        elif path.resolve() not in above:
            yield from _files_below(path, above=above)


def _table_writer(width: int) -> Callable[[Mapping[str, Any]], None]:
    def write(row: Mapping[str, Any]) -> None:
        probs = "  ".join(f"{name} {prob:.3f}" for name, prob in row["probs"].items())
        flags = [words for key, words in (("none_of_these", _OOD), ("reject", _REJECTED)) if row[key]]
        texts = [on_one_line(row["path"]).ljust(width), probs, *_several(row["set"]), *flags]
        tqdm.write("  ".join(texts), file=sys.stdout)

    return write


def _several(names: Sequence[str]) -> list[str]:
    """The prediction set in words, where it holds more than the label."""
    if len(names) == 1:
        return []
    return [f"one of {', '.join(names) if len(names) <= _MANY_CLASSES else f'{len(names)} classes'}"]


def _json_writer(_width: int) -> Callable[[Mapping[str, Any]], None]:
    return lambda row: tqdm.write(json.dumps(row, ensure_ascii=False), file=sys.stdout)


class _BesideTheBar:
    """Standard output, for whole lines, while a progress bar may be on the same terminal."""

    def write(self, line: str) -> None:
        tqdm.write(line, file=sys.stdout, end="")


def _csv_writer(_width: int) -> Callable[[Mapping[str, Any]], None]:
    columns = ("path", "label", "confidence", "reject", "none_of_these", "ood_score", "set")
    writer = csv.DictWriter(_BesideTheBar(), columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    return lambda row: writer.writerow({**row, "set": json.dumps(row["set"], ensure_ascii=False)})


_WRITERS: Mapping[Output, Callable[[int], Callable[[Mapping[str, Any]], Any]]] = {
    "table": _table_writer,
    "json": _json_writer,
    "csv": _csv_writer,
}
