"""State dicts: downloaded, checked by their digest, read as data alone, and loaded into a classifier."""

import errno
import pickle
from http.client import HTTPException
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tandem.errors import WeightsError
from tandem.features.backbones.provider import StateDict
from tandem.features.backbones.weights_file import require_weights_file
from tandem.files import first_line, reading

# all that damaged bytes make the unpickler raise
_DAMAGE = (
    pickle.UnpicklingError, RuntimeError, EOFError, LookupError, ValueError, TypeError, AttributeError,
)  # fmt: skip


def load_state_dict(path: Path) -> Any:
    """Tensors, numbers, strings, and lists and dicts of them, on the CPU; runs no code that a file may hold.

    Raises ValueError with one line where the file is not that.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except _DAMAGE as error:
        raise ValueError(first_line(error)) from None
    except OSError as error:
        if error.errno != errno.EINVAL:  # of a place before the file's beginning, which a cut file may name
            raise
        raise ValueError("it is cut") from None


def restore(net: nn.Module, path: Path) -> None:
    """Load all of a network's state from a file that a stage wrote. Raises DamagedFileError."""
    with reading(path):
        try:
            net.load_state_dict(load_state_dict(path))
        except RuntimeError as error:  # of torch, where names or shapes are others
            raise ValueError(str(error).splitlines()[-1].strip()) from None


def read_weights(path: Path, *, digest: str) -> StateDict:
    """Name -> tensor of a file whose sha256 begins with `digest`. Raises WeightsError."""
    require_weights_file(path, digest=digest)
    try:
        state = load_state_dict(path)
    except ValueError as error:
        raise WeightsError(
            f"{path} is not a state dict that torch can read safely ({error}); save net.state_dict() by torch.save"
        ) from None
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in state.items()
    ):
        raise WeightsError(
            f"{path} does not hold a plain state dict (names to tensors), as torchvision's own files do; "
            "save net.state_dict() by torch.save"
        )
    return state


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
            f"could not download {described} ({error}); with a network run again, or put the file {path.name} "
            f"from {url} into {path.parent} by hand"
        ) from None
    return path, digest


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
            f"{described}: {str(error).splitlines()[-1].strip()}; name the architecture that they belong to"
        ) from None
    missing = [key for key in found.missing_keys if not key.startswith(f"{last_layer}.")]
    if missing or found.unexpected_keys:
        raise WeightsError(
            f"{described}: {len(missing)} tensors are missing (first: {missing[:1]}), {len(found.unexpected_keys)} are "
            f"of something else (first: {found.unexpected_keys[:1]}); name the architecture that they belong to"
        )
