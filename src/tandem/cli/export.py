"""The command `tandem export`: a trained model as one file, from what the last run wrote."""

import os
from dataclasses import asdict
from pathlib import Path

import typer

from tandem.cli.output import print_json
from tandem.errors import DataError
from tandem.evaluation.settings import EvaluateSettings
from tandem.inference.export import export_model, provenance_of
from tandem.ood.settings import OodSettings
from tandem.pipeline.finished import params_of_finished_run
from tandem.pipeline.params import section
from tandem.pipeline.trained import trained_models
from tandem.tables.samples import load_samples
from tandem.training.ensembles import selected_model

_DATA = Path("data")


def export_to(output: Path, *, model: str | None, as_json: bool) -> None:
    """Write the model of this name, by default the selected one.

    Raises DataError where the output is a file of another kind or the name of a model, where nothing was trained, or by
    other parameters, and where the file would predict otherwise than torch in fp32.
    """
    _require_writable(output)
    params = params_of_finished_run(_DATA)
    samples = load_samples(_DATA / "curate")
    trained = trained_models(params, samples.class_names, _DATA)
    if str(output) in trained.names:
        raise DataError(f"{output} is a model, and no file: `tandem export --model {output} {output}.onnx`")
    name = model or selected_model(_DATA / "ensemble")
    exported = export_model(
        name,
        trained,
        samples,
        output,
        evaluate=section(params, "evaluate", EvaluateSettings),
        ood=section(params, "ood", OodSettings),
        provenance=provenance_of(params, _DATA),
    )
    parity = exported.parity
    if as_json:
        print_json(
            {
                "model": name,
                "path": str(output),
                "num_bytes": output.stat().st_size,
                "sha256": exported.digest,
                "difference_to_fp32": asdict(parity.fp32),
                "difference_to_scored": asdict(parity.scored),
            }
        )
        return
    typer.echo(
        f"{name} is in {output}: {output.stat().st_size / 1e6:.1f} MB, sha256 {exported.digest}\n"
        f"its probs of {parity.fp32.images} test images are within {parity.fp32.largest:.1e} of torch in fp32, and "
        f"within {parity.scored.largest:.1e} of what was scored, where {parity.scored.changed_classes} classes differ\n"
        f"tandem predict --model {output} PATH...   # files or folders of images"
    )


def _require_writable(output: Path) -> None:
    """Raises DataError, before anything is computed, where no file can be written."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"no file can be written at {output}: {error}; name another place") from None
    if output.is_dir() or not os.access(output.parent, os.W_OK):
        reason = "that is a folder" if output.is_dir() else f"{output.parent} cannot be written to"
        raise DataError(f"no file can be written at {output}: {reason}; name another place")
    if output.exists() and output.suffix != ".onnx":
        raise DataError(f"{output} is there, and by its name no ONNX file; name another file, such as model.onnx")
