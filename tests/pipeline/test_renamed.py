"""Old names of parameters: each is named with its new one, and nothing else is said of it."""

import copy
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tandem.errors import ParamsError
from tandem.pipeline.params import read_params
from tandem.pipeline.renamed import KEYS, REMOVED, VALUES, with_new_names
from tandem.pipeline.schema import check_params

ROOT = Path(__file__).parents[2]
# The sample's file as the last version had it that knew the old names, and the keys that came later.
OLD = """
sources:
  snapshots:
    kind: sample
    sample: {manner: kaggle, seed: 7}
    format: auto
  exports:
    kind: sample
    sample: {manner: roboflow, seed: 7}
    format: auto
labels:
  classes:
    car: [carro]
    motorcycle: [moto]
    truck: [caminhão]
  ignore: [bus, bicicleta]
  by_source: {}
merge:
  min_side_px: 32
  max_pixels: 100_000_000
  max_broken_share: 0.03
backbones:
  resnet50: {weights: random}
  mobilenet_v2: {weights: random}
extract:
  size_px: 96
  resize: squash
  views: 1
  engine: auto
  seed: 0
curate:
  backbone: mobilenet_v2
  candidates: {similarity: 0.955, hash_bits: 64, neighbours: 5}
  correlation: 0.96
  hint: {similarity: 0.8, hash_bits: 104}
  copies: one
  fractions: {train: 0.7, val: 0.15, test: 0.15}
  seed: 3
suspect:
  folds: 10
  neighbours: 20
  share: 0.05
  seed: 0
finetune:
  lr: 0.0003
  layer_decay: 0.7
  batch_size: 32
  epochs: 12
  keep: best
  patience: 5
  warmup_epochs: 2
  weight_decay: 0.05
  label_smoothing: 0.1
  ema_decay: 0.99
  clip_norm: 1.0
  wise_alpha: 1.0
  probe_first: true
  mix: none
  augment: {scale: 0.35, flip: true, colour: 0.2, rand_operations: 0}
  size_px: 96
  precision: auto
  seed: 0
train:
  trainable_backbone_layers: 0
  head: linear
  lr: 0.001
  batch_size: 8
  epochs: 15
  patience: 5
  weight_decay: 0.0001
  dropout: 0.5
  scheduler: plateau
  balance: sampler
  folds: 5
  seed: 0
ensemble:
  kind: best
  dropout: 0.5
  width: 64
study:
  lr: [0.01, 0.001]
  batch_size: [4, 8]
  seeds: 3
evaluate:
  draws: 2000
  max_error: 0.05
  seeds: 3
  seed: 0
runtime:
  workers: 2
  batch_size: 16
  device: auto
  log: none
  feature_cache_gb: 10
  cluster: null
  shards: null
"""
# keys that are in another section now
MOVED = {"merge.min_side_px": "ingest.min_side_px", "merge.max_pixels": "ingest.max_pixels"}
# keys and sections that are new since then
ADDED: dict[str, dict[str, Any]] = {
    "ingest": {"max_side_px": 640},
    "extract": {"interpolation": "bilinear"},
    "curate": {"bursts": {"by_name": True, "within_seconds": None}},
    "finetune": {"num_micro_batches": 1},
    "ensemble": {"student": "best", "width": 64},  # 256 before
    "ood": {"false_alarm_rate": 0.05},
    "evaluate": {"set_coverage": 0.95},
}


def with_added(params: dict[str, Any]) -> dict[str, Any]:
    return {**params, **{name: {**params.get(name, {}), **added} for name, added in ADDED.items()}}


# old path -> new path, of each key and section that has another name
RENAMED = {
    "sources.snapshots.sample.manner": "sources.snapshots.sample.style",
    "sources.exports.sample.manner": "sources.exports.sample.style",
    "merge.max_broken_share": "merge.max_corrupt_fraction",
    "extract.views": "extract.tta_views",
    "curate.candidates.similarity": "curate.candidates.min_similarity",
    "curate.candidates.hash_bits": "curate.candidates.max_hash_distance",
    "curate.candidates.neighbours": "curate.candidates.num_neighbors",
    "curate.correlation": "curate.min_correlation",
    "curate.hint": "curate.same_stem",
    "curate.hint.similarity": "curate.same_stem.min_similarity",
    "curate.hint.hash_bits": "curate.same_stem.max_hash_distance",
    "curate.copies": "curate.duplicates",
    "suspect": "label_errors",
    "suspect.neighbours": "label_errors.num_neighbors",
    "suspect.share": "label_errors.fraction",
    "finetune.probe_first": "finetune.lp_ft",
    "finetune.augment.scale": "finetune.augment.min_scale",
    "finetune.augment.colour": "finetune.augment.color_jitter",
    "finetune.augment.rand_operations": "finetune.augment.rand_augment_ops",
    "study.seeds": "study.num_seeds",
    "evaluate.draws": "evaluate.num_resamples",
    "evaluate.seeds": "evaluate.num_splits",
    "runtime.log": "runtime.logger",
}


