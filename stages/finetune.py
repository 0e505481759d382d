"""The features that models are trained on: of the frozen backbone, or of a fine-tuned copy of it.

Reads data/{ingest,merge}, data/extract/<backbone>, data/curate; writes data/finetune/<backbone> and
metrics/finetune/<backbone>.json.
A fine-tune that was killed goes on from its last epoch, whose state lies in .tandem/checkpoints.
By several processes: runtime.cluster, or `torchrun --nproc-per-node 2 stages/finetune.py <name>`.
"""

import sys
from pathlib import Path

from _start import run
from tandem.cluster.executor import open_executor
from tandem.features.settings import BackboneSettings, ExtractSettings
from tandem.files import write_json
from tandem.finetune.finetune import finetune
from tandem.finetune.job import FinetuneJob
from tandem.finetune.settings import FinetuneSettings
from tandem.pipeline.params import read_params, section
from tandem.pipeline.settings import RuntimeSettings
from tandem.tables.samples import load_samples
from tandem.tables.stored import load_stored
from tandem.training.loggers import open_logger
from tandem.training.settings import TrainSettings


def main(name: str) -> str:
    params = read_params()
    runtime = section(params, "runtime", RuntimeSettings)
    job = FinetuneJob(
        name=name,
        samples=load_samples(Path("data/curate")),
        images=load_stored(Path("data/merge/stored.csv")).packed(Path("data/ingest")),
        extracted=Path("data/extract") / name,
        backbone=section(params, f"backbones.{name}", BackboneSettings),
        extract=section(params, "extract", ExtractSettings),
        finetune=section(params, "finetune", FinetuneSettings),
        train=section(params, "train", TrainSettings),
        device=runtime.device,
        workers=runtime.workers,
        batch_size=runtime.batch_size,
    )

    log = Path(".tandem/log/finetune")
    with open_logger(runtime.logger, log) as logger, open_executor(runtime.cluster) as executor:
        summary = finetune(
            job,
            Path("data/finetune") / name,
            checkpoints_dir=Path(".tandem/checkpoints") / name,
            on_epoch=logger(name),
            executor=executor,
        )

    write_json(Path(f"metrics/finetune/{name}.json"), summary)
    return f"{summary['trainable_backbone_layers']} layers trained"


if __name__ == "__main__":
    run(main, *sys.argv[1:])
