"""What keeps the pipeline fast, counted and not timed: passes, reads of files, and what a stage's start imports.

Which stages run again after a change, and that none does after no change, is counted in test_pipeline.py.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from factories import extract_settings
from tandem.features.backbones.backbone import Backbone
from tandem.features.engines.engine import start_engine
from tandem.features.extract import extract

ROOT = Path(__file__).resolve().parents[2]
HEAVY = (
    "torch",
    "torch._dynamo",
    "torchvision",
    "fiftyone",
    "openvino",
    "sklearn",
    "scipy",
    "scipy.optimize",
    "scipy.stats",
    "cv2",
    "faiss",
    "kaggle",
    "roboflow",
    "PIL",
    "onnx",
    "onnxruntime",
    "google.protobuf",
    "pandas",
    "matplotlib",
    "requests",
    "pymongo",
    "psutil",
)
# Stage -> what its start brings in that no stage above it has.
BROUGHT = {
    "check": [],
    "finetune": [],
    "download": ["PIL", "requests"],
    "ingest": [],
    "merge": [],
    "evaluate": [],
    "train": [],
    "study": [],
    "ensemble": [],
    "repeated_splits": [],
    "ood": [],
    "export": [],  # ONNX where it writes the model, and not before
    "label_errors": [],  # scipy.optimize where it fits, and not before
    "curate": [],  # OpenCV, scikit-learn and SciPy where it compares and groups, and not before
    "extract": [],  # torch and an engine where features are missing, and not before
    "convert": [],  # torch where a backbone has no graph yet, and not before
}
IMPORT_ALL = """
import json, runpy, sys
sys.path.insert(0, "stages")
heavy, stages = map(json.loads, sys.argv[1:])
seen, brought = set(), {}
for stage in stages:
    runpy.run_path(f"stages/{stage}.py", run_name="imported")
    brought[stage] = [name for name in heavy if name in sys.modules and name not in seen]
    seen.update(brought[stage])
print(json.dumps(brought))
"""


def test_the_start_of_a_stage_imports_what_it_needs_and_nothing_heavy_beside_it() -> None:
    command = [sys.executable, "-c", IMPORT_ALL, json.dumps(HEAVY), json.dumps(list(BROUGHT))]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=120)
    assert json.loads(done.stdout) == BROUGHT
    assert sorted(BROUGHT) == sorted(script.stem for script in (ROOT / "stages").glob("[!_]*.py"))


class MeanColors(nn.Module):
    """A backbone that counts its passes and the images in them."""

    def __init__(self) -> None:
        super().__init__()
        self.batch_sizes: list[int] = []

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        self.batch_sizes.append(len(pixels))
        return pixels.float().mean((1, 2))


class CountedPath(type(Path())):  # type: ignore[misc] # a path of this system
    """A path that counts how often its file is read."""

    reads: ClassVar[list[str]] = []

    def read_bytes(self) -> bytes:
        self.reads.append(self.name)
        return super().read_bytes()


@pytest.fixture
def paths(tmp_path: Path) -> Iterator[list[Path]]:
    CountedPath.reads.clear()
    paths = [CountedPath(tmp_path / f"{number:02}.jpg") for number in range(11)]
    for number, path in enumerate(paths):
        Image.new("RGB", (40, 30), (20 * number, 0, 0)).save(path)
    yield paths
    CountedPath.reads.clear()


def test_extraction_reads_and_computes_each_image_once_in_whole_batches(paths: list[Path]) -> None:
    net = MeanColors()
    backbone = Backbone("means", net, 3, "")
    engine = start_engine(backbone, engine="reference", size_px=32, batch_size=4, device="cpu")
    features = extract(paths, engine=engine, settings=extract_settings(), batch_size=4, workers=2, name="means")
    assert len(np.concatenate(list(features))) == 11
    assert sorted(CountedPath.reads) == [path.name for path in paths]
    assert net.batch_sizes == [4, 4, 4]  # the last is padded
