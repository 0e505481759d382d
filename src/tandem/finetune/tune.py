"""Fine-tune the last layers of a backbone on images, and write what the tuned one makes of every image."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import torch
from torch import nn

from tandem.features import extract as extraction
from tandem.features.backbones import backbone as backbones
from tandem.features.backbones.backbone import Backbone
from tandem.features.engines import engine as engines
from tandem.features.settings import RANDOM
from tandem.files import atomic_dir, atomic_file, sha256, write_csv
from tandem.finetune import checkpoints
from tandem.finetune import layers as unfreezing
from tandem.finetune.job import FinetuneJob
from tandem.finetune.loop import ImageSet, fit_images
from tandem.finetune.trainer import Trainer
from tandem.images.loader import cache_pixels
from tandem.seeding import seeded
from tandem.tables.features import load_features, write_features
from tandem.tables.splits import require_every_class, stratified_group_folds
from tandem.training import logistic, networks
from tandem.training.loggers import EpochLogger, ignore_epoch

_STATE = 3  # of what a killed training left: one of another layout is not gone on with
_CACHED_FRACTION = 8 / 7  # side of a cached image over that of a crop, as of torchvision's 256 and 224


def tune(
    job: FinetuneJob, folder: Path, *, checkpoints_dir: Path, on_epoch: EpochLogger = ignore_epoch
) -> dict[str, float]:
    """Write features.npy, ids.txt, meta.json, backbone.pt, head.pt and curves.csv; the kept epoch and its scores."""
    samples = job.samples
    require_every_class(samples.labels.tolist(), samples.splits.tolist(), class_names=samples.class_names)
    device = select_device(job.device)
    backbone, head = start_trainer(job)
    scratch = checkpoints.checkpoint_dir(checkpoints_dir, checkpoint_key(job, backbone, device=device))
    unfrozen = unfreezing.unfreeze(backbone.net, job.num_layers, size_px=job.extract.size_px)
    training = Trainer(backbone.net, head, unfrozen, job.finetune, balance=job.train.balance)
    train, val = load_images(job, scratch)
    fit_images(training, train=train, val=val, device=device, scratch=scratch, name=job.name, on_epoch=on_epoch)
    _write(job, training, backbone, folder)
    rmtree(scratch)
    return finetune_summary(training)


def finetune_summary(training: Trainer) -> dict[str, float]:
    """The epoch that is kept, the scores on validation of what is written, and those of the start."""
    first, (val_loss, val_accuracy) = training.curve[0], training.final
    return {
        "kept_epoch": training.kept_epoch,
        "val_loss": val_loss,
        "val_top1_accuracy": val_accuracy,
        "start_val_loss": first.val_loss,
        "start_val_top1_accuracy": first.val_top1_accuracy,
    }


def start_trainer(job: FinetuneJob) -> tuple[Backbone, nn.Module]:
    """The backbone as it is before the first step, and a head: a probe of its frozen features, or a fresh one.

    Features of random weights say too little to begin from, and those that were extracted have another end.
    """
    backbone = backbones.load_backbone(
        job.name, job.backbone, seed=job.extract.seed, size_px=job.extract.size_px, early_exit=False
    )
    settings = job.finetune
    x, targets = load_features(job.extracted, ids=job.samples.ids).x, job.samples.train.targets
    num_classes = len(job.samples.class_names)
    if job.backbone.weights == RANDOM:
        with seeded(settings.seed):
            return backbone, nn.Linear(backbone.dim, num_classes)
    rows = np.asarray(x[job.samples.train.rows])
    if not settings.lp_ft:
        return backbone, networks.linear_head(torch.from_numpy(rows), num_classes, dropout=0.0, seed=settings.seed)
    balanced = job.train.balance != "none"
    fold_of = stratified_group_folds(targets, job.samples.train.groups, num_folds=job.train.folds, seed=settings.seed)
    return backbone, networks.logistic_head(logistic.fit_cv(rows, targets, fold_of, balanced=balanced).head)


def checkpoint_key(job: FinetuneJob, backbone: Backbone, *, device: torch.device) -> str:
    """Digest of all that the result of a training depends on, this program's own code apart."""
    samples = job.samples
    described = {
        "state": _STATE,
        "name": job.name,
        "layers": job.num_layers,
        "settings": asdict(job.finetune),
        "balance": job.train.balance,
        "folds": job.train.folds,
        "size_px": job.extract.size_px,
        "resize": job.extract.resize,
        "weights": backbone.digest,
        "features": sha256(job.extracted / "features.npy"),
        "classes": job.samples.class_names,
        "samples": [samples.ids, samples.targets.tolist(), samples.groups.tolist(), samples.splits.tolist()],
        "torch": [torch.__version__, device.type, torch.get_num_threads()],
    }
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()[:32]


def load_images(job: FinetuneJob, scratch: Path) -> tuple[ImageSet, ImageSet]:
    """Those of train, somewhat larger than the crops that are drawn of them, and those of validation as extracted."""
    sizes = {"train": round(job.finetune.size_px * _CACHED_FRACTION), "val": job.extract.size_px}
    train, val = (_cached(job, split, size_px, scratch / f"{split}.npy") for split, size_px in sizes.items())
    return train, val


def _cached(job: FinetuneJob, split: str, size_px: int, path: Path) -> ImageSet:
    rows = job.samples.split(split).rows
    decoded = extraction.iter_batches(
        [job.images[row] for row in rows],
        size_px=size_px,
        resize=job.extract.resize,
        batch_size=job.batch_size,
        workers=job.workers,
    )
    pixels = cache_pixels(path, decoded, count=len(rows), size_px=size_px)
    return ImageSet(pixels, torch.from_numpy(job.samples.split(split).targets))


def _write(job: FinetuneJob, training: Trainer, frozen: Backbone, folder: Path) -> None:
    net, head = training.model
    tuned = Backbone(job.name, net.requires_grad_(False), frozen.dim, backbones.state_digest(net))
    origin = {"backbone": job.name, "weights": job.backbone.weights, "weights_sha256": tuned.digest}
    meta = {**origin, **_transform(job), "trainable_backbone_layers": job.num_layers}
    with atomic_dir(folder) as temporary:
        _write_rows(job, tuned, temporary, meta)
        for stem, module in {"backbone": net, "head": head}.items():
            with atomic_file(temporary / f"{stem}.pt") as path, path.open("wb") as file:
                torch.save({key: value.cpu() for key, value in module.state_dict().items()}, file)
        write_csv(temporary / "curves.csv", [asdict(epoch) for epoch in training.curve])


def _write_rows(job: FinetuneJob, tuned: Backbone, folder: Path, meta: dict[str, object]) -> None:
    """As the stage extract does, by the same engine."""
    engine = engines.start_engine(
        tuned,
        engine=job.extract.engine,
        size_px=job.extract.size_px,
        batch_size=job.batch_size,
        device=job.device,
    )
    rows = extraction.extract(
        job.images, engine=engine, settings=job.extract, batch_size=job.batch_size, workers=job.workers, name=job.name
    )
    made = {**meta, "engine": engine.name}
    write_features(folder, ids=job.samples.ids, dim=tuned.dim, tta_views=job.extract.tta_views, batches=rows, meta=made)


def _transform(job: FinetuneJob) -> dict[str, Any]:
    extract = job.extract
    return {"size_px": extract.size_px, "resize": extract.resize, "tta_views": extract.tta_views}
