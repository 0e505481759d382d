"""Features and fine-tuning on a CUDA device: images a second, beside the device's own limit and beside timm.

    python benchmarks/gpu.py --images DIR [--weights FILE] [--json FILE]

DIR holds JPEG files, in folders or not, which are taken again and again until there are enough. --weights: those that
torchvision has for MobileNetV2; without them, and for ResNet-50, they are random, which costs the same time.

Features, at 224 px: ours is the stage's own path from files to features, decoding on up to eight threads. Pure compute
is the engine's own forward pass over as many images as it takes at once, which lie on the device. Decoding alone, and
features of images that are decoded, show what bounds ours.

Fine-tuning, by the settings of benchmarks/finetuning.py: ours is a training from cached pixels, its first epoch left
out. The pure step is the same step over one batch on the device. The fraction of time that the device waited for
batches counts all epochs. timm's loops are in benchmarks/timm_loops.py; without timm their lines are left out.

Prints required beside reached and exits 1 when a figure falls short. A minute and a half on an H200.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np
import torch

from extraction import BACKBONE, weights_of
from figures import Figure, at_least, conclude, make_parser, reported
from finetuning import (
    NUM_LAYERS,
    SETTINGS,
    cache_images,
    first_images,
    load_whole_backbone,
    start_training,
    waited_figure,
)
from tandem.features.backbones.backbone import Backbone
from tandem.features.engines import cuda
from tandem.features.engines.engine import MIN_COSINE, start_engine
from tandem.features.extract import extract
from tandem.features.settings import RANDOM, BackboneSettings, ExtractSettings
from tandem.finetune.batches import ImageSet
from tandem.finetune.loop import fit_images
from tandem.images.loader import iter_batches
from tandem.seeding import deterministic_cudnn
from tandem.training.loggers import Epoch
from throughput import images_per_second, num_images
from timm_loops import NAMES, images_per_second_on_device, random_batch, timm_features, timm_finetuning

EXTRACT = ExtractSettings(size_px=224, resize="squash", interpolation="bilinear", tta_views=1, engine="auto", seed=0)
SIZE_PX = EXTRACT.size_px
NUM_IMAGES = 4096
NUM_DECODED = 1024
BATCH_SIZE = 16  # of runtime
WORKERS = min(8, os.cpu_count() or 1)  # of sixteen cores, more were slower
NUM_ROUNDS = 3
NUM_VAL = 64

Forward = Callable[[torch.Tensor], torch.Tensor]  # (n, H, W, 3) uint8 to (n, D) float32


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--weights", type=Path)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("error: torch finds no CUDA device here, and this measures nothing else")
    found = sorted(path for path in arguments.images.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    if not found:
        sys.exit(f"error: {arguments.images} holds no JPEG file")
    paths = (found * -(-NUM_IMAGES // len(found)))[:NUM_IMAGES]
    figures = []
    with tempfile.TemporaryDirectory(prefix="tandem-gpu-") as work:
        train = cache_images(paths, Path(work) / "pixels.npy", batch_size=BATCH_SIZE, workers=WORKERS)
        for name in NAMES:
            is_given = arguments.weights and name == BACKBONE
            weights = weights_of(arguments.weights) if is_given else BackboneSettings(RANDOM)
            backbone = load_whole_backbone(name, weights)
            figures += measure_features(backbone, paths)
            for num_layers in NUM_LAYERS:
                figures += measure_finetuning(backbone, num_layers, train)
    print(f"\n{torch.cuda.get_device_name()}, {os.cpu_count()} cores, torch {torch.__version__}, {len(found)} files")
    if not find_spec("timm"):
        print("timm is not installed: its lines are left out")
    conclude(figures, arguments, details={"device": torch.cuda.get_device_name(), "torch": torch.__version__})


def measure_features(backbone: Backbone, paths: list[Path]) -> list[Figure]:
    name = backbone.name
    start = partial(start_engine, backbone, size_px=SIZE_PX, batch_size=BATCH_SIZE, device="cuda")
    engine, reference = start(engine="auto"), start(engine="reference")
    read = partial(
        iter_batches, size_px=SIZE_PX, resize="squash", interpolation="bilinear", batch_size=BATCH_SIZE, workers=WORKERS
    )
    run = partial(extract, paths, engine=engine, settings=EXTRACT, batch_size=BATCH_SIZE, workers=WORKERS, name=name)
    decoded = list(read(paths[:NUM_DECODED]))
    num_images(engine.embed(decoded))  # the first pass warms up
    from_files = median_rate(lambda: num_images(run()))
    decoding = median_rate(lambda: num_images(read(paths)))
    of_decoded = median_rate(lambda: num_images(engine.embed(decoded * 8)))
    on_device = torch.from_numpy(np.concatenate(decoded)[: cuda.full_batch_size(SIZE_PX)]).to("cuda")
    forward = cuda.forward(backbone.net)
    pure = images_per_second_on_device(lambda: forward(on_device), len(on_device))
    both = (np.concatenate(list(each.embed(decoded[:32]))) for each in (engine, reference))
    return [
        reported(f"{name}: features, {engine.name}, from files, images/s", from_files, ",.0f"),
        reported(f"{name}: features, decoding alone, images/s", decoding, ",.0f"),
        reported(f"{name}: features, of decoded images, images/s", of_decoded, ",.0f"),
        reported(f"{name}: features, pure compute, images/s", pure, ",.0f"),
        reported(f"{name}: features, from files over pure compute", from_files / pure, ".2f"),
        reported(f"{name}: features, of decoded images over pure compute", of_decoded / pure, ".2f"),
        at_least(f"{name}: lowest cosine to fp32", MIN_COSINE, lowest_cosine(*both), ".4f"),
        *precisions(backbone, on_device),
        *timm_features(name, pure, size_px=SIZE_PX),
    ]


def precisions(backbone: Backbone, pixels: torch.Tensor) -> list[Figure]:
    """What others than the engine's would cost, and how far they are from fp32."""

    def exact(pixels: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            return backbone.net(pixels)

    ways: dict[str, Forward] = {"float32": exact, "bfloat16": cuda.forward(backbone.net, torch.bfloat16)}
    features, figures = exact(pixels).cpu().numpy(), []
    for precision, forward in ways.items():
        cosine = lowest_cosine(forward(pixels).cpu().numpy(), features)
        speed = images_per_second_on_device(partial(forward, pixels), len(pixels))
        figures += [
            reported(f"{backbone.name}: features, pure compute in {precision}, images/s", speed, ",.0f"),
            reported(f"{backbone.name}: lowest cosine of {precision} to fp32", cosine, ".4f"),
        ]
    return figures


def measure_finetuning(backbone: Backbone, num_layers: int, train: ImageSet) -> list[Figure]:
    name, device = backbone.name, torch.device("cuda")
    ends: list[float] = []

    def note(_epoch: Epoch) -> None:
        ends.append(time.perf_counter())

    waited = fit_images(
        start_training(backbone, num_layers),
        train=train,
        val=first_images(train, NUM_VAL),
        device=device,
        checkpoint_dir=None,
        name=name,
        on_epoch=note,
    )
    epochs_s = [later - earlier for earlier, later in pairwise(ends)]
    ours = len(train.targets) / median(epochs_s[1:])
    pure = pure_step(backbone, num_layers, train, device)
    what = f"{name}, {num_layers} layers"
    return [
        reported(f"{what}: fine-tuning, images/s", ours, ",.0f"),
        reported(f"{what}: fine-tuning, pure step, images/s", pure, ",.0f"),
        reported(f"{what}: fine-tuning over the pure step", ours / pure, ".2f"),
        waited_figure(what, waited.wait_s / sum(epochs_s)),
        *(timm_finetuning(name, ours) if num_layers == max(NUM_LAYERS) else []),
    ]


def pure_step(backbone: Backbone, num_layers: int, train: ImageSet, device: torch.device) -> float:
    """Images a second of the same step over one batch that lies on the device."""
    trainer = start_training(backbone, num_layers)
    trainer.prepare(train.targets, device)
    trainer.set_train_mode()
    batch = random_batch(device)
    with deterministic_cudnn():
        return images_per_second_on_device(lambda: trainer.step(*batch), SETTINGS.batch_size)


def median_rate(run: Callable[[], int]) -> float:
    """The median of the rounds' images a second."""
    return median(images_per_second(run) for _ in range(NUM_ROUNDS))


def lowest_cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(((one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)).min())


if __name__ == "__main__":
    main()
