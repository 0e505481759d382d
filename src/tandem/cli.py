"""The command `tandem`: small helps around `dvc repro`. Run it from the project's folder."""

from pathlib import Path

import typer

from tandem import results, running, schema
from tandem.errors import DataError
from tandem.files import read_json
from tandem.params import read_params

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)

_NEXT = """
where to look next
  metrics/                 all numbers; `dvc metrics show`, and after a change `dvc metrics diff`
  data/merge/dropped.csv   what was left out, and why
  data/curate/samples.csv  group and split of each picture
  dvc plots show           curves, confusion, the study (a page that needs no network)
  dvc exp run -S train.lr=0.01 && dvc exp show
(`source .venv/bin/activate` puts these commands on your path)"""


@app.command()
def check() -> None:
    """Say what is wrong in params.yaml, or that nothing is."""

    def main() -> None:
        schema.check(read_params())
        typer.echo("params.yaml is good")

    running.run(main)


@app.command(name="results")
def show_results() -> None:
    """Show the scores of the last run, and where to look next."""

    def main() -> None:
        path = Path("metrics/evaluate.json")
        if not path.is_file():
            raise DataError(f"there are no results yet ({path} is missing); run `dvc repro` in the project's folder")
        typer.echo(f"\n{results.table(read_json(path))}\n{_NEXT}")

    running.run(main)
