"""The command `tandem`: small helps around `dvc repro`. Run it from the project's folder."""

import os
from pathlib import Path
from typing import Annotated

import typer

from tandem.curation.settings import CurateSettings
from tandem.errors import DataError, SourceError
from tandem.evaluation import summary
from tandem.files import read_csv, read_json
from tandem.pipeline import run as running
from tandem.pipeline import schema
from tandem.pipeline.params import read_params, section, sections
from tandem.review import mongod
from tandem.sources.settings import Source
from tandem.tables.index import load_index

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
sources = typer.Typer(no_args_is_help=True, help="What params.yaml names as sources.")
app.add_typer(sources, name="sources")
duplicates = typer.Typer(no_args_is_help=True, help="Near duplicates.")
app.add_typer(duplicates, name="duplicates")

_NEXT = """
where to look next
  metrics/                 all numbers; `dvc metrics show`, and after a change `dvc metrics diff`
  data/merge/excluded.csv  what was excluded, and why
  data/curate/samples.csv  group and split of each image
  metrics/label_errors.csv labels that are likely wrong; `tandem review` opens the images
  dvc plots show           curves, confusion, the study (a page that needs no network)
  dvc exp run -S train.lr=0.01 && dvc exp show
(`source .venv/bin/activate` puts these commands on your path)"""


@app.command()
def setup() -> None:
    """Make sure that FiftyOne has a mongod to start; quiet when nothing is to be done."""
    running.run(mongod.main)


@app.command()
def check() -> None:
    """Say what is wrong in params.yaml, or that nothing is."""

    def main() -> None:
        schema.check_params(read_params())
        typer.echo("params.yaml is valid")

    running.run(main)


@app.command(name="results")
def show_results() -> None:
    """Show the scores of the last run, and where to look next."""

    def main() -> None:
        path = Path("metrics/evaluate.json")
        if not path.is_file():
            raise DataError(f"there are no results yet ({path} is missing); run `dvc repro` in the project's folder")
        other = Path("metrics/repeated_splits.json")
        spread = summary.format_spread(read_json(other)) if other.is_file() else ""
        typer.echo("\n" + "\n".join(part for part in (summary.format_results(read_json(path)), spread, _NEXT) if part))

    running.run(main)


@duplicates.command(name="threshold")
def suggest_threshold() -> None:
    """Show how the candidates for near duplicates correlate, and suggest a threshold (curate.min_correlation)."""
    from tandem.curation.duplicates import threshold

    def main() -> None:
        index = Path("data/merge/index.csv")
        scored = [Path("data/curate/near_duplicates.csv"), Path("data/curate/rejected_pairs.csv")]
        if missing := [str(path) for path in (index, *scored) if not path.is_file()]:
            raise DataError(f"no pairs were verified yet ({missing[0]} is missing); run `dvc repro curate` first")
        names = {record.id: "/".join(record.origins[0][:2]) for record in load_index(index).records}
        rows = [row for path in scored for row in read_csv(path)]
        settings = section(read_params(), "curate", CurateSettings)
        typer.echo(threshold.format_suggestion(rows, names, min_correlation=settings.min_correlation))

    running.run(main)


@app.command()
def review(
    address: Annotated[str, typer.Option(help="Where the App listens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 5151,
    expose: Annotated[bool, typer.Option("--expose", help="Allow an address that others can reach.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Write decisions about very many images, too.")] = False,
) -> None:
    """Look at the images in the FiftyOne App and decide: labels, copies, what is dropped or kept. Ctrl-C ends it."""
    # Here, and not at the top: FiftyOne takes seconds to import.
    from tandem.cli.review import open_review

    running.run(lambda: open_review(address=address, port=port, expose=expose, assume_yes=yes))


@sources.command(name="check")
def check_sources(
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no service: look at credentials and pins alone.")
    ] = False,
) -> None:
    """Say for every source whether its credentials and pin are there, and what its service has. Downloads nothing."""
    # Here, and not at the top: the clients' libraries take a moment that the other commands need not wait for.
    from tandem.sources import check as inspecting

    def main() -> None:
        params = read_params()
        schema.check_params(params)
        findings = [
            inspecting.check_source(name, source, environ=os.environ, is_online=not offline)
            for name, source in sections(params, "sources", Source).items()
        ]
        typer.echo(inspecting.format_statuses(findings))
        if bad := [each.name for each in findings if not each.is_available]:
            raise SourceError(f"{len(bad)} of {len(findings)} sources cannot be had: {', '.join(bad)}; see above")

    running.run(main)
