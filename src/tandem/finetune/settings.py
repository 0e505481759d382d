"""`finetune` in params.yaml: how unfrozen layers are trained; train.trainable_backbone_layers says how many there are.

Tested in tests/pipeline/test_schema.py, as all settings.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from tandem.types import Fraction, LearningRate, NumEpochs, PositiveFraction, Rate, Section, Seed, SidePx, WeightDecay

Mix = Literal["none", "mixup", "cutmix"]


@dataclass(frozen=True)
class AugmentSettings(Section):
    """min_scale: least fraction of the area that a crop keeps. flip: mirrored or not, evenly.

    color_jitter: brightness, contrast and saturation are each multiplied by a factor within 1 +- color_jitter.
    rand_augment_ops: operations of RandAugment, before all that.
    """

    min_scale: PositiveFraction
    flip: bool
    color_jitter: Rate
    rand_augment_ops: Annotated[int, Ge(0), Le(10)]


@dataclass(frozen=True)
class FinetuneSettings(Section):
    """lr: of the head at its highest; of each layer below, layer_decay times that of the one above.

    keep: the epoch of lowest validation loss, or the last. patience: epochs without a lower one, then training ends.
    warmup_epochs: lr rises, then falls by a cosine. ema_decay: of the averaged weights, a step. clip_norm: largest norm
    of the gradient. wise_alpha: weight of the tuned weights in what is kept (WiSE-FT). lp_ft: the head begins as a
    linear probe of the frozen features (LP-FT). size_px: of the crops that are trained on. precision: "auto" is
    bfloat16 where the processor computes in it.
    """

    lr: LearningRate
    layer_decay: PositiveFraction
    batch_size: Annotated[int, Ge(2), Le(65_536)]
    num_micro_batches: Annotated[int, Ge(1), Le(65_536)]
    epochs: NumEpochs
    keep: Literal["best", "last"]
    patience: NumEpochs
    warmup_epochs: Annotated[int, Ge(0), Le(1_000_000)]
    weight_decay: WeightDecay
    label_smoothing: Rate
    ema_decay: Rate
    clip_norm: Annotated[float, Gt(0), Le(1_000_000)]
    wise_alpha: Fraction
    lp_ft: bool
    mix: Mix
    augment: AugmentSettings
    size_px: SidePx
    precision: Literal["auto", "float32", "bfloat16"]
    seed: Seed
