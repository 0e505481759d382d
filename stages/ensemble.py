"""The ensembles over all backbones, and which one is selected.

Reads data/finetune, data/train, data/study and data/curate.
Writes data/ensemble and metrics/ensemble.json.
"""

from pathlib import Path

from _start import run
from tandem.files import write_json
from tandem.pipeline.params import read_params, section
from tandem.pipeline.settings import RuntimeSettings
from tandem.tables.samples import load_samples
from tandem.training.ensembles import combine_all, load_inputs, save_ensembles
from tandem.training.loggers import open_logger
from tandem.training.selection import ensemble_summary, select_model
from tandem.training.settings import EnsembleSettings, TrainSettings


def main() -> str:
    params = read_params()
    settings = section(params, "ensemble", EnsembleSettings)
    runtime = section(params, "runtime", RuntimeSettings)
    samples = load_samples(Path("data/curate"))

    with open_logger(runtime.logger, Path(".tandem/log/ensemble")) as logger:
        inputs = load_inputs(
            params["backbones"],
            samples,
            section(params, "train", TrainSettings),
            settings,
            features_dir=Path("data/finetune"),
            train_dir=Path("data/train"),
            library_path=Path("data/study/library.npz"),
            logger=logger,
        )
        ensembles = combine_all(inputs)
    selected = select_model(settings.kind, ensembles, samples.val, singles=params["backbones"])

    save_ensembles(ensembles, samples, Path("data/ensemble"), selected=selected)
    summary = ensemble_summary(ensembles, samples.val, selected=selected)
    write_json(Path("metrics/ensemble.json"), summary)
    return f"{len(ensembles)} ensembles, of which {selected} is selected"


if __name__ == "__main__":
    run(main)
