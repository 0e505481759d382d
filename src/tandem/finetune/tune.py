"""Fine-tune the last layers of a backbone on images, and write the features that it gives then of every image."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from shutil import rmtree

import numpy as np
import torch
from torch import nn

from tandem.features.backbones.backbone import Backbone, load_backbone, state_digest
from tandem.features.device import select_device
from tandem.features.engines.engine import start_engine
from tandem.features.extract import extract, extraction_meta
from tandem.features.settings import RANDOM
from tandem.files import atomic_dir, sha256, write_csv
from tandem.finetune.batches import ImageSet
from tandem.finetune.checkpoints import checkpoint_dir
from tandem.finetune.job import FinetuneJob
from tandem.finetune.layers import unfreeze
from tandem.finetune.loop import fit_images
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

_STATE_VERSION = 3  # of checkpoints: a training does not go on with one of another layout
_CACHED_RATIO = 8 / 7  # side of a cached image over that of a crop, as of torchvision's 256 and 224


def tune(
    job: FinetuneJob, folder: Path, *, checkpoints_dir: Path, on_epoch: EpochLogger = ignore_epoch
) -> dict[str, float]:
    """Write features.npy, ids.txt, meta.json, backbone.pt, head.pt and curves.csv; the kept epoch and its scores."""
    samples = job.samples
    require_every_class(samples.labels.tolist(), samples.splits.tolist(), class_names=samples.class_names)
    device = select_device(job.device)
    backbone = load_backbone(
        job.name, job.backbone, seed=job.extract.seed, size_px=job.extract.size_px, early_exit=False
    )
    head = initial_head(job, backbone)
    work_dir = checkpoint_dir(checkpoints_dir, checkpoint_key(job, backbone, device=device))
    unfrozen = unfreeze(backbone.net, job.num_trainable_layers, size_px=job.extract.size_px)
    trainer = Trainer(backbone.net, head, unfrozen, job.finetune, balance=job.train.balance)
    train = cache_images(
        job, samples.train, work_dir / "train.npy", size_px=round(job.finetune.size_px * _CACHED_RATIO)
    )
    val = cache_images(job, samples.val, work_dir / "val.npy", size_px=job.extract.size_px)
    fit_images(trainer, train=train, val=val, device=device, checkpoint_dir=work_dir, name=job.name, on_epoch=on_epoch)
    _write(job, trainer, backbone.dim, folder)
    rmtree(work_dir)
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
        "weights": backbone.digest,
        "features": sha256(job.extracted / "features.npy"),
        "classes": samples.class_names,
        "samples": [samples.ids, samples.targets.tolist(), samples.groups.tolist(), samples.splits.tolist()],
        "torch": [torch.__version__, device.type, torch.get_num_threads()],
    }
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()[:32]


def cache_images(job: FinetuneJob, split: Split, path: Path, *, size_px: int) -> ImageSet:
    """The images of a split, decoded once to `path`."""
    batches = iter_batches(
        [job.images[row] for row in split.rows],
        size_px=size_px,
        resize=job.extract.resize,
        batch_size=job.batch_size,
        workers=job.workers,
    )
    pixels = cache_pixels(path, batches, count=len(split), size_px=size_px)
    return ImageSet(pixels, torch.from_numpy(split.targets))


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
