"""The command `tandem report`: a page and cards of the last run, in a folder of their own."""

from pathlib import Path

import typer

from tandem.cli.output import print_json
from tandem.pipeline.params import read_params
from tandem.reporting.analysis import analyse
from tandem.reporting.cards.croissant import IMAGES_CSV, croissant, images_csv
from tandem.reporting.cards.dataset_card import dataset_card
from tandem.reporting.cards.model_card import model_card
from tandem.reporting.facts import RunFacts, read_facts
from tandem.reporting.own_files import require_own_folder, write_own_files
from tandem.reporting.page.render import render_page
from tandem.reporting.page.statements import statements

PAGE, MODEL_CARD, DATASET_CARD, CROISSANT = "index.html", "model_card.md", "dataset_card.md", "croissant.json"
_NAMES = (PAGE, MODEL_CARD, DATASET_CARD, CROISSANT, IMAGES_CSV)


def write_report(folder: Path, *, with_speed: bool = True, as_json: bool = False) -> None:
    """Write page and cards into a folder, and print where they are. with_speed: how fast the model is, measured now.

    Raises DataError where no run has ended, where the folder cannot be written to, and where a file of one of their
    names lies there that this command has not written, or that was changed since; then nothing is written.
    """
    require_own_folder(folder, _NAMES)
    facts = read_facts(Path(), read_params(), data_dir=Path("data"), metrics_dir=Path("metrics"))
    texts = _texts(facts, with_speed=with_speed)
    write_own_files(folder, texts)
    sizes = {str(folder / name): len(text.encode()) for name, text in texts.items()}
    if as_json:
        print_json({"files": sizes, "is_up_to_date": facts.state.is_current})
        return
    for path, num_bytes in sizes.items():
        typer.echo(f"{path} ({num_bytes / 1e3:,.0f} kB)")
    if not facts.state.is_current:
        typer.echo(
            "these are not known to be results of the parameters, data and code as they are now: the page says why"
        )


def _texts(facts: RunFacts, *, with_speed: bool) -> dict[str, str]:
    analysis, said, table = analyse(facts, with_speed=with_speed), statements(facts), images_csv(facts)
    return {
        PAGE: render_page(facts, analysis, said),
        MODEL_CARD: model_card(facts, said, analysis),
        DATASET_CARD: dataset_card(facts, said, analysis.licensing),
        CROISSANT: croissant(facts, said, analysis.licensing, table=table),
        IMAGES_CSV: table,
    }
