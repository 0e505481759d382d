"""Images a second, of ours and of the usual ways that it is held against: OpenVINO as it comes, a torch loop."""

import sys
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import models, transforms

from tandem.features.backbones.torchvision import IMAGENET_MEAN, IMAGENET_STD
from tandem.types import Encoded

NUM_WORKERS = 2


def images_per_second(run: Callable[[], int]) -> float:
    started = time.perf_counter()
    return run() / (time.perf_counter() - started)


def num_images(batches: Iterable[np.ndarray]) -> int:
    return sum(len(batch) for batch in batches)


class Photographs(Dataset[torch.Tensor]):
    """As tutorials load them."""

    def __init__(self, paths: Sequence[Encoded], size_px: int) -> None:
        self.paths = paths
        self.prepare = transforms.Compose(
            [
                transforms.Resize((size_px, size_px)),
                transforms.ToTensor(),
                transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> torch.Tensor:
        return self.prepare(Image.open(BytesIO(self.paths[number].read_bytes())).convert("RGB"))


def run_torch(name: str, paths: Sequence[Encoded], *, size_px: int, batch_size: int) -> int:
    """How many images an eager fp32 network has embedded."""
    net = getattr(models, name)(weights=None).eval()
    with torch.inference_mode():
        return sum(
            len(net(batch)) for batch in DataLoader(Photographs(paths, size_px), batch_size, num_workers=NUM_WORKERS)
        )


def openvino_runner(net: nn.Module, *, size_px: int, batch_size: int, num_images: int) -> Callable[[], int]:
    """OpenVINO as it comes, for throughput, on random images in memory; as many requests at once as it asks for."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # it would report each import
    import openvino

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = openvino.convert_model(net, example_input=torch.zeros(1, size_px, size_px, 3, dtype=torch.uint8))
    model.reshape([batch_size, size_px, size_px, 3])
    queue = openvino.AsyncInferQueue(openvino.Core().compile_model(model, "CPU", {"PERFORMANCE_HINT": "THROUGHPUT"}))
    pixels = np.random.default_rng(0).integers(256, size=(batch_size, size_px, size_px, 3), dtype=np.uint8)

    def run() -> int:
        for _ in range(num_images // batch_size):
            queue.start_async([pixels], share_inputs=True)
        queue.wait_all()
        return num_images // batch_size * batch_size

    run()  # the first pass allocates
    return run
