"""`train` and `ensemble` in params.yaml."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from tandem.types import BatchSize, CheckedBy, LearningRate, NotEmpty, NumEpochs, Rate, Section, Seed, WeightDecay

NUM_LAYERS = 5  # torchvision's trainable_backbone_layers counts to five as well (models/detection/backbone_utils.py)
Balance = Literal["sampler", "loss", "none"]
BEST = "best"  # what is best on validation
# simplest first; see ensembles.KINDS
EnsembleKind = Literal["mean", "weighted", "greedy", "stack", "logit", "feature", "student"]


def _require_layer_counts(value: Any) -> None:
    counts = list(value.values()) if isinstance(value, dict) else [value]
    if not all(type(count) is int and 0 <= count <= NUM_LAYERS for count in counts):
        raise ValueError(
            f"{value!r} is given; a whole number from 0 (frozen) to {NUM_LAYERS} (all) is needed, or one by backbone"
        )


@dataclass(frozen=True)
class TrainSettings(Section):
    """trainable_backbone_layers: unfrozen layers of all backbones, or by name; a backbone not named is frozen.

    head: "logistic" is fitted by L-BFGS, and knows balance, folds and seed alone. lr: of Adam. patience: training ends
    after so many epochs with a clearly higher validation loss. balance: "sampler" samples classes equally often, "loss"
    weights them, "none" does neither. folds: of the train groups.
    """

    trainable_backbone_layers: Annotated[int | Mapping[str, int], CheckedBy(_require_layer_counts)]
    head: Literal["linear", "logistic", "mlp"]
    lr: LearningRate
    batch_size: BatchSize
    epochs: NumEpochs
    patience: NumEpochs
    weight_decay: WeightDecay
    dropout: Rate
    scheduler: Literal["plateau", "cosine", "none"]
    balance: Balance
    folds: Annotated[int, Ge(2), Le(100)]
    seed: Seed

    def num_trainable_layers(self, backbone: str) -> int:
        """How many layers of a backbone are unfrozen."""
        layers = self.trainable_backbone_layers
        return layers if isinstance(layers, int) else layers.get(backbone, 0)

    def frozen(self, backbones: Iterable[str]) -> list[str]:
        """Those of the backbones that keep all layers frozen."""
        return [name for name in backbones if self.num_trainable_layers(name) == 0]


@dataclass(frozen=True)
class EnsembleSettings(Section):
    """kind: the ensemble that is selected; "best" is the first that is not clearly worse on validation.

    student: the backbone of the student, or "best". dropout, width: of the
    feature ensemble.
    """

    kind: Literal["best", EnsembleKind]
    student: NotEmpty
    dropout: Rate
    width: Annotated[int, Ge(2), Le(4096)]
