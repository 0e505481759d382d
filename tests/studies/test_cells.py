"""The models of a cell are those that the training room makes of the same settings."""

from dataclasses import replace

from factories import blobs, ensemble_settings, train_settings
from tandem.studies.cells import StudyData, ensemble_logits, feature_logits, head_logits
from tandem.training.ensembles import KINDS
from tandem.training.heads import train_head
from tandem.training.task import head_task

CELLS = [train_settings(seed=seed, lr=lr) for lr in (0.01, 0.1) for seed in (0, 1)]


def data() -> StudyData:
    features, samples = blobs(120)
    return StudyData({"near": features, "far": features[:, :2].copy()}, samples, ensemble_settings())


def test_each_head_is_the_one_that_is_trained_alone() -> None:
    shared = data()
    found = head_logits(shared, backbone="far", cells=CELLS)
    alone = [train_head(head_task(shared.features["far"], shared.samples, cell, "far")).logits for cell in CELLS]
    assert [logits.tobytes() for logits in found] == [logits.tobytes() for logits in alone]


def test_the_ensembles_are_those_of_their_kind() -> None:
    shared = data()
    base = {name: head_logits(shared, backbone=name, cells=CELLS) for name in shared.features}
    inputs = [
        shared.inputs(cell, {name: logits[number] for name, logits in base.items()})
        for number, cell in enumerate(CELLS)
    ]
    for of_cell, found in zip(inputs, ensemble_logits(inputs), strict=True):
        assert list(found) == ["mean", "weighted", "logit"]
        for kind, logits in found.items():
            assert logits.tobytes() == KINDS[kind](of_cell).logits.tobytes()
    (feature,) = feature_logits(shared, cell=CELLS[1])
    assert feature.tobytes() == KINDS["feature"](inputs[1]).logits.tobytes()


def test_a_cell_of_another_seed_has_other_models() -> None:
    shared = data()
    one, other = (feature_logits(shared, cell=replace(CELLS[0], seed=seed))[0] for seed in (0, 1))
    assert one.tobytes() != other.tobytes()
