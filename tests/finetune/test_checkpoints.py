"""A state comes back as it was; what cannot be used is named and left aside."""

import re
from pathlib import Path

import pytest
import torch

from tandem.finetune.checkpoints import checkpoint_dir, load_checkpoint, save_checkpoint


def test_a_state_comes_back_and_folders_of_other_keys_go(tmp_path: Path) -> None:
    save_checkpoint(checkpoint_dir(tmp_path, "old"), {"epoch": 1})
    folder = checkpoint_dir(tmp_path, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    assert load_checkpoint(folder) is None
    save_checkpoint(folder, {"epoch": 3, "weights": torch.arange(3)})
    state = load_checkpoint(checkpoint_dir(tmp_path, "new"))
    assert state["epoch"] == 3
    assert torch.equal(state["weights"], torch.arange(3))


@pytest.mark.parametrize(
    ("damage", "reason"), [("torn", ".+"), ("foreign", "it is of another training"), ("text", ".+")]
)
def test_a_state_that_cannot_be_used_is_named_in_one_line(
    damage: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder, other = checkpoint_dir(tmp_path, "a"), checkpoint_dir(tmp_path / "x", "b")
    save_checkpoint(folder, {"epoch": 3})
    save_checkpoint(other, {"epoch": 3})
    path = folder / "state.pt"
    data = {"torn": path.read_bytes()[:200], "foreign": (other / "state.pt").read_bytes(), "text": b"no state"}[damage]
    path.write_bytes(data)
    assert load_checkpoint(folder) is None
    [line] = capsys.readouterr().err.splitlines()
    assert re.fullmatch(rf"{path} cannot be used \({reason}\); the training begins at its first epoch", line)