def old_params() -> dict[str, Any]:
    params: dict[str, Any] = YAML(typ="safe", pure=True).load(OLD)
    return params


def lines_about(params: dict[str, Any]) -> list[str]:
    with pytest.raises(ParamsError) as caught:
        check_params(params)
    head, *lines = str(caught.value).splitlines()
    assert head == f"params.yaml has {len(lines)} mistake(s):"
    return [line.removeprefix("  ") for line in lines]


def parent(params: dict[str, Any], path: str) -> tuple[dict[str, Any], str]:
    """The section that a key of the old file is in, and the key."""
    *above, key = path.split(".")
    for name in above:
        params = params[name]
    return params, key


def test_an_old_file_gets_one_line_for_each_renamed_key_and_none_about_missing_ones() -> None:
    values = {"curate.copies": ", and its value 'one' is called 'keep_one'; rename them"}
    lines = lines_about(old_params())
    gone = [
        f"suspect.{key.partition('.')[2]} is no parameter any more, since {why}; remove it"
        for key, why in REMOVED.items()
    ]
    assert [line for line in lines if line in gone] == gone
    assert [line for line in lines if line not in gone] == [
        *(f"{old} is called {new} now{values.get(old, '; rename it')}" for old, new in RENAMED.items()),
        *(f"{old} is {new} now; move it to the section ingest" for old, new in MOVED.items()),
        "ingest.max_side_px is missing; add it (presets/ hold complete files)",
        "extract.interpolation is missing; add it (presets/ hold complete files)",
        "curate.bursts is missing; add it (presets/ hold complete files)",
        "finetune.num_micro_batches is missing; add it (presets/ hold complete files)",
        "ensemble.student is missing; add it (presets/ hold complete files)",
        "ood is missing; add it (presets/ hold complete files)",
        "evaluate.set_coverage is missing; add it (presets/ hold complete files)",
    ]


def test_an_old_file_under_its_new_names_is_the_committed_one() -> None:
    renamed, lines = with_new_names(old_params())
    renamed = with_added(renamed)
    assert renamed == read_params(ROOT / "params.yaml")
    assert len(lines) == len(RENAMED) + len(MOVED) + len(REMOVED)
    assert with_new_names(renamed) == (renamed, {})


@pytest.mark.parametrize("key", REMOVED)
def test_a_key_that_is_gone_is_named_with_the_reason(key: str) -> None:
    params = read_params(ROOT / "params.yaml")
    section, name = parent(params, key)
    section[name] = 3
    assert lines_about(params) == [f"{key} is no parameter any more, since {REMOVED[key]}; remove it"]


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_each_old_key_in_a_new_file_is_named_with_its_new_name(old: str, new: str) -> None:
    params = read_params(ROOT / "params.yaml")
    section, key = parent(params, new)
    value, old_key = section.pop(key), old.rsplit(".", 1)[-1]
    section[old_key] = value
    in_new_section = ".".join([*new.split(".")[:-1], old_key])
    assert lines_about(params) == [f"{in_new_section} is called {new} now; rename it"]


def test_every_entry_of_the_table_is_tried_here() -> None:
    tried = {".".join([*new.split(".")[:-1], old.rsplit(".", 1)[-1]]) for old, new in RENAMED.items()}
    assert {key.replace("sources.*", "sources.exports") for key in KEYS} <= tried
    assert list(VALUES) == ["curate.duplicates"]


@pytest.mark.parametrize(("old", "new"), VALUES["curate.duplicates"].items())
def test_an_old_value_is_named_with_its_new_name(old: str, new: str) -> None:
    params = read_params(ROOT / "params.yaml")
    params["curate"]["duplicates"] = old
    assert lines_about(params) == [f"curate.duplicates is {old!r}, which is called {new!r} now; rename it"]


def test_a_key_under_both_names_is_to_be_removed_and_the_new_one_counts() -> None:
    params = read_params(ROOT / "params.yaml")
    params["study"]["seeds"] = -7
    assert lines_about(params) == ["study.seeds is called study.num_seeds now, which is there as well; remove it"]


def test_a_value_under_an_old_name_is_checked_as_well() -> None:
    params = old_params()
    params["suspect"]["share"] = 0.7
    lines = lines_about(params)
    assert len(lines) == len(RENAMED) + len(MOVED) + len(REMOVED) + len(ADDED) + 1
    assert "label_errors.fraction is 0.7; a number of at most 0.5 is needed" in lines


def test_what_spans_sections_is_checked_under_old_names_as_well() -> None:
    params = old_params()
    params["curate"]["backbone"] = "vgg16"
    params = with_added(params)
    assert "curate.backbone is 'vgg16'; backbones has resnet50, mobilenet_v2" in lines_about(params)


def test_the_parameters_themselves_stay_as_they_are() -> None:
    params = old_params()
    before = copy.deepcopy(params)
    with_new_names(params)
    assert params == before
