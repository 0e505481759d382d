"""What a fine-tune needs to go on after it was killed: one file, whole or absent, of one key."""

import sys
from pathlib import Path
from typing import Any

from tandem.features.backbones.weights import load_state_dict
from tandem.files import remove_others
from tandem.state_files import save_state

_STATE = "state.pt"


def checkpoint_dir(parent: Path, key: str) -> Path:
    """The folder of `key` below parent, made if need be; those of other keys are removed: nobody goes on with them."""
    remove_others(parent, [key])
    folder = parent / key
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers, strings, and lists and dicts of them; the older state is replaced at once."""
    save_state({**state, "key": folder.name}, folder / _STATE)


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """What save_checkpoint wrote, on the CPU; None without it. One that cannot be used is named on stderr and left."""
    path = folder / _STATE
    if not path.is_file():
        return None
    try:
        state = load_state_dict(path)
        if isinstance(state, dict) and state.get("key") == folder.name:
            return state
        reason = "it is of another training"
    except ValueError as error:
        reason = str(error)
    print(f"{path} cannot be used ({reason}); the training begins at its first epoch", file=sys.stderr)  # noqa: T201
    return None
