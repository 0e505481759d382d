"""Features and fine-tuning on a CUDA device: images a second, beside the device's own limit and beside timm.

    python benchmarks/gpu.py --images DIR [--weights FILE] [--json FILE]

DIR holds JPEG files, in folders or not, which are taken again and again until there are enough. --weights: those that
torchvision has for MobileNetV2; without them, and for ResNet-50, they are random, which costs the same time.

Features, at 224 px: ours is the stage's own path from files to rows, decoding on up to eight threads. Pure compute is
the engine's own forward pass over as many images as it takes at once, which lie on the device. Decoding alone, and
rows of images that are decoded, tell what bounds ours.

Fine-tuning, by the preset's settings: ours is a training from cached pixels, its first epoch left out. The pure step is
the same step over one batch on the device. The share of time that the device waited for batches counts all epochs.

timm's benchmark.py and train.py are no part of its package. Their loops are here: channels last, autocast, a batch on
the device, by create_model and create_optimizer_v2; without timm these lines are left out.

Prints required beside reached and exits 1 when a figure falls short. A minute and a half on an H200.
"""

import argparse
import copy
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import nn

from figures import Figure, conclude
from tandem.features import extract
from tandem.features.backbones import backbone as backbones
from tandem.features.backbones.backbone import Backbone
from tandem.features.engines import cuda
from tandem.features.engines import engine as engines
from tandem.files import sha256
from tandem.finetune import layers as unfreezing
from tandem.finetune.augment import Augment
from tandem.finetune.loop import ImageSet, fit_images, stepper
from tandem.finetune.trainer import FinetuneSettings, Trainer
from tandem.images.loader import cache_pixels
from tandem.seeding import repeatable, seeded
from tandem.training.loggers import Epoch

