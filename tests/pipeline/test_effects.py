"""Parameters that have no effect: told where someone set them, and silent where they are as a preset has them."""

import copy
from pathlib import Path
from typing import Any

import pytest

from tandem.pipeline.effects import without_effect
from tandem.pipeline.params import read_params

ROOT = Path(__file__).parents[2]
PRESETS = {path.stem: read_params(path) for path in sorted((ROOT / "presets").glob("*.yaml"))}


def effectless(**values: Any) -> list[str]:
    """What is told of the sample's preset with some values, their keys' steps joined by __."""
    params = copy.deepcopy(PRESETS["sample"])
    for path, value in values.items():
        *above, last = path.split("__")
        section = params
        for key in above:
            section = section[key]
        section[last] = value
    return [problem.text for problem in without_effect(params, list(PRESETS.values()))]


@pytest.mark.parametrize("name", PRESETS)
def test_of_a_preset_nothing_is_told(name: str) -> None:
    assert list(without_effect(PRESETS[name], list(PRESETS.values()))) == []


@pytest.mark.parametrize("layers", [0, {"resnet50": 0}, {}])
def test_fine_tuning_that_unfreezes_nothing_is_told(layers: Any) -> None:
    (line,) = effectless(finetune__lr=0.1, train__trainable_backbone_layers=layers)
    assert line.startswith("finetune has no effect: train.trainable_backbone_layers unfreezes no layer")


@pytest.mark.parametrize("layers", [5, {"resnet50": 5}])
def test_fine_tuning_has_an_effect_where_layers_are_unfrozen(layers: Any) -> None:
    assert effectless(finetune__lr=0.1, train__trainable_backbone_layers=layers) == []


@pytest.mark.parametrize("key", ["lr", "batch_size", "epochs", "patience", "weight_decay", "dropout", "scheduler"])
def test_what_a_logistic_head_does_not_know_is_told(key: str) -> None:
    preset, value = PRESETS["vehicles"]["train"], 20 if key == "epochs" else 1
    assert effectless(train=preset) == []
    (line,) = effectless(train={**preset, key: value})
    assert key in line
    assert "no effect on the heads: train.head is logistic" in line
    assert effectless(train={**preset, "head": "linear", key: value}) == []


@pytest.mark.parametrize(
    ("epochs", "patience", "is_vain"), [(15, 14, True), (15, 13, False), (6, 5, True), (7, 5, False)]
)
def test_patience_that_no_training_is_long_enough_for_is_told(epochs: int, patience: int, is_vain: bool) -> None:
    found = effectless(train__epochs=epochs, train__patience=patience)
    assert (
        any(text.startswith("train.patience has no effect: the first epoch is kept at least") for text in found)
        == is_vain
    )


def test_patience_where_the_last_epoch_is_kept_is_told() -> None:
    unfrozen = {"train__trainable_backbone_layers": 5, "finetune__keep": "last"}
    assert effectless(**unfrozen, finetune__patience=9) == [
        "finetune.patience has no effect: finetune.keep is last, and all epochs are trained"
    ]


def test_a_seed_of_random_weights_that_no_backbone_has_is_told() -> None:
    trained = {"resnet50": {"weights": "IMAGENET1K_V1"}}
    assert effectless(backbones=trained) == []
    assert effectless(backbones=trained, extract__seed=3) == [
        "extract.seed has no effect: no backbone has random weights, which it is of"
    ]
    assert effectless(extract__seed=3) == []


def test_a_box_policy_where_there_are_no_boxes_is_told() -> None:
    whole = {"use": "whole", "margin": 0, "min_side_px": 8}
    (line,) = effectless(sources__exports__boxes=whole)
    assert line.startswith("sources.exports.boxes has no effect: whole images lie in folders there")
    yard = {"kind": "archive", "archive": {"path": "yard.zip"}, "format": "yolo"}
    assert effectless(sources__yard={**yard, "boxes": whole}) == []
    assert effectless(sources__yard={**yard, "boxes": {**whole, "use": "crop", "margin": 0.1}}) == []
    assert effectless(sources__yard={**yard, "boxes": {**whole, "margin": 0.1}}) == [
        "sources.yard.boxes.margin has no effect: boxes.use is whole; write 0"
    ]


@pytest.mark.parametrize(("size_px", "stored_px", "is_told"), [(97, 96, True), (96, 96, False), (97, None, False)])
def test_inputs_larger_than_what_is_stored_are_told(size_px: int, stored_px: int | None, is_told: bool) -> None:
    lines = effectless(extract__size_px=size_px, ingest__max_side_px=stored_px)
    assert len(lines) == is_told
    assert all("extract.size_px is 97, and images are stored at most ingest.max_side_px = 96" in x for x in lines)
    of_labels = effectless(label_errors__size_px=size_px, ingest__max_side_px=stored_px, extract__size_px=64)
    assert ["label_errors.size_px is 97" in line for line in of_labels] == [True] * is_told
    layers, sizes = {"train__trainable_backbone_layers": 5}, {"finetune__size_px": size_px, "extract__size_px": 64}
    unfrozen = effectless(ingest__max_side_px=stored_px, **layers, **sizes)
    assert ["finetune.size_px is 97" in line for line in unfrozen] == [True] * is_told


@pytest.mark.parametrize(("own_px", "is_told"), [(63, False), (64, True), (65, True)])
def test_a_backbone_s_own_size_to_which_nothing_is_scaled_down_is_told(own_px: int, is_told: bool) -> None:
    lines = effectless(extract__size_px=64, backbones__resnet50__size_px=own_px)
    text = "backbones.resnet50.size_px has no effect: extract.size_px is 64, and no image is larger; write a smaller"
    assert [line.startswith(text) for line in lines] == [True] * is_told


def test_a_size_of_label_errors_is_told_where_it_is_that_of_all_and_counts_for_those_of_backbones() -> None:
    (line,) = effectless(extract__size_px=64, label_errors__size_px=64)
    assert line == "label_errors.size_px has no effect: extract.size_px is 64, too; write another one, or leave it out"
    assert effectless(extract__size_px=64, label_errors__size_px=80, backbones__resnet50__size_px=72) == []


@pytest.mark.parametrize(("own_px", "is_told"), [(63, False), (None, True)])
def test_an_interpolation_of_its_own_without_a_size_is_told(own_px: int | None, is_told: bool) -> None:
    size = {} if own_px is None else {"backbones__resnet50__size_px": own_px}
    lines = effectless(extract__size_px=64, backbones__resnet50__interpolation="bicubic", **size)
    text = "backbones.resnet50.interpolation has no effect: it is of a backbone that has a size_px of its own; extract."
    assert [line.startswith(text) for line in lines] == [True] * is_told
