"""Fine-tune the last layers of a backbone on images, and write the features that it gives then of every image."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from shutil import rmtree

import numpy as np
import torch
from torch import nn

from tandem.cluster.agreement import Agreement
from tandem.cluster.group import ONLY, Rank
from tandem.cluster.work import Facts
from tandem.errors import ClusterError
from tandem.features.backbones.backbone import Backbone, load_backbone, state_digest
from tandem.features.device import select_device
from tandem.features.engines.engine import start_engine
from tandem.features.extract import extract, extraction_meta
from tandem.features.settings import RANDOM
from tandem.files import atomic_dir, sha256, write_csv
from tandem.finetune.batches import ImageSet
from tandem.finetune.checkpoints import checkpoint_dir
from tandem.finetune.job import FinetuneJob, training_facts
from tandem.finetune.layers import unfreeze
from tandem.finetune.loop import fit_images
from tandem.finetune.parallel.processes import Processes, open_processes
from tandem.finetune.trainer import Trainer
from tandem.images.loader import cache_pixels, iter_batches
from tandem.seeding import seeded
from tandem.state_files import save_state
from tandem.tables.features import load_features, write_features
from tandem.tables.samples import Split
from tandem.tables.splits import require_every_class, stratified_group_folds
from tandem.training import networks
from tandem.training.fitting import logistic
from tandem.training.loggers import EpochLogger, ignore_epoch

_STATE_VERSION = 4  # of checkpoints: a training does not go on with one of another layout
_CACHED_RATIO = 8 / 7  # side of a cached image over that of a crop, as of torchvision's 256 and 224
_TRAIN, _VAL = "train.npy", "val.npy"


def tune(
    job: FinetuneJob,
    folder: Path,
    *,
    checkpoints_dir: Path,
    on_epoch: EpochLogger = ignore_epoch,
    rank: Rank = ONLY,
) -> dict[str, float]:
    """Write features.npy, ids.txt, meta.json, backbone.pt, head.pt and curves.csv; the kept epoch and its scores.

    rank: of this process. The first one alone writes, and calls on_epoch.
    """
    samples, settings = job.samples, job.finetune
    require_every_class(samples.labels.tolist(), samples.splits.tolist(), class_names=samples.class_names)
    device = select_device(job.device)
    with open_processes(rank, device, max_count=job.max_processes) as processes:
        _require_agreement(processes, training_facts())
        backbone = load_backbone(
            job.name, job.backbone, seed=job.extract.seed, size_px=job.extract.size_px, early_exit=False
        )
        key = checkpoint_key(job, backbone, device=device)
        work_dir = checkpoint_dir(checkpoints_dir, key) if processes.is_first else checkpoints_dir / key
        head = processes.from_first("start", lambda: _start(job, backbone, work_dir))
        unfrozen = unfreeze(backbone.net, job.num_trainable_layers, size_px=job.extract.size_px)
        trainer = Trainer(backbone.net, head, unfrozen, settings, balance=job.train.balance, processes=processes)
        fit_images(
            trainer,
            train=cached_images(samples.train, work_dir / _TRAIN),
            val=cached_images(samples.val, work_dir / _VAL),
            device=device,
            checkpoint_dir=work_dir,
            name=job.name,
            on_epoch=on_epoch if processes.is_first else ignore_epoch,
        )
    if rank.is_first:
        _write(job, trainer, backbone.dim, folder)
        rmtree(work_dir, ignore_errors=rank.count > 1)  # on NFS, files that another process still maps
    return summarize(trainer)


def summarize(trainer: Trainer) -> dict[str, float]:
    """The epoch that is kept, the scores on validation of what is written, and those of the start."""
    start, (val_loss, val_accuracy) = trainer.curve[0], trainer.final_scores
    return {
        "kept_epoch": trainer.kept_epoch,
        "val_loss": val_loss,
        "val_top1_accuracy": val_accuracy,
        "start_val_loss": start.val_loss,
        "start_val_top1_accuracy": start.val_top1_accuracy,
    }


def initial_head(job: FinetuneJob, backbone: Backbone) -> nn.Module:
    """The head before the first step: a linear probe of the frozen features (LP-FT), or a fresh one.

    Features of random weights say too little to begin from, and those that were extracted have another end.
    """
    settings, train, num_classes = job.finetune, job.samples.train, len(job.samples.class_names)
    if job.backbone.weights == RANDOM:
        with seeded(settings.seed):
            return nn.Linear(backbone.dim, num_classes)
    features = np.asarray(load_features(job.extracted, ids=job.samples.ids).without_tta[train.rows])
    if not settings.lp_ft:
        return networks.linear_head(torch.from_numpy(features), num_classes, dropout=0.0, seed=settings.seed)
    fold_of = stratified_group_folds(train.targets, train.groups, num_folds=job.train.folds, seed=settings.seed)
    fitted = logistic.fit_cv(features, train.targets, fold_of, balanced=job.train.balance != "none")
    return networks.linear_network(fitted.head)


def checkpoint_key(job: FinetuneJob, backbone: Backbone, *, device: torch.device) -> str:
    """Digest of all that the result of a training depends on, this program's own code apart."""
    samples = job.samples
    described = {
        "state": _STATE_VERSION,
        "name": job.name,
        "layers": job.num_trainable_layers,
        "settings": asdict(job.finetune),
        "balance": job.train.balance,
        "folds": job.train.folds,
        "size_px": job.extract.size_px,
        "resize": job.extract.resize,
        "interpolation": job.extract.interpolation,
        "weights": backbone.digest,
        "features": sha256(job.extracted / "features.npy"),
        "classes": samples.class_names,
        "samples": [samples.ids, samples.targets.tolist(), samples.groups.tolist(), samples.splits.tolist()],
        "torch": [torch.__version__, device.type, torch.get_num_threads()],
    }
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()[:32]


