"""A head on one backbone's features, chosen and calibrated on validation, and logits out of fold for train.

Reads data/finetune/<backbone>, data/curate; writes data/train/<backbone>, metrics/train/<backbone>.json.
Seconds for a thousand pictures.
"""

import sys
from pathlib import Path

from tandem import running, tracking, training
from tandem.features import load_features
from tandem.files import write_json
from tandem.params import read_params
from tandem.samples import load_samples


def main(name: str) -> None:
    params = read_params()
    samples = load_samples(Path("data/curate"))
    x = load_features(Path("data/finetune") / name, ids=samples.ids).views
    settings = training.Settings.from_params(params["train"])
    with tracking.tracked(params["runtime"]["log"], Path(".tandem/log/train")) as track:
        task = training.Task(training.table(x), samples, settings, name, track(name))
        trained, out_of_fold = training.train_with_folds(task)
    training.save(trained, samples, Path("data/train") / name, out_of_fold=out_of_fold)
    write_json(Path(f"metrics/train/{name}.json"), training.summary(trained, samples))


if __name__ == "__main__":
    running.run(main, *sys.argv[1:])