NAMES = {"resnet50": "resnet50", "mobilenet_v2": "mobilenetv2_100"}  # torchvision's and timm's
SIZE_PX = 224
NUM_IMAGES = 4096
BATCH_SIZE = 16  # of runtime
WORKERS = min(8, os.cpu_count() or 1)  # of sixteen cores, more were slower
ROUNDS = 3
NUM_PASSES = 30  # of a round over what lies on the device
NUM_CLASSES = 4
NUM_VAL = 64
LAYERS = (5, 1)
MOST_WAITED = 0.05
SETTINGS = FinetuneSettings(
    lr=0.0003,
    layer_decay=0.7,
    batch_size=32,
    epochs=4,
    keep="last",
    patience=5,
    warmup_epochs=2,
    weight_decay=0.05,
    label_smoothing=0.1,
    ema_decay=0.99,
    clip_norm=1.0,
    wise_alpha=1.0,
    probe_first=False,
    mix="none",
    augment=Augment(scale=0.35, flip=True, color=0.2),
    size_px=96,
    precision="auto",
    seed=0,
    balance="sampler",
)
CACHED_PX = round(SETTINGS.size_px * 8 / 7)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("error: torch finds no CUDA device here, and this measures nothing else")
    found = sorted(path for path in arguments.images.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    if not found:
        sys.exit(f"error: {arguments.images} holds no JPEG file")
    paths = (found * -(-NUM_IMAGES // len(found)))[:NUM_IMAGES]
    figures = []
    with tempfile.TemporaryDirectory(prefix="tandem-gpu-") as work:
        train = cached(paths, Path(work) / "pixels.npy")
        for name in NAMES:
            backbone = loaded(name, arguments.weights if name == "mobilenet_v2" else None)
            figures += features(backbone, paths)
            for num_layers in LAYERS:
                figures += finetuning(backbone, num_layers, train)
    print(f"\n{torch.cuda.get_device_name()}, {os.cpu_count()} cores, torch {torch.__version__}, {len(found)} files")
    if not find_spec("timm"):
        print("timm is not installed: its lines are left out")
    conclude(figures, arguments.json)


def loaded(name: str, weights: Path | None) -> Backbone:
    given = (str(weights), sha256(weights)) if weights else (backbones.RANDOM, None)
    return backbones.load_backbone(name, weights=given[0], sha256=given[1], seed=0, size_px=SIZE_PX, early_exit=False)


def features(backbone: Backbone, paths: list[Path]) -> list[Figure]:
    name = backbone.name
    knobs = {"batch_size": BATCH_SIZE, "workers": WORKERS}
    engine = engines.start_engine(backbone, engine="auto", size_px=SIZE_PX, batch_size=BATCH_SIZE, device="cuda")
    decoded = list(extract.iter_batches(paths[:1024], size_px=SIZE_PX, resize="squash", **knobs))
    count(engine.rows(decoded))
    ours = best(
        lambda: count(extract.extract(paths, engine=engine, size_px=SIZE_PX, resize="squash", name=name, **knobs))
    )
    feed = best(lambda: count(extract.iter_batches(paths, size_px=SIZE_PX, resize="squash", **knobs)))
    ready = best(lambda: count(engine.rows(decoded * 8)))
    there = torch.from_numpy(np.concatenate(decoded)[: cuda.full_batch_size(SIZE_PX)]).to("cuda")
    forward = cuda.forward(backbone.net)
    pure = on_device(lambda: forward(there), len(there))
    exact = engines.start_engine(backbone, engine="reference", size_px=SIZE_PX, batch_size=BATCH_SIZE, device="cuda")
    cosine = least_cosine(*(np.concatenate(list(each.rows(decoded[:32]))) for each in (engine, exact)))
    return [
        told(f"{name}: features, {engine.name}, from files, images/s", ours),
        told(f"{name}: features, decoding alone", feed),
        told(f"{name}: features, of decoded images", ready),
        told(f"{name}: features, pure compute", pure),
        share(f"{name}: features, from files over pure compute", ours / pure),
        share(f"{name}: features, of decoded images over pure compute", ready / pure),
        Figure(f"{name}: lowest cosine to fp32", ">= 0.99", f"{cosine:.4f}", cosine, cosine >= engines.MIN_COSINE),
        *precisions(backbone, there),
        *timm_features(name, pure),
    ]


def precisions(backbone: Backbone, pixels: torch.Tensor) -> list[Figure]:
    """What others than the engine's would cost, and how far they are from fp32."""

    def exact(pixels: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            return backbone.net(pixels)

    rows, figures = exact(pixels).cpu().numpy(), []
    for precision, forward in {"float32": exact, "bfloat16": cuda.forward(backbone.net, torch.bfloat16)}.items():
        cosine = least_cosine(forward(pixels).cpu().numpy(), rows)
        speed = on_device(lambda forward=forward: forward(pixels), len(pixels))  # type: ignore[misc]
        figures += [
            told(f"{backbone.name}: features, pure compute in {precision}", speed),
            Figure(f"{backbone.name}: lowest cosine of {precision} to fp32", None, f"{cosine:.4f}", cosine, True),
        ]
    return figures


def finetuning(backbone: Backbone, num_layers: int, train: ImageSet) -> list[Figure]:
    name, device = backbone.name, torch.device("cuda")
    val = ImageSet(train.pixels[:NUM_VAL], train.targets[:NUM_VAL])
    moments: list[float] = []

    def note(_epoch: Epoch) -> None:
        moments.append(time.perf_counter())

    training = begun(backbone, num_layers)
    waited = fit_images(training, train=train, val=val, device=device, scratch=None, name=name, on_epoch=note)
    epochs_s = [later - earlier for earlier, later in pairwise(moments)]
    ours = len(train.targets) / median(epochs_s[1:])
    part = waited.wait_seconds / sum(epochs_s)
    training = begun(backbone, num_layers)
    training.to(device)
    unfreezing.set_train_mode(training.model, [training.model[1], *training.unfrozen.modules])
    step, batch = stepper(training, train.targets, device), batch_on(device)
    with repeatable():
        pure = on_device(lambda: step(*batch), SETTINGS.batch_size)
    what = f"{name}, {num_layers} layers"
    return [
        told(f"{what}: fine-tuning, images/s", ours),
        told(f"{what}: fine-tuning, pure step", pure),
        share(f"{what}: fine-tuning over the pure step", ours / pure),
        Figure(f"{what}: share of time waited", f"< {MOST_WAITED}", f"{part:.4f}", part, part < MOST_WAITED),
        *(timm_training(name, ours) if num_layers == max(LAYERS) else []),
    ]


def timm_features(name: str, ours: float) -> list[Figure]:
    """As the inference of timm's benchmark.py with --amp --channels-last."""
    if not find_spec("timm"):
        return []
    import timm

    net = timm.create_model(NAMES[name]).cuda().eval().to(memory_format=torch.channels_last)
    pixels = torch.randn(cuda.full_batch_size(SIZE_PX), 3, SIZE_PX, SIZE_PX, device="cuda")
    pixels = pixels.contiguous(memory_format=torch.channels_last)

    def run() -> None:
        with torch.inference_mode(), torch.autocast("cuda", torch.half):
            net(pixels)

    theirs = on_device(run, len(pixels))
    return [
        told(f"{name}: features, timm's loop, a batch on the device", theirs),
        share(f"{name}: features, pure compute over timm's", ours / theirs),
    ]


def timm_training(name: str, ours: float) -> list[Figure]:
    """As the training of timm's benchmark.py, with AdamW and in bfloat16 as ours, on batches of ours."""
    if not find_spec("timm"):
        return []
    import timm
    from timm.optim import create_optimizer_v2

    net = timm.create_model(NAMES[name], num_classes=NUM_CLASSES).cuda().to(memory_format=torch.channels_last).train()
    optimizer = create_optimizer_v2(net, opt="adamw", lr=SETTINGS.lr)
    pixels, targets = batch_on(torch.device("cuda"))
    pixels, classes, measure = pixels.permute(0, 3, 1, 2), targets.argmax(1), nn.CrossEntropyLoss()

    def run() -> None:
        optimizer.zero_grad()
        with torch.autocast("cuda", torch.bfloat16):
            output = net(pixels)
        measure(output.float(), classes).backward()
        optimizer.step()

    theirs = on_device(run, SETTINGS.batch_size)
    return [
        told(f"{name}, 5 layers: fine-tuning, timm's loop, a batch on the device", theirs),
        share(f"{name}, 5 layers: fine-tuning, ours over timm's", ours / theirs),
    ]


def cached(paths: list[Path], path: Path) -> ImageSet:
    knobs = {"batch_size": BATCH_SIZE, "workers": WORKERS}
    decoded = extract.iter_batches(paths, size_px=CACHED_PX, resize="squash", **knobs)
    pixels = cache_pixels(path, decoded, count=len(paths), size_px=CACHED_PX)
    return ImageSet(pixels, torch.arange(len(paths)) % NUM_CLASSES)


def begun(backbone: Backbone, num_layers: int) -> Trainer:
    net = copy.deepcopy(backbone.net).cpu()
    with seeded(SETTINGS.seed):
        head = nn.Linear(backbone.dim, NUM_CLASSES)
    return Trainer(net, head, unfreezing.unfreeze(net, num_layers, size_px=SIZE_PX), SETTINGS)


def batch_on(device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    pixels = torch.rand(SETTINGS.batch_size, SETTINGS.size_px, SETTINGS.size_px, 3, device=device) * 255
    return pixels, torch.eye(NUM_CLASSES, device=device)[torch.arange(SETTINGS.batch_size) % NUM_CLASSES]


def best(run: Callable[[], int]) -> float:
    """The median of the rounds' images a second."""
    return median(rate(run) for _ in range(ROUNDS))


def rate(run: Callable[[], int]) -> float:
    started = time.perf_counter()
    return run() / (time.perf_counter() - started)


def on_device(run: Callable[[], object], num_images: int) -> float:
    """Images a second by the device's clock, after it is warm."""
    rounds = []
    for _ in range(ROUNDS + 1):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(NUM_PASSES):
            run()
        end.record()
        end.synchronize()
        rounds.append(NUM_PASSES * num_images / start.elapsed_time(end) * 1000)
    return median(rounds[1:])


def count(batches: Iterable[np.ndarray]) -> int:
    return sum(len(batch) for batch in batches)


def least_cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(((one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)).min())


def told(what: str, value: float) -> Figure:
    return Figure(what, None, f"{value:,.0f}", value, True)


def share(what: str, value: float) -> Figure:
    return Figure(what, None, f"{value:.2f}", value, True)


if __name__ == "__main__":
    main()
