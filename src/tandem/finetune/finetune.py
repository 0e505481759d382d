"""Features of a backbone for the models: its frozen ones as they are, or those of a fine-tuned copy of it.

Without an unfrozen layer nothing is computed and no torch is loaded.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tandem.cache.recipe import kernel_choices, make_kernel_choices
from tandem.cluster.group import Rank, launched_rank, leave_to_first
from tandem.cluster.local import LOCAL
from tandem.cluster.work import Executor, Facts, GroupWork, Share
from tandem.files import atomic_dir
from tandem.finetune.job import FinetuneJob, training_facts
from tandem.training.loggers import Epoch, EpochLogger, ignore_epoch


@dataclass(frozen=True)
class Finetuning(GroupWork[Epoch, dict[str, float]]):
    """A job by several processes. environment: what chooses kernels and threads where the stage runs."""

    job: FinetuneJob
    folder: Path
    checkpoints_dir: Path
    environment: Mapping[str, str] = field(default_factory=kernel_choices)

    @property
    def title(self) -> str:
        """Of the progress bar."""
        return f"finetune {self.job.name}"

    @property
    def share(self) -> Share:
        """All of a machine, or one of its GPUs."""
        return Share(None, may_use_gpu=self.job.device in ("auto", "cuda"))

    @property
    def max_processes(self) -> int:
        """As many as a batch has micro-batches."""
        return self.job.max_processes

    def facts(self) -> Facts:
        """Of this machine, under that environment."""
        return {**training_facts(), "environment": dict(self.environment)}

    def run(self, rank: Rank, on_report: Callable[[Epoch], None]) -> dict[str, float]:
        """The summary; the first process writes the folder."""
        make_kernel_choices(self.environment)
        from tandem.finetune import tune  # torch costs seconds, and a frozen backbone needs none of it

        return tune.tune(self.job, self.folder, checkpoints_dir=self.checkpoints_dir, on_epoch=on_report, rank=rank)


def finetune(
    job: FinetuneJob,
    folder: Path,
    *,
    checkpoints_dir: Path,
    on_epoch: EpochLogger = ignore_epoch,
    executor: Executor = LOCAL,
) -> dict[str, float]:
    """Write `folder`: features.npy, ids.txt, meta.json, and backbone.pt, head.pt, curves.csv if tuned; a summary.

    checkpoints_dir: where the state of a training that was killed lies, and its cached images. on_epoch: see
    loop.fit_images. executor: where processes train. Of those that torchrun started, all but the first end here.
    """
    if job.num_trainable_layers == 0:
        leave_to_first(launched_rank())
        with atomic_dir(folder) as temporary:
            shutil.copytree(job.extracted, temporary, dirs_exist_ok=True, copy_function=shutil.copyfile)
        return {"trainable_backbone_layers": 0}
    summary = executor.run_group(Finetuning(job, folder, checkpoints_dir), on_epoch)
    return {"trainable_backbone_layers": job.num_trainable_layers, **summary}
