"""Fine-tunes of tiny networks on tiny images: their start, what they learn, and that a kill changes nothing."""

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torchvision import models

from tandem.errors import DataError
from tandem.evaluation.calibration import fit_temperature
from tandem.evaluation.metrics import log_loss, softmax
from tandem.features import extract as extraction
from tandem.features.backbones import backbone as backbones
from tandem.features.engines import engine as engines
from tandem.files import list_files, read_csv, sha256
from tandem.finetune import finetune as finetuning
from tandem.finetune.job import FinetuneJob, trainable_layers_of
from tandem.tables.features import load_features, write_features
from tandem.tables.samples import Sample, Samples
from tandem.tables.splits import stratified_group_folds
from tandem.training import logistic
from tandem.training.loggers import Epoch, open_logger

SIZE, NUM = 32, 48
NAME = "shufflenet_v2_x0_5"
SETTINGS: dict[str, Any] = {
    "lr": 0.01,
    "layer_decay": 0.9,
    "batch_size": 8,
    "epochs": 5,
    "keep": "best",
    "patience": 5,
    "warmup_epochs": 1,
    "weight_decay": 0.05,
    "label_smoothing": 0.1,
    "ema_decay": 0.5,
    "clip_norm": 1.0,
    "wise_alpha": 1.0,
    "probe_first": True,
    "mix": "none",
    "augment": {"scale": 0.5, "flip": True, "color": 0.2},
    "size_px": SIZE,
    "precision": "float32",
    "seed": 0,
}
DRIVER = """
import pickle, sys, torch
from pathlib import Path
from tandem.finetune.finetune import finetune
from tandem.training.loggers import tracked
torch.set_num_threads(1)
root = Path(sys.argv[1])
job = pickle.loads((root / "job.pickle").read_bytes())
with tracked("tensorboard", root / "log") as track:
    finetune(job, root / "out", recovery=root / "recovery", on_epoch=track("net"))
"""


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Stripes, upright for even numbers and level for odd ones, of random colors, width and place."""
    root, paths = tmp_path_factory.mktemp("images"), []
    for number in range(NUM):
        rng = np.random.default_rng(number)
        low, high = rng.integers(0, 100, 3), rng.integers(150, 256, 3)
        line = (np.arange(40) + rng.integers(8)) // rng.integers(3, 6) % 2
        rows = np.where(np.broadcast_to(line[:, None], (40, 40))[..., None], low, high)
        paths.append(root / f"{number:02}.png")
        Image.fromarray((rows if number % 2 else rows.swapaxes(0, 1)).astype(np.uint8)).save(paths[-1])
    return paths


def samples() -> Samples:
    splits = ["train"] * 32 + ["val"] * 8 + ["test"] * 6 + [""] * 2
    rows = [Sample(f"{n:02}", ("upright", "level")[n % 2], "web", f"g{n}", split) for n, split in enumerate(splits)]
    return Samples.of(("upright", "level"), tuple(rows))


def job(
    images: list[Path], root: Path, *, layers: int, weights: Path | None = None, device: str = "cpu", **changes: Any
) -> FinetuneJob:
    given = {"weights": "random", "sha256": None} if weights is None else weights_of(weights)
    backbone = backbones.load_backbone(NAME, **given, seed=0, size_px=SIZE)
    knobs = {"batch_size": 16, "workers": 2, "device": device}
    engine = engines.start_engine(backbone, engine="reference", size_px=SIZE, batch_size=16, device="cpu")
    plain = {"size_px": SIZE, "resize": "squash", "batch_size": 16, "workers": 2}
    rows = extraction.extract(images, engine=engine, name=NAME, **plain)
    write_features(root / "extract", ids=samples().ids, dim=backbone.dim, batches=rows, meta={"backbone": NAME})
    return FinetuneJob(
        name=NAME,
        trainable_layers_of=layers,
        samples=samples(),
        images=images,
        views=1,
        extracted=root / "extract",
        weights=given,
        size_px=SIZE,
        resize="squash",
        engine="reference",
        weights_seed=0,
        settings={**SETTINGS, **changes},
        balance="sampler",
        stratified_group_folds=3,
        runtime=knobs,
    )


def weights_of(path: Path) -> dict[str, str]:
    return {"weights": str(path), "sha256": sha256(path)}


@pytest.fixture(scope="module")
def trained_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with drawn weights, as a file: what a trained one looks like to the code."""
    path = tmp_path_factory.mktemp("weights") / "net.pth"
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(1)
        torch.save(models.get_model(NAME, weights=None).state_dict(), path)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in list_files(folder)}