def cached_images(split: Split, path: Path) -> ImageSet:
    """The images of a split, which the first process has decoded to `path`. Raises ClusterError without the file."""
    if not path.is_file():
        raise ClusterError(
            f"{path} of the first process of the training is not on this machine; put the project on a disk that all "
            "machines have under the same path, such as NFS"
        )
    return ImageSet(np.load(path, mmap_mode="r"), torch.from_numpy(split.targets))


def _start(job: FinetuneJob, backbone: Backbone, work_dir: Path) -> nn.Module:
    """The first head, and the images in work_dir, decoded once."""
    sizes_px = {_TRAIN: round(job.finetune.size_px * _CACHED_RATIO), _VAL: job.extract.size_px}
    head = initial_head(job, backbone)
    for (name, size_px), split in zip(sizes_px.items(), (job.samples.train, job.samples.val), strict=True):
        batches = iter_batches(
            [job.images[row] for row in split.rows],
            size_px=size_px,
            resize=job.extract.resize,
            interpolation=job.extract.interpolation,
            batch_size=job.batch_size,
            workers=job.workers,
        )
        cache_pixels(work_dir / name, batches, count=len(split), size_px=size_px)
    return head


def _require_agreement(processes: Processes, facts: Facts) -> None:
    """Raise ClusterError where another process has other code, libraries or kernels, or another kind of processor."""
    agreed = Agreement("the training")
    for number, said in enumerate(processes.all(facts)):
        agreed.require(f"process {number}", said)


def _write(job: FinetuneJob, trainer: Trainer, dim: int, folder: Path) -> None:
    net, head = trainer.model
    tuned = Backbone(job.name, net.requires_grad_(False), dim, state_digest(net))
    with atomic_dir(folder) as temporary:
        _write_features(job, tuned, temporary)
        for stem, module in {"backbone": net, "head": head}.items():
            save_state({key: value.cpu() for key, value in module.state_dict().items()}, temporary / f"{stem}.pt")
        write_csv(temporary / "curves.csv", [asdict(epoch) for epoch in trainer.curve])


def _write_features(job: FinetuneJob, tuned: Backbone, folder: Path) -> None:
    """As the stage extract does, by the same engine."""
    engine = start_engine(
        tuned,
        engine=job.extract.engine,
        size_px=job.extract.size_px,
        batch_size=job.batch_size,
        device=job.device,
    )
    features = extract(
        job.images, engine=engine, settings=job.extract, batch_size=job.batch_size, workers=job.workers, name=job.name
    )
    meta = extraction_meta(job.name, job.backbone, job.extract, weights_sha256=tuned.digest, engine=engine.name)
    write_features(
        folder,
        ids=job.samples.ids,
        dim=tuned.dim,
        num_tta_views=job.extract.tta_views,
        batches=features,
        meta={**meta, "trainable_backbone_layers": job.num_trainable_layers},
    )
