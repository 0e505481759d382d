"""Every model at every pair of learning rate and batch size, over several seeds, scored on validation.

Reads data/finetune, data/curate; writes metrics/study.csv, metrics/study.json and, for ensembles, data/study.
"""

from dataclasses import asdict
from pathlib import Path

from tandem.files import write_json, write_table
from tandem.pipeline import run as running
from tandem.pipeline.params import read_params
from tandem.studies import grid as studying
from tandem.tables import features, logits
from tandem.tables.samples import load_samples
from tandem.training import heads


def main() -> None:
    params = read_params()
    samples = load_samples(Path("data/curate"))
    # the grid varies lr and batch size; those of train play no part
    free = {"lr": params["study"]["lr"][0], "batch_size": params["study"]["batch_size"][0]}
    found = studying.study(
        features.load_features_of(Path("data/finetune"), params["backbones"], ids=samples.ids),
        samples=samples,
        grid=studying.StudyGrid(**params["study"]),
        settings=heads.TrainSettings.from_params({**params["train"], **free}),
        ensemble_dropout=params["ensemble"]["dropout"],
        width=params["ensemble"]["width"],
        workers=params["runtime"]["workers"],
    )
    of = {"ids": samples.ids, "class_names": samples.class_names}
    logits.save_model_library(found.library, **of, path=Path("data/study/library.npz"))
    write_table(Path("metrics/study.csv"), [asdict(run) for run in found.runs])
    write_json(Path("metrics/study.json"), studying.study_summary(found.runs))


if __name__ == "__main__":
    running.run(main)
