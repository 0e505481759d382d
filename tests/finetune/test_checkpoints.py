"""A state comes back as it was; what cannot be used is told and left aside."""

from pathlib import Path

import pytest
import torch

from tandem.finetune import checkpoints


def test_a_state_comes_back_and_folders_of_other_keys_go(tmp_path: Path) -> None:
    checkpoints.save_checkpoint(checkpoints.checkpoint_dir(tmp_path, "old"), {"epoch": 1})
    folder = checkpoints.checkpoint_dir(tmp_path, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    assert checkpoints.load_checkpoint(folder) is None
    checkpoints.save_checkpoint(folder, {"epoch": 3, "weights": torch.arange(3)})
    found = checkpoints.load_checkpoint(checkpoints.checkpoint_dir(tmp_path, "new"))
    assert found["epoch"] == 3
    assert torch.equal(found["weights"], torch.arange(3))


@pytest.mark.parametrize("damage", ["torn", "foreign", "text"])
def test_what_cannot_be_used_is_told_in_one_line(damage: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder, other = checkpoints.checkpoint_dir(tmp_path, "a"), checkpoints.checkpoint_dir(tmp_path / "x", "b")
    checkpoints.save_checkpoint(folder, {"epoch": 3})
    checkpoints.save_checkpoint(other, {"epoch": 3})
    path = folder / "state.pt"
    data = {"torn": path.read_bytes()[:200], "foreign": (other / "state.pt").read_bytes(), "text": b"no state"}[damage]
    path.write_bytes(data)
    assert checkpoints.load_checkpoint(folder) is None
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"{path} cannot be used (" in said
    assert "begins at its first epoch" in said
