"""What the fine-tuning loop learns and keeps, and that a kill changes nothing."""

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.nn import functional

from finetune_jobs import finetune_job
from tandem.errors import DataError
from tandem.evaluation.calibration import fit_temperature
from tandem.features.settings import BackboneSettings
from tandem.files import list_files, read_csv
from tandem.finetune.batches import ImageSet
from tandem.finetune.finetune import finetune
from tandem.finetune.loop import score_images
from tandem.training.loggers import Epoch, open_logger

DRIVER = """
import pickle, sys, torch
from pathlib import Path
from tandem.finetune.finetune import finetune
from tandem.training.loggers import open_logger
torch.set_num_threads(1)
root = Path(sys.argv[1])
job = pickle.loads((root / "job.pickle").read_bytes())
with open_logger("tensorboard", root / "log") as logger:
    finetune(job, root / "out", checkpoints_dir=root / "checkpoints", on_epoch=logger("net"))
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in list_files(folder)}


def test_scores_are_the_accuracy_and_the_loss_at_the_best_temperature_over_all_images() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (70, 4, 4, 3), dtype=np.uint8)
    targets = torch.arange(70) % 3

    class Colors(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return pixels.float().mean((1, 2)) / 10

    logits = torch.from_numpy(pixels).float().mean((1, 2)) / 10
    temperature = fit_temperature(logits.numpy(), targets.numpy())
    loss, accuracy = score_images(Colors().train(), ImageSet(pixels, targets), torch.device("cpu"))
    assert loss == pytest.approx(functional.cross_entropy(logits / temperature, targets).item(), abs=1e-6)
    assert accuracy == pytest.approx((logits.argmax(1) == targets).float().mean().item())


def test_a_loss_that_is_not_finite_says_what_to_lower(
    images: list[Path], trained_weights: BackboneSettings, tmp_path: Path
) -> None:
    changes = {"lr": 1e30, "clip_norm": 1e30, "warmup_epochs": 0}
    tuned = finetune_job(images, tmp_path, layers=1, weights=trained_weights, **changes)
    with pytest.raises(DataError, match=r"the loss is not finite in epoch \d .*take a lower finetune\.lr"):
        finetune(tuned, tmp_path / "out", checkpoints_dir=tmp_path / "checkpoints")


def test_the_best_epoch_is_kept_or_the_last_and_patience_ends_a_training(images: list[Path], tmp_path: Path) -> None:
    worse = {"lr": 2.0, "warmup_epochs": 0, "epochs": 3, "patience": 1}  # from the start on only worse
    best, last = (
        finetune(
            finetune_job(images, tmp_path / keep, layers=5, keep=keep, **worse),
            tmp_path / keep / "out",
            checkpoints_dir=tmp_path / "checkpoints",
        )
        for keep in ("best", "last")
    )
    assert (best["kept_epoch"], last["kept_epoch"]) == (0, 3)
    assert last["val_loss"] > best["val_loss"] == best["start_val_loss"]
    assert best["start_val_loss"] == last["start_val_loss"]
    epochs = {keep: len(read_csv(tmp_path / keep / "out" / "curves.csv")) - 1 for keep in ("best", "last")}
    assert epochs == {"best": 1, "last": 3}


def test_wise_alpha_leaves_the_start_at_0_and_the_middle_at_a_half(images: list[Path], tmp_path: Path) -> None:
    states, summaries = {}, {}
    for alpha in (0.0, 0.5, 1.0):
        folder = tmp_path / str(alpha)
        tuned = finetune_job(images, folder, layers=5, keep="last", epochs=1, wise_alpha=alpha)
        summaries[alpha] = finetune(tuned, folder / "out", checkpoints_dir=folder / "checkpoints")
        states[alpha] = torch.load(folder / "out" / "backbone.pt", weights_only=True)
    assert summaries[0.0]["val_loss"] == summaries[0.0]["start_val_loss"]
    key = next(key for key, value in states[1.0].items() if not torch.equal(value, states[0.0][key]))
    assert torch.allclose(states[0.5][key], (states[0.0][key] + states[1.0][key]) / 2, atol=1e-7)


class Killed(Exception):
    """Stands for a kill."""


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device here")
@pytest.mark.parametrize("precision", ["auto", "float32"])
def test_on_cuda_a_training_ends_with_the_same_bytes_each_time_also_after_a_kill(
    images: list[Path], tmp_path: Path, precision: str
) -> None:
    def kill(epoch: Epoch) -> None:
        if epoch.epoch == 2:
            raise Killed

    tuned = finetune_job(images, tmp_path, layers=5, device="cuda", precision=precision, epochs=8, patience=8)
    summary = finetune(tuned, tmp_path / "one", checkpoints_dir=tmp_path / "other")
    assert summary["val_loss"] < summary["start_val_loss"]
    assert finetune(tuned, tmp_path / "two", checkpoints_dir=tmp_path / "other") == summary
    with pytest.raises(Killed):
        finetune(tuned, tmp_path / "three", checkpoints_dir=tmp_path / "checkpoints", on_epoch=kill)
    assert finetune(tuned, tmp_path / "three", checkpoints_dir=tmp_path / "checkpoints") == summary
    assert contents(tmp_path / "one") == contents(tmp_path / "two") == contents(tmp_path / "three")


def killed_after_a_state(root: Path) -> None:
    """Start a fine-tune in a process of its own, and kill it as soon as it has written another state."""
    before = [path.stat().st_mtime_ns for path in (root / "checkpoints").rglob("state.pt")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", DRIVER, str(root)], env=environment)
    end = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end:
        if [path.stat().st_mtime_ns for path in (root / "checkpoints").rglob("state.pt")] not in ([], before):
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.002)
    assert process.wait(30) == -signal.SIGKILL


def test_a_fine_tune_from_random_weights_learns_and_one_killed_twice_ends_with_the_same_bytes(
    images: list[Path], tmp_path: Path
) -> None:
    tuned = finetune_job(images, tmp_path, layers=5, epochs=8, patience=8)
    (tmp_path / "job.pickle").write_bytes(pickle.dumps(tuned))
    summary = finetune(tuned, tmp_path / "unbroken", checkpoints_dir=tmp_path / "other")
    assert summary["val_loss"] < summary["start_val_loss"]
    for _ in range(2):
        killed_after_a_state(tmp_path)
        assert not (tmp_path / "out").exists()
    [state] = (tmp_path / "checkpoints").rglob("state.pt")
    assert 2 <= len(torch.load(state, weights_only=True)["curve"]) - 1 < 8
    with open_logger("tensorboard", tmp_path / "log") as logger:
        again = finetune(tuned, tmp_path / "out", checkpoints_dir=tmp_path / "checkpoints", on_epoch=logger("net"))
    assert again == summary
    assert contents(tmp_path / "out") == contents(tmp_path / "unbroken")  # of which no log was written
    logged = EventAccumulator(str(tmp_path / "log" / "net")).Reload().Scalars("val_loss")
    curve = read_csv(tmp_path / "out" / "curves.csv")
    assert [event.step for event in logged] == [int(row["epoch"]) for row in curve] == list(range(9))
    assert [event.value for event in logged] == pytest.approx([float(row["val_loss"]) for row in curve], abs=1e-6)
