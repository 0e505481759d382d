"""The command `tandem`: small helps around `dvc repro`. Run it from the project's folder."""

import os
from pathlib import Path
from typing import Annotated

import typer

from tandem.pipeline.run import run, warn
from tandem.cli import results
from tandem.cli.new_images.commands import new_images
from tandem.cli.output import AsJson, params_schema_text, print_json
from tandem.curation.settings import CurateSettings
from tandem.errors import DataError, PipelineError, SourceError
from tandem.files import read_csv
from tandem.pipeline.lock import require_whole_locks
from tandem.pipeline.outputs import require_outputs
from tandem.pipeline.params import read_params, section, sections
from tandem.pipeline.problems import problems_in
from tandem.pipeline.schema import check_params
from tandem.review import mongod
from tandem.sources.settings import Source
from tandem.tables.index import load_index

app = typer.Typer(no_args_is_help=True, help=__doc__)
sources = typer.Typer(no_args_is_help=True, help="What params.yaml names as sources.")
app.add_typer(sources, name="sources")
duplicates = typer.Typer(no_args_is_help=True, help="Near duplicates.")
app.add_typer(duplicates, name="duplicates")
app.add_typer(new_images)  # without a name: its commands stand beside the others


@app.command(name="init", context_settings={"allow_extra_args": True})
def initialize(
    context: typer.Context,
    folder: Annotated[Path | None, typer.Argument(metavar="DIR", help="A folder that is new or empty.")] = None,
    preset: Annotated[str | None, typer.Option(help="Parameters to begin with: sample, vehicles, scenes.")] = None,
    data: Annotated[
        list[Path] | None, typer.Option(metavar="PATH...", help="Folders, zip or tar files of images.")
    ] = None,
    upgrade: Annotated[
        bool, typer.Option("--upgrade", help="Show what the installed tandem changes in a project, and ask.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Write the upgrade without asking.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a project of your own, with parameters for the images that --data names; or upgrade one."""
    from tandem.cli.init import init_project, upgrade_project

    def main() -> None:
        if context.args and not data:
            raise DataError(f"a project has one folder, and {' '.join(context.args)} is too much; name data by --data")
        if upgrade and (data or preset):
            raise DataError("--upgrade changes no parameters; leave --data and --preset away")
        if upgrade:
            upgrade_project(folder, assume_yes=yes, as_json=as_json)
        else:
            paths = [*(data or []), *map(Path, context.args)]  # of `--data a.zip b.zip` the second is an argument
            init_project(folder, preset_name=preset, data=paths, as_json=as_json)

    run(main)


@app.command()
def setup(as_json: AsJson = False) -> None:
    """Make sure that FiftyOne has a mongod to start; quiet when nothing is to be done."""

    def main() -> None:
        mongod.main()
        if as_json:
            path = None if "FIFTYONE_DATABASE_URI" in os.environ else mongod.find()
            print_json({"mongod": str(path) if path else None})

    run(main)


@app.command(name="check")
def check_parameters(
    outputs: Annotated[bool, typer.Option("--outputs", help="Check that all stages' outputs are there, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what is wrong in params.yaml, with the files that it names and with DVC's lock files, or that nothing is."""

    def main() -> None:
        from tandem.pipeline.preflight import check_project  # which a served model lives without

        warnings = list[str]()
        try:
            warnings += check_project()[1]
            warn(warnings)
            require_whole_locks()
            if outputs:
                require_outputs()
        except PipelineError as error:
            if as_json:
                print_json({"is_valid": False, "problems": problems_in(error), "warnings": warnings})
            raise
        if as_json:
            print_json({"is_valid": True, "problems": [], "warnings": warnings})
        else:
            typer.echo("params.yaml is valid, and all outputs are there" if outputs else "params.yaml is valid")

    run(main)


@app.command(name="doctor")
def check_machine(as_json: AsJson = False) -> None:
    """Say of Python, packages, memory, disks, GPU, accounts and the project here: OK, or what to do.

    Exit code 1 where something would stop `dvc repro`.
    """
    from tandem.cli.doctor import examine_here

    run(lambda: examine_here(as_json=as_json))


@app.command(name="schema")
def print_schema() -> None:
    """Print the JSON schema of params.yaml, by which editors complete, explain and check it."""
    run(lambda: typer.echo(params_schema_text(), nl=False))


@app.command(name="results")
def print_results(as_json: AsJson = False) -> None:
    """Show the scores of the last run, of which parameters and data they are, and where to look next."""
    run(lambda: results.show_results(as_json=as_json))


@app.command(name="compare", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def compare_side_by_side(context: typer.Context, as_json: AsJson = False) -> None:
    """Show experiments side by side: the summary's numbers and the parameters that differ.

    Calls `dvc exp show`, which by itself shows all parameters and all digests, and takes the options of that.
    """
    run(lambda: results.compare_experiments(context.args, as_json=as_json))


@app.command(name="diff")
def show_changes(
    rev: Annotated[str, typer.Argument(help="A commit, branch, tag or experiment.")],
    other: Annotated[
        str | None, typer.Argument(metavar="[REV2]", help="Another one; the working tree if left out.")
    ] = None,
    examples: Annotated[int, typer.Option(min=0, help="Of each kind of change, in the text.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Show what changed between two versions of the data: images, labels, groups, splits, parameters and scores."""
    from tandem.cli.diff import show_diff

    run(lambda: show_diff(rev, other, num_examples=examples, as_json=as_json))


@duplicates.command(name="threshold")
def show_threshold(as_json: AsJson = False) -> None:
    """Show how the candidates for near duplicates correlate, and suggest a threshold (curate.min_correlation)."""
    from tandem.curation.duplicates import threshold

    def main() -> None:
        index = Path("data/merge/index.csv")
        scored = [Path("data/curate/near_duplicates.csv"), Path("data/curate/rejected_pairs.csv")]
        if missing := [str(path) for path in (index, *scored) if not path.is_file()]:
            raise DataError(f"no pairs were verified yet ({missing[0]} is missing); run `dvc repro curate` first")
        images = load_index(index)
        names = {id_: files[0] for id_, files in zip(images.ids, images.found_in, strict=True)}
        rows = [row for path in scored for row in read_csv(path)]
        settings = section(read_params(), "curate", CurateSettings)
        if as_json:
            print_json(threshold.suggestion_as_dict(rows, min_correlation=settings.min_correlation))
        else:
            typer.echo(threshold.format_suggestion(rows, names, min_correlation=settings.min_correlation))

    run(main)


@app.command(name="export")
def export(
    output: Annotated[Path, typer.Argument(help="The file to write.")] = Path("model.onnx"),
    model: Annotated[str | None, typer.Option(help="A row of the results; the selected one if left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a trained model as one ONNX file, which `tandem predict` reads. Run `dvc repro` first."""
    from tandem.cli.export import export_to

    run(lambda: export_to(output, model=model, as_json=as_json))


@app.command(name="backbones")
def show_backbones(
    others: Annotated[
        list[str] | None, typer.Argument(help="Others: PROVIDER/ARCHITECTURE/WEIGHTS, with /LAYER, /gem or /max.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Rank backbones on the project's images: accuracy, what a second one adds, time and size.

    Run `dvc repro curate` first. The features of a candidate are kept: as a backbone of the project it costs no pass.
    """
    from tandem.cli import backbones  # torch

    run(lambda: backbones.compare_backbones(others or [], as_json=as_json))


@app.command(name="report")
def report_run(
    output: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("report"),
    no_speed: Annotated[bool, typer.Option("--no-speed", help="Do not measure how fast the model is here.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a page about the last run, which any browser opens without a network, and cards of model and data.

    Run `dvc repro` first.
    """
    # Here, and not at the top: it draws, and reads all of a run.
    from tandem.cli.report import write_report

    run(lambda: write_report(output, with_speed=not no_speed, as_json=as_json))


@app.command()
def review(
    address: Annotated[str, typer.Option(help="Where the App listens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 5151,
    expose: Annotated[bool, typer.Option("--expose", help="Allow an address that others can reach.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Write decisions about very many images, too.")] = False,
) -> None:
    """Review images in the FiftyOne App: labels, near duplicates, what is dropped or kept. Ctrl-C ends it."""
    # Here, and not at the top: FiftyOne takes seconds to import.
    from tandem.cli.review import open_review

    run(lambda: open_review(address=address, port=port, expose=expose, assume_yes=yes))


@sources.command(name="check")
def check_sources(
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no service: look at credentials and pins alone.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say for every source whether its credentials and pin are there, and what its service has. Downloads nothing."""
    # Here, and not at the top: the clients' libraries take a moment that the other commands need not wait for.
    from tandem.sources import check as inspecting

    def main() -> None:
        params = read_params()
        check_params(params)
        findings = [
            inspecting.check_source(name, source, environ=os.environ, is_online=not offline)
            for name, source in sections(params, "sources", Source).items()
        ]
        if as_json:
            print_json({"sources": [each._asdict() for each in findings]})
        else:
            typer.echo(inspecting.format_statuses(findings))
        if bad := [each.name for each in findings if not each.is_available]:
            raise SourceError(f"{len(bad)} of {len(findings)} sources cannot be had: {', '.join(bad)}; see above")

    run(main)
