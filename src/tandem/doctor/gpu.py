"""The GPU of the machine, and whether the installed build of torch computes on it. torch runs in a process alone."""

import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tandem.doctor.findings import Diagnosis, Level

_TIMEOUT_S = 60
_ASK_TORCH = """
import torch
kinds = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
print(*(kind for kind, is_available in kinds.items() if is_available))
"""


@dataclass(frozen=True)
class Gpu:
    """names: of the GPUs that the system has, whether torch can use them or not. driver: its version, "" if unknown.

    build: what torch was built for, one of cuda, rocm, mps and cpu, with a version, such as "cuda 13.0"; "" without
    torch. usable: the kinds of device that torch finds, where it was asked.
    """

    names: tuple[str, ...]
    driver: str
    build: str
    usable: tuple[str, ...]


def look_for_gpu() -> Gpu:
    """torch is imported, in a process of its own, only where there is a GPU that its build could use."""
    names, driver = _nvidia()
    if not names and sys.platform == "darwin" and platform.machine() == "arm64":
        names = ("Apple GPU",)
    build = _build(_torch_version_file(), is_mac=sys.platform == "darwin")
    is_worth_asking = bool(names) and not build.startswith("cpu") and build != ""
    return Gpu(names, driver, build, _ask_torch() if is_worth_asking else ())


def _nvidia() -> tuple[tuple[str, ...], str]:
    """Names of NVIDIA's GPUs and the version of their driver, by nvidia-smi."""
    if not shutil.which("nvidia-smi"):
        return (), ""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return (), ""
    rows = [line.rsplit(", ", 1) for line in done.stdout.splitlines() if ", " in line] if not done.returncode else []
    return tuple(row[0] for row in rows), rows[0][1] if rows else ""


def _torch_version_file() -> str:
    spec = find_spec("torch")
    path = Path(next(iter(spec.submodule_search_locations), "")) if spec and spec.submodule_search_locations else None
    try:
        return (path / "version.py").read_text(encoding="utf-8") if path else ""
    except OSError:
        return ""


def _build(text: str, *, is_mac: bool) -> str:
    """text: of torch/version.py, "" without torch."""
    found: Mapping[str, str] = dict(re.findall(r"^(cuda|hip)\b[^=]*= '([^']+)'", text, re.MULTILINE))
    if not text:
        return ""
    if "cuda" in found:
        return f"cuda {found['cuda']}"
    return f"rocm {found['hip']}" if "hip" in found else "mps" if is_mac else "cpu"


def _ask_torch() -> tuple[str, ...]:
    command = [sys.executable, "-c", _ASK_TORCH]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(done.stdout.split()) if not done.returncode else ()


def judge_gpu(gpu: Gpu, *, device: str) -> list[Diagnosis]:
    """device: runtime.device of the project, "auto" outside of one."""
    is_needed = device in ("cuda", "mps")
    level: Level = "error" if is_needed else "note"
    if is_needed and device not in gpu.usable and not gpu.names:
        text = f"runtime.device is {device}, and no GPU is found here"
        return [Diagnosis("GPU", "error", text, "set runtime.device: auto, or install the driver of the GPU")]
    if not gpu.names:
        return [Diagnosis("GPU", "ok", "none is found; torch computes on the processor")]
    text = f"{', '.join(dict.fromkeys(gpu.names))}{f' (driver {gpu.driver})' if gpu.driver else ''}"
    if gpu.build in ("", "cpu"):
        what = f"{text} is there, and torch is a build {'for processors alone' if gpu.build else 'that is missing'}"
        return [Diagnosis("GPU", level, what, "install a build of torch for the GPU: https://pytorch.org/get-started")]
    if not gpu.usable or (is_needed and device not in gpu.usable):
        what = f"{text} is there, and torch for {gpu.build} cannot use it"
        return [Diagnosis("GPU", level, what, "update the driver, or install a build of torch for this one")]
    return [Diagnosis("GPU", "ok", f"{text}; torch for {gpu.build} computes on it")]
