"""A head on one backbone's features, calibrated on validation, and out-of-fold logits of train.

Reads data/finetune/<backbone> and data/curate.
Writes data/train/<backbone> and metrics/train/<backbone>.json. Seconds for a thousand images.
"""

import sys
from pathlib import Path

from _start import run
from tandem.files import write_json
from tandem.pipeline.params import read_params, section
from tandem.pipeline.settings import RuntimeSettings
from tandem.tables.features import load_features
from tandem.tables.samples import load_samples
from tandem.training.heads import head_summary, save_head
from tandem.training.loggers import open_logger
from tandem.training.out_of_fold import train_with_folds
from tandem.training.settings import TrainSettings
from tandem.training.task import head_task


def main(name: str) -> str:
    params = read_params()
    settings = section(params, "train", TrainSettings)
    runtime = section(params, "runtime", RuntimeSettings)
    samples = load_samples(Path("data/curate"))
    features = load_features(Path("data/finetune") / name, ids=samples.ids)

    with open_logger(runtime.logger, Path(".tandem/log/train")) as logger:
        task = head_task(features.tta_views, samples, settings, name, logger(name))
        trained, out_of_fold = train_with_folds(task)

    save_head(trained, samples, Path("data/train") / name, out_of_fold=out_of_fold)
    summary = head_summary(trained, samples)
    write_json(Path(f"metrics/train/{name}.json"), summary)
    loss, accuracy = summary["val_loss"], summary["val_top1_accuracy"]
    return f"on validation log loss {loss:.3f}, top-1 accuracy {accuracy:.3f}"


if __name__ == "__main__":
    run(main, *sys.argv[1:])
