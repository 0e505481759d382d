"""The models of a cell are those that are trained by its settings alone."""

from dataclasses import replace

from factories import blobs, ensemble_settings, train_settings
from tandem.training.ensembles import KINDS, EnsembleInputs
from tandem.training.heads import train_head
from tandem.training.sweep import ensemble_logits, feature_logits, head_logits
from tandem.training.task import head_task

CELLS = [train_settings(seed=seed, lr=lr) for lr in (0.01, 0.1) for seed in (0, 1)]


def planted() -> EnsembleInputs:
    features, samples = blobs(120)
    by_backbone = {"all": features, "part": features[:, :2].copy()}
    return EnsembleInputs(samples, by_backbone, {}, {}, {}, CELLS[0], ensemble_settings())


def test_each_head_is_the_one_that_is_trained_alone() -> None:
    inputs = planted()
    found = head_logits(inputs, backbone="part", cells=CELLS)
    alone = [train_head(head_task(inputs.features["part"], inputs.samples, cell, "part")).logits for cell in CELLS]
    assert [logits.tobytes() for logits in found] == [logits.tobytes() for logits in alone]


def test_the_ensembles_are_those_of_their_kind() -> None:
    inputs = planted()
    by_backbone = {name: head_logits(inputs, backbone=name, cells=CELLS) for name in inputs.features}
    base = [{name: logits[number] for name, logits in by_backbone.items()} for number in range(len(CELLS))]
    by_cell = [replace(inputs, train=cell, logits=logits) for cell, logits in zip(CELLS, base, strict=True)]
    for of_cell, found in zip(by_cell, ensemble_logits(inputs, cells=CELLS, base=base), strict=True):
        assert list(found) == ["mean", "weighted", "logit"]
        for kind, logits in found.items():
            assert logits.tobytes() == KINDS[kind](of_cell).logits.tobytes()
    (feature,) = feature_logits(inputs, cell=CELLS[1])
    assert feature.tobytes() == KINDS["feature"](by_cell[1]).logits.tobytes()


def test_a_cell_of_another_seed_has_other_models() -> None:
    inputs = planted()
    one, other = (feature_logits(inputs, cell=replace(CELLS[0], seed=seed))[0] for seed in (0, 1))
    assert one.tobytes() != other.tobytes()
