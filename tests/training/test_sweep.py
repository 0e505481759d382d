"""The models of a cell are those that are trained by its settings alone."""

from dataclasses import replace

from factories import blobs, ensemble_settings, train_settings
from tandem.training.ensembles import KINDS, EnsembleInputs
from tandem.training.heads import train_head
from tandem.training.sweep import combine_heads, train_features, train_heads
from tandem.training.task import head_task

CELLS = [train_settings(seed=seed, lr=lr) for lr in (0.01, 0.1) for seed in (0, 1)]


def planted() -> EnsembleInputs:
    features, samples = blobs(120)
    by_backbone = {"all": features, "part": features[:, :2].copy()}
    return EnsembleInputs(samples, by_backbone, {}, {}, {}, CELLS[0], ensemble_settings())


def test_each_head_is_the_one_that_is_trained_alone() -> None:
    inputs = planted()
    found = train_heads(inputs, backbone="part", cells=CELLS)
    alone = [train_head(head_task(inputs.features["part"], inputs.samples, cell, "part")) for cell in CELLS]
    assert [trained.logits.tobytes() for trained in found] == [trained.logits.tobytes() for trained in alone]


def test_the_ensembles_are_those_of_their_kind() -> None:
    inputs = planted()
    by_backbone = {name: train_heads(inputs, backbone=name, cells=CELLS) for name in inputs.features}
    base = [{name: heads[number] for name, heads in by_backbone.items()} for number in range(len(CELLS))]
    by_cell = [
        replace(inputs, train=cell, logits={name: head.logits for name, head in heads.items()})
        for cell, heads in zip(CELLS, base, strict=True)
    ]
    for of_cell, found in zip(by_cell, combine_heads(inputs, cells=CELLS, base=base), strict=True):
        assert list(found) == ["mean", "weighted", "logit"]
        for kind, model in found.items():
            assert model.logits.tobytes() == KINDS[kind](of_cell).logits.tobytes()
    features = train_features(inputs, cells=CELLS)
    alone = [KINDS["feature"](of_cell).logits.tobytes() for of_cell in by_cell]
    assert [feature.logits.tobytes() for feature in features] == alone


def test_a_cell_of_another_seed_has_other_models() -> None:
    inputs = planted()
    one, other = train_features(inputs, cells=[replace(CELLS[0], seed=seed) for seed in (0, 1)])
    assert one.logits.tobytes() != other.logits.tobytes()
