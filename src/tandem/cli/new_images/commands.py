"""The commands about images that the project does not hold yet, as the app has them: predict, serve, drift, select."""

from pathlib import Path
from typing import Annotated

import typer

from tandem.pipeline.run import run
from tandem.cli.output import AsJson
from tandem.errors import DataError

new_images = typer.Typer()

_Paths = Annotated[list[str], typer.Argument(metavar="DIR...", help="Folders of images, image files, globs.")]
_Seed = Annotated[int, typer.Option(min=0, help="Of what is random.")]


@new_images.command(name="predict")
def predict_images(
    paths: Annotated[list[str], typer.Argument(help="Image files, folders of them, globs, or - for standard input.")],
    model: Annotated[Path, typer.Option(help="A file that `tandem export` wrote.")] = Path("model.onnx"),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="A table with a header.")] = False,
    top_k: Annotated[int, typer.Option(min=1, help="Classes to show, the most probable first.")] = 1,
    explain: Annotated[Path | None, typer.Option(help="A folder for class activation maps.")] = None,
    fast: Annotated[bool, typer.Option("--fast", help="By OpenVINO, in bf16 where the processor has it.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Threads that decode.")] = 2,
) -> None:
    """Predict the classes of images. Exit code 1 when a file could not be read."""
    from tandem.cli.predict import Output, print_predictions

    def main() -> None:
        if as_json and as_csv:
            raise DataError("--json and --csv exclude each other; take one of them")
        output: Output = "json" if as_json else "csv" if as_csv else "table"
        num_failed = print_predictions(
            paths,
            model_path=model,
            output=output,
            top_k=top_k,
            explain_dir=explain,
            is_fast=fast,
            workers=workers,
        )
        if num_failed:
            raise typer.Exit(1)

    run(main)


@new_images.command(name="serve")
def serve_images(
    model: Annotated[Path, typer.Option(help="A file that `tandem export` wrote.")] = Path("model.onnx"),
    address: Annotated[str, typer.Option(help="Where it listens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    threads: Annotated[int, typer.Option(min=0, help="That compute; 0 is one a core.")] = 0,
) -> None:
    """Serve an exported model over HTTP: a page to drop images on, and POST /predict. Ctrl-C ends it."""
    from tandem.cli.serve import serve_model

    run(lambda: serve_model(model, address=address, port=port, threads=threads))


@new_images.command(name="drift")
def test_for_drift(
    paths: _Paths,
    alpha: Annotated[
        float, typer.Option(min=0.001, max=0.5, help="How probable a false alarm may be, of all tests together.")
    ] = 0.05,
    max_images: Annotated[int, typer.Option(min=10, max=4000, help="Of more, a random sample is compared.")] = 2000,
    seed: _Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Say whether new images are still like the training data: properties, features and predicted classes.

    Run `dvc repro` first. Exit code 3 where drift is found, 1 where a file could not be read.
    """
    from tandem.cli.new_images.drift import report_drift

    def main() -> None:
        if code := report_drift(paths, alpha=alpha, max_images=max_images, seed=seed, as_json=as_json):
            raise typer.Exit(code)

    run(main)


@new_images.command(name="select")
def select_images(
    paths: _Paths,
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="Of images to label.")] = 50,
    copy_to: Annotated[Path | None, typer.Option(help="A folder that is new or empty, for copies of them.")] = None,
    max_images: Annotated[int, typer.Option(min=10, help="Of more, a random sample is looked at.")] = 10_000,
    seed: _Seed = 0,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="A table with a header.")] = False,
) -> None:
    """Select which of new images to label next: unsure ones, unlike each other and what the project has.

    Run `dvc repro` first. Exit code 1 where a file could not be read.
    """
    from tandem.cli.new_images.select import Listing, list_selected

    def main() -> None:
        if as_json and as_csv:
            raise DataError("--json and --csv exclude each other; take one of them")
        listing: Listing = "json" if as_json else "csv" if as_csv else "table"
        if list_selected(paths, number=number, copy_to=copy_to, max_images=max_images, seed=seed, listing=listing):
            raise typer.Exit(1)

    run(main)
