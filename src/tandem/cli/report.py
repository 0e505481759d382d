"""The command `tandem report`: a page and cards of the last run, in a folder of their own."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import typer

from tandem.errors import DamagedFileError, DataError
from tandem.files import read_json, sha256, write_json, write_text
from tandem.pipeline.params import read_params
from tandem.reporting.analysis import analyse
from tandem.reporting.cards.croissant import IMAGES_CSV, croissant, images_csv
from tandem.reporting.cards.dataset_card import dataset_card
from tandem.reporting.cards.model_card import model_card
from tandem.reporting.cards.statements import statements
from tandem.reporting.facts import RunFacts, read_facts
from tandem.reporting.page.render import render_page

PAGE, MODEL_CARD, DATASET_CARD, CROISSANT = "index.html", "model_card.md", "dataset_card.md", "croissant.json"
_NAMES = (PAGE, MODEL_CARD, DATASET_CARD, CROISSANT, IMAGES_CSV)
_WRITTEN = ".tandem_report.json"  # name of a file -> digests of what this command wrote there


def write_report(folder: Path) -> None:
    """Write page and cards into a folder, and print where they are.

    Raises DataError where no run has ended, where the folder cannot be written to, and where a file of one of their
    names lies there that this command has not written, or that was changed since; then nothing is written.
    """
    _require_writable(folder)
    _require_own_files(folder)
    facts = read_facts(Path(), read_params(), data_dir=Path("data"), metrics_dir=Path("metrics"))
    texts = _texts(facts)
    write_own_files(folder, texts)
    for name, text in texts.items():
        typer.echo(f"{folder / name} ({len(text.encode()) / 1e3:,.0f} kB)")
    if not facts.state.is_current:
        typer.echo(
            "these are not known to be results of the parameters, data and code as they are now: the page says why"
        )


def write_own_files(folder: Path, texts: Mapping[str, str]) -> None:
    """Write files, each whole or not at all, and note their digests, by which the next run knows them."""
    noted = _noted(folder)
    digests = {name: [hashlib.sha256(text.encode()).hexdigest()] for name, text in texts.items()}
    # before and after: a run that is cut short leaves files of either digest
    write_json(folder / _WRITTEN, {name: [*noted.get(name, []), *digests[name]] for name in texts})
    for name, text in texts.items():
        write_text(folder / name, text)
    write_json(folder / _WRITTEN, digests)


def _texts(facts: RunFacts) -> dict[str, str]:
    analysis, said, table = analyse(facts), statements(facts), images_csv(facts)
    return {
        PAGE: render_page(facts, analysis),
        MODEL_CARD: model_card(facts, said, analysis),
        DATASET_CARD: dataset_card(facts, said, analysis.licensing),
        CROISSANT: croissant(facts, said, analysis.licensing, table=table),
        IMAGES_CSV: table,
    }


def _require_writable(folder: Path) -> None:
    """Raises DataError, before anything is computed, where no folder can be made or written to."""
    nearest = next(each for each in (folder, *folder.absolute().parents) if each.exists() or each.is_symlink())
    if not nearest.is_dir():
        raise DataError(f"no report can be written to {folder}: {nearest} is no folder; name another one by --output")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise DataError(f"no report can be written to {folder}: {nearest} is read-only; name another one by --output")


def _require_own_files(folder: Path) -> None:
    noted = _noted(folder)
    for path in (folder / name for name in _NAMES):
        if path.is_symlink() or path.exists():
            is_own = path.is_file() and not path.is_symlink() and sha256(path) in noted.get(path.name, ())
            if not is_own:
                raise DataError(
                    f"{path} was not written by `tandem report`, or was changed since; move it away, or name another "
                    "folder by --output"
                )


def _noted(folder: Path) -> dict[str, list[str]]:
    try:
        return {str(name): list(digests) for name, digests in read_json(folder / _WRITTEN).items()}
    except (DamagedFileError, AttributeError, TypeError):
        return {}
