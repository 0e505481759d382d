"""The ensembles over all backbones, and which one is selected.

Reads data/finetune, data/train, data/study, data/curate; writes data/ensemble and metrics/ensemble.json.
"""

from pathlib import Path

from tandem.files import write_json
from tandem.pipeline import run
from tandem.pipeline.params import read_params, section
from tandem.pipeline.settings import RuntimeSettings
from tandem.tables.samples import load_samples
from tandem.training.ensembles import (
    combine_all,
    ensemble_summary,
    load_inputs,
    save_ensembles,
    select_ensemble,
)
from tandem.training.loggers import open_logger
from tandem.training.settings import EnsembleSettings, TrainSettings


def main() -> None:
    params = read_params()
    train = section(params, "train", TrainSettings)
    settings = section(params, "ensemble", EnsembleSettings)
    samples = load_samples(Path("data/curate"))
    inputs = load_inputs(
        params["backbones"],
        samples,
        features_dir=Path("data/finetune"),
        train_dir=Path("data/train"),
        library_path=Path("data/study/library.npz"),
    )

    logger_name = section(params, "runtime", RuntimeSettings).logger
    with open_logger(logger_name, Path(".tandem/log/ensemble")) as logger:
        ensembles = combine_all(inputs, samples, train, settings, logger=logger)
    selected = select_ensemble(settings.kind, ensembles, samples)

    save_ensembles(ensembles, samples, Path("data/ensemble"), selected=selected)
    summary = ensemble_summary(ensembles, samples, selected=selected)
    write_json(Path("metrics/ensemble.json"), summary)


if __name__ == "__main__":
    run.run(main)
