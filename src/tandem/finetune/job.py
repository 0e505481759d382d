"""What a fine-tune needs to know."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tandem.images.decode import Resize
from tandem.tables.samples import Samples


@dataclass(frozen=True)
class FinetuneJob:
    """What is fine-tuned. num_layers: unfrozen ones, 0 to 5. images: one path an image, in the order of samples.

    extracted: the folder of the frozen features. weights: of the backbone: weights, sha256. settings: of the section
    `finetune`. balance, folds: of `train`. runtime: workers, batch_size, device.
    """

    name: str
    num_layers: int
    samples: Samples
    images: Sequence[Path]
    extracted: Path
    weights: Mapping[str, Any]
    size_px: int
    resize: Resize
    views: int
    engine: Literal["auto", "reference"]
    weights_seed: int
    settings: Mapping[str, Any]
    balance: str
    folds: int
    runtime: Mapping[str, Any]

    @classmethod
    def from_params(
        cls, name: str, params: Mapping[str, Any], samples: Samples, *, images: Sequence[Path], extracted: Path
    ) -> "FinetuneJob":
        """The job of one backbone, by the whole of the parameters."""
        train, transform = params["train"], params["extract"]
        return cls(
            name=name,
            num_layers=trainable_layers_of(train["trainable_backbone_layers"], name),
            samples=samples,
            images=images,
            extracted=extracted,
            weights={"sha256": None, **params["backbones"][name]},
            size_px=transform["size_px"],
            resize=transform["resize"],
            views=transform["views"],
            engine=transform["engine"],
            weights_seed=transform["seed"],
            settings=params["finetune"],
            balance=train["balance"],
            folds=train["folds"],
            runtime=params["runtime"],
        )


def trainable_layers_of(trainable: int | Mapping[str, int], name: str) -> int:
    """How many layers of a backbone are unfrozen: the same number for all, or by name, where a missing one is frozen."""
    if isinstance(trainable, int):
        return trainable
    return trainable.get(name, 0)


def frozen_backbones(trainable: int | Mapping[str, int], names: Iterable[str]) -> list[str]:
    """Those of the backbones that keep all layers frozen."""
    return [name for name in names if trainable_layers_of(trainable, name) == 0]
