"""A grid search: every model at every learning rate and batch size, over several seeds.

Scored on validation. Reads data/finetune and data/curate; writes metrics/study.csv,
metrics/study.json and, for ensembles, data/study.
"""

from pathlib import Path

from _start import run
from tandem.files import write_json
from tandem.pipeline.params import read_params, section
from tandem.pipeline.settings import RuntimeSettings
from tandem.studies.grid import save_library, save_runs, study, study_summary
from tandem.studies.settings import StudySettings
from tandem.tables.features import load_features_of
from tandem.tables.samples import load_samples
from tandem.training.settings import EnsembleSettings, TrainSettings


def main() -> str:
    params = read_params()
    samples = load_samples(Path("data/curate"))
    features = load_features_of(Path("data/finetune"), params["backbones"], ids=samples.ids)

    result = study(
        features,
        samples,
        grid=section(params, "study", StudySettings),
        train=section(params, "train", TrainSettings),
        ensemble=section(params, "ensemble", EnsembleSettings),
        workers=section(params, "runtime", RuntimeSettings).workers,
    )

    save_library(result.library, samples, Path("data/study"))
    save_runs(result.runs, Path("metrics/study.csv"))
    write_json(Path("metrics/study.json"), study_summary(result.runs))
    return f"{len(result.runs)} runs, scored on validation"


if __name__ == "__main__":
    run(main)