def test_without_a_unfreezeed_layer_the_rows_are_those_of_the_extraction_to_the_byte(
    images: list[Path], tmp_path: Path
) -> None:
    frozen = job(images, tmp_path, layers=0)
    told = finetuning.finetune(frozen, tmp_path / "out", recovery=tmp_path / "recovery")
    assert told == {"trainable_backbone_layers": 0}
    assert contents(tmp_path / "out") == contents(tmp_path / "extract")
    assert not (tmp_path / "recovery").exists()


def test_a_frozen_backbone_loads_no_torch() -> None:
    code = "import sys, tandem.finetune.finetune; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "False\n"


def test_layers_are_given_for_all_or_by_name() -> None:
    assert [trainable_layers_of(2, name) for name in ("a", "b")] == [2, 2]
    assert [trainable_layers_of({"a": 3}, name) for name in ("a", "b")] == [3, 0]


def test_a_probe_first_begins_at_the_probe_s_validation_loss(
    images: list[Path], trained_weights: Path, tmp_path: Path
) -> None:
    tuned = job(images, tmp_path, layers=1, weights=trained_weights, epochs=1)
    told = finetuning.finetune(tuned, tmp_path / "out", recovery=tmp_path / "recovery")
    x = np.asarray(load_features(tmp_path / "extract", ids=samples().ids).x)
    rows, targets = x[samples().train.rows], samples().train.targets
    fold_of = stratified_group_folds(targets, samples().train.groups, num_folds=3, seed=0)
    fitted = logistic.fit_cv(rows, targets, fold_of, balanced=True).head
    logits = (x[samples().val.rows] - fitted.mean) / fitted.std @ fitted.weight.T + fitted.bias
    target = samples().val.targets
    logits = logits / fit_temperature(logits.astype(np.float32), target=target)
    assert told["start_val_loss"] == pytest.approx(log_loss(target=target, probs=softmax(logits)), abs=1e-4)
    assert told["val_loss"] <= told["start_val_loss"]


def test_the_tuned_trunk_and_head_are_kept_and_its_rows_are_what_it_gives(
    images: list[Path], trained_weights: Path, tmp_path: Path
) -> None:
    tuned = job(images, tmp_path, layers=2, weights=trained_weights, epochs=2, precision="bfloat16", mix="cutmix")
    finetuning.finetune(tuned, tmp_path / "out", recovery=tmp_path / "recovery")
    backbone = backbones.load_backbone(NAME, **weights_of(trained_weights), seed=0, size_px=SIZE)
    frozen = {key: value.clone() for key, value in backbone.net.state_dict().items()}
    state = torch.load(tmp_path / "out" / "backbone.pt", weights_only=True)
    assert {key.split(".")[1] for key in state if not torch.equal(state[key], frozen[key])} <= {"stage4", "conv5"}
    backbone.net.load_state_dict(state)
    with torch.inference_mode():
        pixels = np.stack(
            [np.asarray(Image.open(path).resize((SIZE, SIZE), Image.Resampling.BILINEAR)) for path in images]
        )
        expected = backbone.net(torch.from_numpy(pixels)).numpy()
    found = load_features(tmp_path / "out", ids=samples().ids)
    assert np.allclose(found.x, expected, rtol=1e-4, atol=1e-5)
    assert found.meta["trainable_backbone_layers"] == 2
    assert found.meta["weights_sha256"] == backbones.state_digest(backbone.net)
    assert [row["epoch"] for row in read_csv(tmp_path / "out" / "curves.csv")] == ["0", "1", "2"]
    assert list((tmp_path / "recovery").iterdir()) == []


def test_a_loss_that_is_not_finite_says_what_to_lower(
    images: list[Path], trained_weights: Path, tmp_path: Path
) -> None:
    tuned = job(images, tmp_path, layers=1, weights=trained_weights, lr=1e30, clip_norm=1e30, warmup_epochs=0)
    with pytest.raises(DataError, match=r"the loss is not finite in epoch \d .*take a lower finetune\.lr"):
        finetuning.finetune(tuned, tmp_path / "out", recovery=tmp_path / "recovery")


