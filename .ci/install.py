"""Install what requirements.lock pins into the environment that runs this, with the build of torch for this machine.

    python .ci/install.py auto

PyPI has torch for Linux with 4 GB of CUDA beside it. PyTorch's own index has a build for the CPU alone, under the same
version; uv knows its address. Nothing but the standard library is imported: this runs before there is anything else.
"""

import argparse
import ctypes
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_LOCK = Path("requirements.lock")
_OF_CUDA = re.compile(r"(?:cuda-[\w-]+|nvidia-(?!ml-py=)[\w-]+|triton)(?===)")  # nvidia-ml-py is dvclive's
_OF_TORCH = re.compile(r"torch(?:vision)?==\S+")
_UV = (sys.executable, "-m", "uv", "pip")
_DRIVER_FILES = ("/sys/module/nvidia/version", "/proc/driver/nvidia/version", "/usr/lib/wsl/lib/libcuda.so.1")


def choose(
    asked: str, *, installed: str | None, is_linux: bool, has_driver: bool, can_reach: Callable[[], bool]
) -> tuple[str, str]:
    """(build, why): "cpu" or "cuda", and "default" where there is but one.

    asked: "auto", "cpu" or "cuda". installed: torch's version, where there is one. can_reach: asks PyTorch's index for
    the pinned versions. Raises SystemExit where another build than the asked one is installed.
    """
    if not is_linux:
        return "default", "the only one on this system"
    if installed:
        build = "cpu" if installed.endswith("+cpu") else "cuda"
        if asked not in ("auto", build):
            sys.exit(f"error: .venv has torch's {build} build; remove it to change that: rm -r .venv")
        return build, "installed already"
    if asked != "auto":
        return asked, "asked for"
    if has_driver:
        return "cuda", "an NVIDIA driver is here"
    if not can_reach():
        return "cuda", "no NVIDIA driver, but the index of CPU builds, which would save 4 GB, cannot be reached"
    return "cpu", "no NVIDIA driver; make TORCH=cuda takes the other one"


def arguments(build: str) -> list[str]:
    """What uv is given beside the lock; the packages to leave out come on its standard input."""
    return ["--torch-backend", "cpu", "--excludes", "-"] if build == "cpu" else []


def cuda_packages(lock: str) -> list[str]:
    """The names of a lock that torch needs for CUDA alone."""
    return [found[0] for line in lock.splitlines() if (found := _OF_CUDA.match(line))]


def has_nvidia_driver() -> bool:
    """Whether the kernel has the driver's module, or its tool or its library are there."""
    return any(Path(path).exists() for path in _DRIVER_FILES) or bool(shutil.which("nvidia-smi")) or _has_libcuda()


def _has_libcuda() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def index_has(pins: list[str]) -> bool:
    """Whether the index of CPU builds can be reached and has these versions."""
    command = [*_UV, "compile", "--quiet", "--no-deps", "--torch-backend", "cpu", "--no-header", "-"]
    return subprocess.run(command, input="\n".join(pins), text=True, capture_output=True, check=False).returncode == 0


def main() -> int:
    """Say which build it is and why, and install; uv's exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", choices=("auto", "cpu", "cuda"))
    lock = _LOCK.read_text(encoding="utf-8")
    pins = [found[0] for line in lock.splitlines() if (found := _OF_TORCH.match(line))]
    build, why = choose(
        parser.parse_args().build,
        installed=_installed(),
        is_linux=sys.platform == "linux",
        has_driver=has_nvidia_driver(),
        can_reach=lambda: index_has(pins),
    )
    print(f"torch: the {build} build ({why})", flush=True)
    options = ["--quiet", "--compile-bytecode", "--python", sys.executable, *arguments(build)]
    left_out = "\n".join(cuda_packages(lock))
    command = [*_UV, "install", *options, "--requirements", str(_LOCK)]
    return subprocess.run(command, input=left_out, text=True, check=False).returncode


def _installed() -> str | None:
    try:
        return version("torch")
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main())
