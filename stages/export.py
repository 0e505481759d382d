"""The selected model as one file, held against what was scored.

Reads data/{convert,train,study,ensemble,ood}, and of which data these are: the index, data/curate
and the sources' receipts. Writes data/export (model.onnx, the same as model.safetensors and
model.json, and its predictions of the test images) and metrics/export.json.
"""

from pathlib import Path

from _start import run
from tandem.evaluation.settings import EvaluateSettings
from tandem.files import atomic_dir, write_json
from tandem.inference.export import export_model, export_summary, provenance_of, save_test_logits
from tandem.inference.tensors import save_tensors
from tandem.ood.settings import OodSettings
from tandem.pipeline.params import read_params, section
from tandem.pipeline.trained import trained_models
from tandem.tables.samples import load_samples
from tandem.training.ensembles import selected_model

DATA = Path("data")


def main() -> str:
    params = read_params()
    samples = load_samples(DATA / "curate")
    model = selected_model(DATA / "ensemble")
    trained = trained_models(params, samples.class_names, DATA)

    with atomic_dir(DATA / "export") as folder:
        exported = export_model(
            model,
            trained,
            samples,
            folder / "model.onnx",
            evaluate=section(params, "evaluate", EvaluateSettings),
            ood=section(params, "ood", OodSettings),
            provenance=provenance_of(params, DATA),
        )
        save_tensors(folder / "model.onnx", folder / "model.safetensors")
        save_test_logits(exported, samples, folder / "logits.npz")

    write_json(Path("metrics/export.json"), export_summary(exported, samples))
    fp32 = exported.parity.fp32
    return f"{model}, probs of {fp32.images} images within {fp32.largest:.1e} of torch in fp32"


if __name__ == "__main__":
    run(main)