def test_the_last_epoch_is_kept_where_that_is_asked_for(images: list[Path], tmp_path: Path) -> None:
    worse = {"lr": 2.0, "warmup_epochs": 0, "epochs": 3, "patience": 1}  # from the probe on only downhill
    best, last = (
        finetuning.finetune(
            job(images, tmp_path / keep, layers=5, keep=keep, **worse), tmp_path / keep / "out", recovery=tmp_path / "r"
        )
        for keep in ("best", "last")
    )
    assert (best["kept_epoch"], last["kept_epoch"]) == (0, 3)
    assert last["val_loss"] > best["val_loss"] == best["start_val_loss"]
    assert best["start_val_loss"] == last["start_val_loss"]


def test_without_a_share_of_the_tuned_weights_the_start_is_left_and_with_half_of_it_the_middle(
    images: list[Path], tmp_path: Path
) -> None:
    states, told = {}, {}
    for alpha in (0.0, 0.5, 1.0):
        root = tmp_path / str(alpha)
        tuned = job(images, root, layers=5, keep="last", epochs=1, wise_alpha=alpha)
        told[alpha] = finetuning.finetune(tuned, root / "out", recovery=root / "r")
        states[alpha] = torch.load(root / "out" / "backbone.pt", weights_only=True)
    assert told[0.0]["val_loss"] == told[0.0]["start_val_loss"]
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

    tuned = job(images, tmp_path, layers=5, device="cuda", precision=precision, epochs=8, patience=8)
    told = finetuning.finetune(tuned, tmp_path / "one", recovery=tmp_path / "other")
    assert told["val_loss"] < told["start_val_loss"]
    assert finetuning.finetune(tuned, tmp_path / "two", recovery=tmp_path / "other") == told
    with pytest.raises(Killed):
        finetuning.finetune(tuned, tmp_path / "three", recovery=tmp_path / "recovery", on_epoch=kill)
    assert finetuning.finetune(tuned, tmp_path / "three", recovery=tmp_path / "recovery") == told
    assert contents(tmp_path / "one") == contents(tmp_path / "two") == contents(tmp_path / "three")


def killed_after_a_state(root: Path) -> None:
    """Start a fine-tune in a process of its own, and kill it as soon as it has written another state."""
    before = [path.stat().st_mtime_ns for path in (root / "recovery").rglob("state.pt")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", DRIVER, str(root)], env=environment)
    end = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end:
        if [path.stat().st_mtime_ns for path in (root / "recovery").rglob("state.pt")] not in ([], before):
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.002)
    assert process.wait(30) == -signal.SIGKILL


def test_a_fine_tune_from_random_weights_learns_and_one_killed_three_times_ends_with_the_same_bytes(
    images: list[Path], tmp_path: Path
) -> None:
    tuned = job(images, tmp_path, layers=5, epochs=8, patience=8)
    (tmp_path / "job.pickle").write_bytes(pickle.dumps(tuned))
    told = finetuning.finetune(tuned, tmp_path / "unbroken", recovery=tmp_path / "other")
    assert told["val_loss"] < told["start_val_loss"]
    for _ in range(3):
        killed_after_a_state(tmp_path)
        assert not (tmp_path / "out").exists()
    [state] = (tmp_path / "recovery").rglob("state.pt")
    assert 3 <= len(torch.load(state, weights_only=True)["curve"]) - 1 < 8
    with open_logger("tensorboard", tmp_path / "log") as track:
        again = finetuning.finetune(tuned, tmp_path / "out", recovery=tmp_path / "recovery", on_epoch=track("net"))
    assert again == told
    assert contents(tmp_path / "out") == contents(tmp_path / "unbroken")  # of which no log was written
    logged = EventAccumulator(str(tmp_path / "log" / "net")).Reload().Scalars("val_loss")
    curve = read_csv(tmp_path / "out" / "curves.csv")
    assert [event.step for event in logged] == [int(row["epoch"]) for row in curve] == list(range(9))
    assert [event.value for event in logged] == pytest.approx([float(row["val_loss"]) for row in curve], abs=1e-6)
