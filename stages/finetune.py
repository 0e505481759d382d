"""The features that models are trained on: of the frozen backbone as they are, or of a fine-tuned copy of it.

Reads data/merge, data/extract/<backbone>, data/curate; writes data/finetune/<backbone> and
metrics/finetune/<backbone>.json.
A fine-tune that was killed goes on from its last epoch, whose state lies in .tandem/recovery.
"""

import sys
from pathlib import Path

from tandem.files import write_json
from tandem.finetune import finetune as finetuning
from tandem.finetune import job as jobs
from tandem.pipeline import run
from tandem.pipeline.params import read_params
from tandem.tables.index import load_index
from tandem.tables.samples import load_samples
from tandem.training import loggers


def main(name: str) -> None:
    params, recovery = read_params(), Path(".tandem/recovery") / name
    images = [Path("data/merge/images") / record.file for record in load_index(Path("data/merge/index.csv")).records]
    samples, extracted = load_samples(Path("data/curate")), Path("data/extract") / name
    job = jobs.FinetuneJob.from_params(name, params, samples, images=images, extracted=extracted)
    with loggers.open_logger(params["runtime"]["log"], Path(".tandem/log/finetune")) as track:
        told = finetuning.finetune(job, Path("data/finetune") / name, recovery=recovery, on_epoch=track(name))
    write_json(Path(f"metrics/finetune/{name}.json"), told)


if __name__ == "__main__":
    run.run(main, *sys.argv[1:])
