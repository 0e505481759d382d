"""What the bytes of features depend on, their image apart: settings, weights, code, libraries and the machine.

Known without building a network or loading a library, so that features which are there already cost neither.
"""

import hashlib
import os
import platform
from functools import cache
from pathlib import Path

from tandem.features.settings import RANDOM, BackboneSettings, ExtractSettings
from tandem.libraries import versions_of

_PACKAGE = Path(__file__).parents[1]
_CODE = ("features", "images", "seeding.py")  # of the package: what turns an image's bytes into features
_LIBRARIES = (
    "torch", "torchvision", "openvino", "onnxruntime", "numpy", "ml-dtypes", "pillow", "simplejpeg", "pi-heif",
)  # fmt: skip
# of variables that choose devices, kernels or the number of threads
_PREFIXES = (
    "ATEN_",
    "CUBLAS_",
    "CUDA_",
    "CUDNN_",
    "DNNL_",
    "KMP_",
    "MKL_",
    "NVIDIA_",
    "OMP_",
    "ONEDNN_",
    "OV_",
    "TORCH",
)
_PROCESSOR = ("vendor_id", "model name", "flags", "CPU implementer", "CPU part", "Features")  # lines of /proc/cpuinfo


def backbone_recipe(
    name: str, weights: BackboneSettings, settings: ExtractSettings, *, device: str, batch_size: int
) -> dict[str, object]:
    """Of the features of a backbone. device, batch_size: of runtime."""
    return {
        **common_recipe(settings, device=device, batch_size=batch_size),
        "architecture": weights.architecture or name,
        "weights": weights.sha256 or weights.weights,
        "seed": settings.seed if weights.weights == RANDOM else None,
        "engine": settings.engine,
    }


def common_recipe(settings: ExtractSettings, *, device: str, batch_size: int) -> dict[str, object]:
    """Of the features of any network. batch_size: on which the order of a pass's sums depends."""
    return {
        "size_px": settings.size_px,
        "resize": settings.resize,
        "tta_views": settings.tta_views,
        "device": device,
        "batch_size": batch_size,
        "code": code_digest(),
        "libraries": versions_of(_LIBRARIES),
        **_machine(),
    }


@cache
def code_digest(names: tuple[str, ...] = _CODE) -> str:
    """sha256 over the names and bytes of modules and of rooms, by their path in the package."""
    digest = hashlib.sha256()
    paths = (path for name in names for path in sorted({_PACKAGE / name, *(_PACKAGE / name).rglob("*.py")}))
    for path in paths:
        if path.is_file():
            digest.update(f"{path.relative_to(_PACKAGE).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _machine() -> dict[str, object]:
    gpus = [*Path("/proc/driver/nvidia").glob("gpus/*/information"), Path("/proc/driver/nvidia/version")]
    return {
        "system": [platform.system(), platform.machine(), platform.mac_ver()[0]],
        "processor": _digest_of_lines(Path("/proc/cpuinfo"), _PROCESSOR),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "gpus": [_digest_of_lines(path) for path in sorted(gpus) if path.exists()],
        "environment": {key: value for key, value in sorted(os.environ.items()) if key.startswith(_PREFIXES)},
    }


def _digest_of_lines(path: Path, beginnings: tuple[str, ...] = ("",)) -> str | None:
    """sha256 over the different lines of a file that begin so; None without the file."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return hashlib.sha256(
        "\n".join(sorted({line for line in lines if line.startswith(beginnings)})).encode()
    ).hexdigest()
