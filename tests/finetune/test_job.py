"""How many layers of a backbone are unfrozen."""

from pathlib import Path

import pytest

from factories import RANDOM_WEIGHTS, extract_settings, finetune_settings, samples_of, train_settings
from tandem.finetune.job import FinetuneJob


@pytest.mark.parametrize(
    ("layers", "expected"), [(0, 0), (2, 2), ({"mine": 3}, 3), ({"other": 3}, 0), ({"mine": 0}, 0)]
)
def test_layers_are_unfrozen_of_all_backbones_or_by_name(layers: int | dict[str, int], expected: int) -> None:
    job = FinetuneJob(
        name="mine",
        samples=samples_of([0], ["train"]),
        images=[Path("0.png")],
        extracted=Path("extract"),
        backbone=RANDOM_WEIGHTS,
        extract=extract_settings(),
        finetune=finetune_settings(),
        train=train_settings(trainable_backbone_layers=layers),
        device="cpu",
        workers=1,
        batch_size=1,
    )
    assert job.num_trainable_layers == expected
