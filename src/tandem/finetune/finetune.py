"""Features of a backbone for the models: its frozen ones as they are, or those of a fine-tuned copy of it.

Without an unfrozen layer nothing is computed and no torch is loaded.
"""

import shutil
from pathlib import Path

from tandem.files import atomic_dir
from tandem.finetune.job import FinetuneJob
from tandem.training.loggers import EpochLogger, ignore_epoch


def finetune(
    job: FinetuneJob, folder: Path, *, checkpoints_dir: Path, on_epoch: EpochLogger = ignore_epoch
) -> dict[str, float]:
    """Write `folder`: features.npy, ids.txt, meta.json, and backbone.pt, head.pt, curves.csv if tuned; a summary.

    checkpoints_dir: where the state of a training that was killed lies, and its cached images. on_epoch: see
    loop.fit_images.
    """
    if job.num_trainable_layers == 0:
        with atomic_dir(folder) as temporary:
            shutil.copytree(job.extracted, temporary, dirs_exist_ok=True, copy_function=shutil.copyfile)
        return {"trainable_backbone_layers": 0}
    from tandem.finetune import tune  # torch costs seconds, and a frozen backbone needs none of it

    summary = tune.tune(job, folder, checkpoints_dir=checkpoints_dir, on_epoch=on_epoch)
    return {"trainable_backbone_layers": job.num_trainable_layers, **summary}
