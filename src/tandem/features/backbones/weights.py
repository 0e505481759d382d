"""State dicts: downloaded, checked by their digest, read as data alone, and loaded into a classifier."""

import errno
import pickle
import re
import warnings
from collections.abc import Collection
from http.client import HTTPException
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from torch.nn.modules.utils import consume_prefix_in_state_dict_if_present

from tandem.errors import WeightsError
from tandem.features.backbones.provider import StateDict
from tandem.features.backbones.weights_file import require_weights_file
from tandem.files import first_line, reading

_TERMINAL_CODES = re.compile(r"\x1b\[[0-9;]*m")
_PICKLED = re.compile(r"GLOBAL ([\w.]+)")  # in what torch's unpickler says of the first class that it does not build
_HOLDS, _PICKLE, _SCRIPT = "holds", "a pickled object of", "a TorchScript program"
_MAX_WRAPPERS = 3  # around one another
# all that damaged bytes make the unpickler raise
_DAMAGE = (
    pickle.UnpicklingError, RuntimeError, EOFError, LookupError, ValueError, TypeError, AttributeError,
)  # fmt: skip


def load_state_dict(path: Path) -> Any:
    """Tensors, numbers, strings, and lists and dicts of them, on the CPU; runs no code that a file may hold.

    Raises ValueError with one line where the file is not that.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # of formats, which are refused all the same
            return torch.load(path, map_location="cpu", weights_only=True)
    except _DAMAGE as error:
        raise ValueError(_read_in_words(error)) from None
    except OSError as error:
        if error.errno != errno.EINVAL:  # of a place before the file's beginning, which a cut file may name
            raise
        raise ValueError("it is cut") from None


def _read_in_words(error: Exception) -> str:
    """One line without terminal codes, and without torch's advice to read a file in a way that runs its code."""
    text = " ".join(_TERMINAL_CODES.sub("", str(error)).split())
    if found := _PICKLED.search(text):
        return f"{_PICKLE} {found[1]}"
    if "TorchScript" in text:
        return _SCRIPT
    return "torch.save wrote no such bytes" if "weights_only" in text else first_line(error)


def restore(net: nn.Module, path: Path) -> None:
    """Load all of a network's state from a file that a stage wrote. Raises DamagedFileError."""
    with reading(path):
        try:
            net.load_state_dict(load_state_dict(path))
        except RuntimeError as error:  # of torch, where names or shapes are others
            raise ValueError(str(error).splitlines()[-1].strip()) from None


def read_weights(path: Path, *, digest: str) -> StateDict:
    """Name -> tensor of a file whose sha256 begins with `digest`. Raises WeightsError.

    A state dict within a checkpoint is taken out of it, where it holds one. Runs no code that the file may hold.
    """
    require_weights_file(path, digest=digest)
    try:
        state = _unwrapped(load_file(path) if path.suffix == ".safetensors" else load_state_dict(path))
    except (ValueError, SafetensorError) as error:
        raise WeightsError(f"{path} {_flaw(error)}; save net.state_dict() by torch.save") from None
    return state


def _flaw(error: Exception) -> str:
    """What a file is that holds no state dict, in our words."""
    text = str(error)
    if text.startswith(_PICKLE):
        return f"{_HOLDS} {text}, such as a whole model; reading that could run any code. Load it where it was made"
    if text == _SCRIPT:
        return f"{_HOLDS} {text}, not a state dict. Load it where it was made"
    return text if text.startswith(_HOLDS) else f"is not a state dict that torch can read safely ({text})"


def _unwrapped(value: Any) -> StateDict:
    """The one state dict in what a file holds. Raises ValueError that says what it holds instead."""
    if _is_state(value):
        return value
    if not isinstance(value, dict):
        raise ValueError(f"{_HOLDS} a {type(value).__name__}, not a plain state dict (names to tensors)")
    states = {key: inner for key, inner in value.items() if isinstance(inner, dict) and inner and _is_state(inner)}
    if len(states) == 1:
        return next(iter(states.values()))
    keys = ", ".join(map(str, list(value)[:8]))
    found = f"{len(states)} state dicts ({', '.join(map(str, states))})" if states else f"the keys {keys or 'none'}"
    raise ValueError(f"{_HOLDS} {found}, not a plain state dict (names to tensors)")


def _is_state(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(key, str) and isinstance(item, torch.Tensor) for key, item in value.items()
    )


def strip_prefix(state: StateDict, names: Collection[str]) -> None:
    """Take away, in place, what wrappers put before all names of a state: module. of DataParallel, model., _orig_mod.

    names: those that the network has; a state that has one of them stays as it is.
    """
    for _ in range(_MAX_WRAPPERS):
        tops = {key.partition(".")[0] for key in state}
        if len(tops) != 1 or not state.keys().isdisjoint(names):
            return
        consume_prefix_in_state_dict_if_present(state, f"{tops.pop()}.")  # type: ignore[arg-type]


def download_weights(url: str, *, described: str) -> tuple[Path, str]:
    """The file in torch's cache, fetched if need be, and what its sha256 begins with. Raises WeightsError."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    digest = path.stem.rsplit("-", 1)[-1]  # torch's convention: <name>-<first digits of its sha256>.pth
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), hash_prefix=digest, progress=False)
    except (OSError, HTTPException, RuntimeError) as error:
        raise WeightsError(
            f"could not download {described} ({_reason(error)}); with a network run again, or put the file {path.name} "
            f"from {url} into {path.parent} by hand"
        ) from None
    return path, digest


def _reason(error: Exception) -> str:
    """Why a download failed, without what urllib puts around it."""
    reason = getattr(error, "reason", error)
    return str(getattr(reason, "strerror", None) or reason)


def fill(net: nn.Module, state: StateDict, *, last_layer: str, described: str) -> None:
    """Load all but the last layer, which may have any size in `state`. Raises WeightsError where the rest does not fit.

    state: changed in place, since what torch keeps on it beside the tensors, the versions of the layers, must stay:
    some networks read old files by it.
    """
    for key in [key for key in state if key.startswith(f"{last_layer}.")]:
        del state[key]
    try:
        found = net.load_state_dict(state, strict=False)
    except (RuntimeError, ValueError) as error:
        raise WeightsError(
            f"{described}: {str(error).splitlines()[-1].strip().rstrip('.')}; name the architecture that they belong to"
        ) from None
    missing = [key for key in found.missing_keys if not key.startswith(f"{last_layer}.")]
    if missing or found.unexpected_keys:
        raise WeightsError(
            f"{described}: {len(missing)} tensors are missing (first: {missing[:1]}), {len(found.unexpected_keys)} are "
            f"of something else (first: {found.unexpected_keys[:1]}); name the architecture that they belong to"
        )
