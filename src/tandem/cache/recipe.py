"""What the bytes of a result depend on, beside its inputs and settings: code, libraries, machine and environment.

Known without loading a library, so that results which are there already do not cost that.
"""

import hashlib
import os
import platform
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from tandem.libraries import versions_of

_PACKAGE = Path(__file__).parents[1]
_OWN_CODE = "cache"  # of the package: what keeps a result is part of how it comes
# of variables that choose devices, kernels or the number of threads
_PREFIXES = (
    "ATEN_",
    "CUBLAS_",
    "CUDA_",
    "CUDNN_",
    "DNNL_",
    "KMP_",
    "MKL_",
    "NPY_",
    "NVIDIA_",
    "OMP_",
    "ONEDNN_",
    "OPENBLAS_",
    "OPENCV_",
    "OV_",
    "TORCH",
)
# of these: what names a folder, or what libraries set themselves when they are imported, and their children inherit
_NO_CHOICE = ("KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK", "TORCHINDUCTOR_CACHE_DIR", "TORCH_HOME")
_VISIBLE_GPUS = "CUDA_VISIBLE_DEVICES"
_PROCESSOR = ("vendor_id", "model name", "flags", "CPU implementer", "CPU part", "Features")  # lines of /proc/cpuinfo


def circumstances(code: Iterable[str], libraries: Iterable[str]) -> dict[str, object]:
    """For a recipe. code: modules and rooms by their path in the package. libraries: names of packages."""
    return {"code": code_digest((_OWN_CODE, *code)), "libraries": versions_of(libraries), **_machine()}


@cache
def code_digest(names: tuple[str, ...]) -> str:
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
        "environment": kernel_choices(),
    }


def kernel_choices() -> dict[str, str]:
    """Of this process's environment, what chooses devices, kernels and the number of threads."""
    return {name: value for name, value in sorted(os.environ.items()) if _is_choice(name)}


def make_kernel_choices(choices: Mapping[str, str]) -> None:
    """Make this process's environment choose as that of another one, before the libraries that read it are loaded.

    Which GPUs it sees stays: what shares them out among processes has said so.
    """
    for name in [name for name in os.environ if _is_choice(name) and name != _VISIBLE_GPUS and name not in choices]:
        del os.environ[name]
    os.environ.update({name: value for name, value in choices.items() if name != _VISIBLE_GPUS})


def _is_choice(name: str) -> bool:
    return name.startswith(_PREFIXES) and name not in _NO_CHOICE


def _digest_of_lines(path: Path, beginnings: tuple[str, ...] = ("",)) -> str | None:
    """sha256 over the different lines of a file that begin so; None without the file."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return hashlib.sha256(
        "\n".join(sorted({line for line in lines if line.startswith(beginnings)})).encode()
    ).hexdigest()
