"""timm's loops on a CUDA device, and its images a second by the device's clock.

timm's benchmark.py and train.py are no part of its package. Their loops are here: channels last, autocast, a batch on
the device, by create_model and create_optimizer_v2. Nothing where timm is not installed.
"""

from collections.abc import Callable
from importlib.util import find_spec
from statistics import median

import torch
from torch import nn

from figures import Figure, reported
from finetuning import NUM_CLASSES, SETTINGS
from tandem.features.engines.cuda import full_batch_size

NAMES = {"resnet50": "resnet50", "mobilenet_v2": "mobilenetv2_100"}  # torchvision's and timm's
NUM_ROUNDS = 3
NUM_PASSES = 30  # of a round


def timm_features(name: str, ours: float, *, size_px: int) -> list[Figure]:
    """As the inference of timm's benchmark.py with --amp --channels-last. ours: images/s of pure compute."""
    if not find_spec("timm"):
        return []
    import timm

    net = timm.create_model(NAMES[name]).cuda().eval().to(memory_format=torch.channels_last)
    pixels = torch.randn(full_batch_size(size_px), 3, size_px, size_px, device="cuda")
    pixels = pixels.contiguous(memory_format=torch.channels_last)

    def run() -> None:
        with torch.inference_mode(), torch.autocast("cuda", torch.half):
            net(pixels)

    theirs = images_per_second_on_device(run, len(pixels))
    return [
        reported(f"{name}: features, timm's loop, a batch on the device, images/s", theirs, ",.0f"),
        reported(f"{name}: features, pure compute over timm's", ours / theirs, ".2f"),
    ]


def timm_finetuning(name: str, ours: float) -> list[Figure]:
    """As the training of timm's benchmark.py, with AdamW and in bfloat16 as ours, on batches of ours."""
    if not find_spec("timm"):
        return []
    import timm
    from timm.optim import create_optimizer_v2  # type: ignore[attr-defined]

    net = timm.create_model(NAMES[name], num_classes=NUM_CLASSES).cuda().to(memory_format=torch.channels_last).train()
    optimizer = create_optimizer_v2(net, opt="adamw", lr=SETTINGS.lr)
    pixels, targets = random_batch(torch.device("cuda"))
    pixels, classes, loss = pixels.permute(0, 3, 1, 2), targets.argmax(1), nn.CrossEntropyLoss()

    def run() -> None:
        optimizer.zero_grad()
        with torch.autocast("cuda", torch.bfloat16):
            output = net(pixels)
        loss(output.float(), classes).backward()
        optimizer.step()

    theirs = images_per_second_on_device(run, SETTINGS.batch_size)
    return [
        reported(f"{name}, 5 layers: fine-tuning, timm's loop, a batch on the device, images/s", theirs, ",.0f"),
        reported(f"{name}, 5 layers: fine-tuning, ours over timm's", ours / theirs, ".2f"),
    ]


def random_batch(device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels and soft targets of one step of a fine-tune."""
    pixels = torch.rand(SETTINGS.batch_size, SETTINGS.size_px, SETTINGS.size_px, 3, device=device) * 255
    return pixels, torch.eye(NUM_CLASSES, device=device)[torch.arange(SETTINGS.batch_size) % NUM_CLASSES]


def images_per_second_on_device(run: Callable[[], object], num_images: int) -> float:
    """By the device's clock, after it is warm; the median of the rounds."""
    rounds = []
    for _ in range(NUM_ROUNDS + 1):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(NUM_PASSES):
            run()
        end.record()
        end.synchronize()
        rounds.append(NUM_PASSES * num_images / start.elapsed_time(end) * 1000)
    return median(rounds[1:])
