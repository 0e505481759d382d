"""Detectors of images that are of none of the classes, one a backbone, and how well they tell.

Reads data/finetune, data/ensemble and data/curate. Writes data/ood and metrics/ood.json.
"""

from pathlib import Path

from _start import run
from tandem.evaluation.settings import EvaluateSettings
from tandem.files import write_json
from tandem.ood.backbones import backbones_read_by
from tandem.ood.detector import fit_detectors, save_detectors
from tandem.ood.settings import OodSettings
from tandem.ood.summary import ood_in_words, ood_summary
from tandem.pipeline.params import read_params, section
from tandem.tables.features import load_features_of
from tandem.tables.samples import load_samples
from tandem.training.ensembles import selected_model

ENSEMBLE = Path("data/ensemble")


def main() -> str:
    params = read_params()
    samples, model = load_samples(Path("data/curate")), selected_model(ENSEMBLE)
    features = load_features_of(Path("data/finetune"), params["backbones"], ids=samples.ids)

    detectors = fit_detectors(features, samples.train)
    distances = save_detectors(detectors, features, ids=samples.ids, folder=Path("data/ood"))
    summary = ood_summary(
        distances,
        samples,
        model=model,
        read_by_model=backbones_read_by(model, list(features), ENSEMBLE),
        settings=section(params, "ood", OodSettings),
        evaluate=section(params, "evaluate", EvaluateSettings),
    )
    write_json(Path("metrics/ood.json"), summary)
    return ood_in_words(summary)


if __name__ == "__main__":
    run(main)
