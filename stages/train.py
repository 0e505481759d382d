"""A head on one backbone's features, chosen and calibrated on validation, and logits out of fold for train.

Reads data/finetune/<backbone>, data/curate; writes data/train/<backbone>, metrics/train/<backbone>.json.
Seconds for a thousand images.
"""

import sys
from pathlib import Path

from tandem.files import write_json
from tandem.pipeline import run
from tandem.pipeline.params import read_params
from tandem.tables.features import load_features
from tandem.tables.samples import load_samples
from tandem.training import heads, loggers


def main(name: str) -> None:
    params = read_params()
    samples = load_samples(Path("data/curate"))
    x = load_features(Path("data/finetune") / name, ids=samples.ids).views
    settings = heads.TrainSettings.from_params(params["train"])
    with loggers.open_logger(params["runtime"]["log"], Path(".tandem/log/train")) as track:
        task = heads.HeadTask(heads.as_float32(x), samples, settings, name, track(name))
        trained, out_of_fold = heads.train_with_folds(task)
    heads.save_head(trained, samples, Path("data/train") / name, out_of_fold=out_of_fold)
    write_json(Path(f"metrics/train/{name}.json"), heads.head_summary(trained, samples))


if __name__ == "__main__":
    run.run(main, *sys.argv[1:])
