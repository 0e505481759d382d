"""Without an unfrozen layer the features are those of the extraction, and no torch is loaded."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cores import on_cores
from finetune_jobs import finetune_job
from tandem.features.settings import BackboneSettings
from tandem.files import list_files
from tandem.finetune.finetune import finetune
from tandem.tables.features import load_features


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in list_files(folder)}


def test_the_features_of_a_frozen_backbone_are_those_of_the_extraction_to_the_byte(
    images: list[Path], tmp_path: Path
) -> None:
    frozen = finetune_job(images, tmp_path, layers=0)
    summary = finetune(frozen, tmp_path / "out", checkpoints_dir=tmp_path / "checkpoints")
    assert summary == {"trainable_backbone_layers": 0}
    assert contents(tmp_path / "out") == contents(tmp_path / "extract")
    assert not (tmp_path / "checkpoints").exists()


def test_a_frozen_backbone_loads_no_torch() -> None:
    code = "import sys, tandem.finetune.finetune; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "False\n"


def test_a_tuned_backbone_says_how_many_layers_were_unfrozen_and_how_it_scores(
    images: list[Path], trained_weights: BackboneSettings, tmp_path: Path
) -> None:
    tuned = finetune_job(images, tmp_path, layers=1, weights=trained_weights, epochs=1)
    summary = finetune(tuned, tmp_path / "out", checkpoints_dir=tmp_path / "checkpoints")
    assert summary["trainable_backbone_layers"] == 1
    scores = {"kept_epoch", "val_loss", "val_top1_accuracy", "start_val_loss", "start_val_top1_accuracy"}
    assert scores == summary.keys() - {"trainable_backbone_layers"}
    assert sorted(contents(tmp_path / "out")) == [
        "backbone.pt", "curves.csv", "features.npy", "head.pt", "ids.txt", "meta.json",
    ]  # fmt: skip


SCRIPT = """
import pickle, sys
from pathlib import Path
from tandem.finetune.finetune import finetune
from tandem.pipeline.run import run
def main(root):
    job = pickle.loads((Path(root) / "job.pickle").read_bytes())
    return str(finetune(job, Path(root) / "two", checkpoints_dir=Path(root) / "checkpoints"))
if __name__ == "__main__":
    run(main, sys.argv[1])
"""


def test_a_fine_tune_by_two_processes_is_the_same_bytes_as_by_one(
    images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    changes = {"num_micro_batches": 3, "epochs": 2, "keep": "last", "mix": "mixup", "batch_size": 7}
    tuned = finetune_job(images, tmp_path, layers=5, **changes)
    (tmp_path / "job.pickle").write_bytes(pickle.dumps(tuned))
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    summary = finetune(tuned, tmp_path / "one", checkpoints_dir=tmp_path / "other")
    command = [Path(sys.executable).with_name("torchrun"), "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, tmp_path / "script.py", tmp_path], check=True, capture_output=True, text=True, timeout=200
    )
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    [said] = [line for line in done.stderr.splitlines() if "kept_epoch" in line]
    assert f"{tmp_path}: {summary}, " in said
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_unfrozen_layers_are_the_same_bytes_on_as_many_cores_and_as_near_as_is_stated_on_another_number(
    images: list[Path], tmp_path: Path
) -> None:
    """Stated in docs/design.md: an epoch from random weights by the learning rate of params.yaml."""
    tuned = finetune_job(images, tmp_path, layers=5, lr=0.0003, epochs=1, keep="last")
    one, two, again = (tmp_path / name for name in ("one", "two", "again"))
    for num_cores, folder in ((1, one), (2, two), (2, again)):
        with on_cores(num_cores):
            finetune(tuned, folder, checkpoints_dir=tmp_path / f"{folder.name}-checkpoints")
    assert contents(two) == contents(again)
    found = [load_features(folder, ids=tuned.samples.ids).without_tta for folder in (one, two)]
    cosines = torch.cosine_similarity(*(torch.from_numpy(features.copy()) for features in found))
    assert 0.99 < cosines.min() < 1
