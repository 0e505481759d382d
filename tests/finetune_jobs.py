"""Fine-tunes of a tiny network on tiny images, for tests."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision import models

from factories import RANDOM_WEIGHTS, extract_settings, finetune_settings, train_settings
from networks import file_weights
from tandem.features.backbones.backbone import Backbone, load_backbone
from tandem.features.engines.engine import start_engine
from tandem.features.extract import extract
from tandem.features.settings import BackboneSettings
from tandem.finetune.job import FinetuneJob
from tandem.tables.features import write_features
from tandem.tables.samples import Sample, Samples

NAME = "shufflenet_v2_x0_5"
SIZE_PX, NUM_IMAGES = 32, 48


def striped_images(folder: Path) -> list[Path]:
    """Stripes, upright for even numbers and level for odd ones, of random colors, width and place."""
    paths = []
    for number in range(NUM_IMAGES):
        rng = np.random.default_rng(number)
        low, high = rng.integers(0, 100, 3), rng.integers(150, 256, 3)
        line = (np.arange(40) + rng.integers(8)) // rng.integers(3, 6) % 2
        pixels = np.where(np.broadcast_to(line[:, None], (40, 40))[..., None], low, high)
        paths.append(folder / f"{number:02}.png")
        Image.fromarray((pixels if number % 2 else pixels.swapaxes(0, 1)).astype(np.uint8)).save(paths[-1])
    return paths


def striped_samples() -> Samples:
    splits = ["train"] * 32 + ["val"] * 8 + ["test"] * 6 + [""] * 2
    rows = [Sample(f"{n:02}", ("upright", "level")[n % 2], "web", f"g{n}", split) for n, split in enumerate(splits)]
    return Samples.of(("upright", "level"), rows)


def trained_weights(folder: Path) -> BackboneSettings:
    """A network with random weights, as a file: what a trained one looks like to the code."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(1)
        torch.save(models.get_model(NAME, weights=None).state_dict(), folder / "net.pth")
    return file_weights(folder / "net.pth")


def initial_backbone(weights: BackboneSettings = RANDOM_WEIGHTS) -> Backbone:
    """The backbone as it is extracted from, and where its weights are of a file also as it is fine-tuned."""
    return load_backbone(NAME, weights, seed=0, size_px=SIZE_PX)


def finetune_job(
    images: list[Path],
    folder: Path,
    *,
    layers: int,
    weights: BackboneSettings = RANDOM_WEIGHTS,
    device: str = "cpu",
    **changes: Any,
) -> FinetuneJob:
    """A job whose frozen features are in folder/extract. changes: of the settings of the fine-tune."""
    backbone, settings, samples = initial_backbone(weights), extract_settings(size_px=SIZE_PX), striped_samples()
    engine = start_engine(backbone, engine="reference", size_px=SIZE_PX, batch_size=16, device="cpu")
    features = extract(images, engine=engine, settings=settings, batch_size=16, workers=2, name=NAME)
    meta = {"backbone": NAME}
    write_features(folder / "extract", ids=samples.ids, dim=backbone.dim, batches=features, meta=meta)
    defaults = {"lr": 0.01, "layer_decay": 0.9, "epochs": 5, "ema_decay": 0.5}
    return FinetuneJob(
        name=NAME,
        samples=samples,
        images=images,
        extracted=folder / "extract",
        backbone=weights,
        extract=settings,
        finetune=finetune_settings(**{**defaults, **changes}),
        train=train_settings(trainable_backbone_layers=layers, balance="sampler"),
        device=device,
        workers=2,
        batch_size=16,
    )
