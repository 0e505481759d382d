"""Where a fine-tune starts, and that what it writes is what the tuned backbone gives."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from factories import RANDOM_WEIGHTS, finetune_settings
from finetune_jobs import SIZE_PX, finetune_job, initial_backbone, striped_samples
from tandem.errors import LeakageError
from tandem.evaluation.calibration import fit_temperature
from tandem.evaluation.metrics import log_loss, predict
from tandem.features.backbones.backbone import state_digest
from tandem.features.settings import BackboneSettings, Pooling
from tandem.files import read_csv
from tandem.finetune.tune import checkpoint_key, initial_head, tune
from tandem.tables.features import load_features
from tandem.tables.splits import stratified_group_folds
from tandem.training.fitting import logistic


def test_lp_ft_begins_at_the_linear_probe_s_validation_loss(
    images: list[Path], trained_weights: BackboneSettings, tmp_path: Path
) -> None:
    tuned = finetune_job(images, tmp_path, layers=1, weights=trained_weights, epochs=1)
    summary = tune(tuned, tmp_path / "out", checkpoints_dir=tmp_path / "checkpoints")
    features = np.asarray(load_features(tmp_path / "extract", ids=tuned.samples.ids).without_tta)
    train, val = tuned.samples.train, tuned.samples.val
    fold_of = stratified_group_folds(train.targets, train.groups, num_folds=3, seed=0)
    probe = logistic.fit_cv(features[train.rows], train.targets, fold_of, balanced=True).head
    logits = (features[val.rows] - probe.mean) / probe.std @ probe.weight.T + probe.bias
    logits = logits / fit_temperature(logits.astype(np.float32), val.targets)
    expected = log_loss(predict(logits, val.targets))
    assert summary["start_val_loss"] == pytest.approx(expected, abs=1e-4)
    assert summary["val_loss"] <= summary["start_val_loss"]


@pytest.mark.parametrize("weights", ["random", "trained"])
def test_without_a_probe_the_head_is_fresh_and_of_the_seed(
    weights: str, images: list[Path], trained_weights: BackboneSettings, tmp_path: Path
) -> None:
    backbone = {"random": RANDOM_WEIGHTS, "trained": trained_weights}[weights]
    job = finetune_job(images, tmp_path, layers=1, weights=backbone, lp_ft=False)
    heads = [
        initial_head(replace(job, finetune=finetune_settings(lp_ft=False, seed=seed)), initial_backbone(backbone))
        for seed in (0, 0, 1)
    ]
    one, again, other = (next(iter(head.parameters())) for head in heads)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("pooling", ["average", "gem"])
def test_the_tuned_backbone_and_head_are_kept_and_the_features_are_what_it_gives(
    pooling: Pooling, images: list[Path], trained_weights: BackboneSettings, tmp_path: Path
) -> None:
    changes = {"epochs": 2, "precision": "bfloat16", "mix": "cutmix", "keep": "last"}
    weights = replace(trained_weights, pooling=pooling)
    tuned = finetune_job(images, tmp_path, layers=2, weights=weights, **changes)
    tune(tuned, tmp_path / "out", checkpoints_dir=tmp_path / "checkpoints")
    backbone = initial_backbone(weights)
    frozen = {key: value.clone() for key, value in backbone.net.state_dict().items()}
    state = torch.load(tmp_path / "out" / "backbone.pt", weights_only=True)
    changed = [
        key.removeprefix("classifier.").removeprefix("net.")
        for key in state
        if not torch.equal(state[key], frozen[key])
    ]
    assert {key.split(".")[0] for key in changed} == {"stage3", "stage4", "conv5"}
    backbone.net.load_state_dict(state)
    pixels = [np.asarray(Image.open(path).resize((SIZE_PX, SIZE_PX), Image.Resampling.BILINEAR)) for path in images]
    with torch.inference_mode():
        expected = backbone.net(torch.from_numpy(np.stack(pixels))).numpy()
    found = load_features(tmp_path / "out", ids=striped_samples().ids)
    assert np.allclose(found.without_tta, expected, rtol=1e-4, atol=1e-5)
    assert found.meta["trainable_backbone_layers"] == 2
    assert found.meta["weights_sha256"] == state_digest(backbone.net)
    assert [row["epoch"] for row in read_csv(tmp_path / "out" / "curves.csv")] == ["0", "1", "2"]
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_a_split_without_one_of_the_classes_is_an_error_before_any_training(images: list[Path], tmp_path: Path) -> None:
    job = finetune_job(images, tmp_path, layers=1)
    splits = job.samples.splits.copy()
    splits[(job.samples.targets == 0) & (splits == "val")] = ""
    lacking = replace(job, samples=job.samples.with_splits(splits))
    with pytest.raises(LeakageError, match="upright"):
        tune(lacking, tmp_path / "out", checkpoints_dir=tmp_path / "checkpoints")
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_is_of_one_job_alone(images: list[Path], tmp_path: Path) -> None:
    job, backbone, device = finetune_job(images, tmp_path, layers=1), initial_backbone(), torch.device("cpu")
    others = [
        replace(job, finetune=replace(job.finetune, seed=1)),
        replace(job, train=replace(job.train, trainable_backbone_layers=2)),
        replace(job, train=replace(job.train, balance="loss")),
        replace(job, extract=replace(job.extract, resize="crop")),
        replace(job, extract=replace(job.extract, interpolation="bicubic")),
        replace(job, samples=job.samples.with_splits(np.append("", job.samples.splits[1:]))),
        replace(job, name="again"),
    ]
    keys = [checkpoint_key(each, backbone, device=device) for each in (job, *others)]
    assert len(set(keys)) == len(keys)
    same = replace(job, workers=1, batch_size=4, images=images[::-1])
    assert checkpoint_key(same, backbone, device=device) == keys[0]
