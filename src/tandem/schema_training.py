"""What `train` and `finetune` of `params.yaml` may say."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from tandem.schema_sources import Count, Positive, Section, Seed


class Augment(Section):
    """How far the pictures of a fine-tune are varied."""

    scale: Annotated[float, Field(gt=0, le=1)]
    flip: bool
    colour: Annotated[float, Field(ge=0, lt=1)]
    rand_operations: Annotated[int, Field(ge=0, le=10)]


class Finetune(Section):
    """How thawed layers are trained."""

    lr: Positive
    layer_decay: Annotated[float, Field(gt=0, le=1)]
    batch_size: Annotated[int, Field(ge=2)]
    epochs: Count
    keep: Literal["best", "last"]
    patience: Count
    warmup_epochs: Annotated[int, Field(ge=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    ema_decay: Annotated[float, Field(ge=0, lt=1)]
    clip_norm: Positive
    wise_alpha: Annotated[float, Field(ge=0, le=1)]
    probe_first: bool
    mix: Literal["none", "mixup", "cutmix"]
    augment: Augment
    size_px: Annotated[int, Field(ge=32, le=1024)]
    precision: Literal["auto", "float32", "bfloat16"]
    seed: Seed


class Train(Section):
    """How heads are trained, and how many layers below them: of every backbone, or by name."""

    trainable_backbone_layers: int | dict[str, int]
    head: Literal["linear", "logistic", "mlp"]
    lr: Positive
    batch_size: Count
    epochs: Count
    patience: Count
    weight_decay: Annotated[float, Field(ge=0)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    scheduler: Literal["plateau", "cosine", "none"]
    balance: Literal["sampler", "loss", "none"]
    folds: Annotated[int, Field(ge=2, le=100)]
    seed: Seed

    @field_validator("trainable_backbone_layers", mode="plain")
    @classmethod
    def _are_counts(cls, value: Any) -> Any:
        counts = list(value.values()) if isinstance(value, dict) else [value]
        if not all(type(count) is int and 0 <= count <= 5 for count in counts):
            raise ValueError(
                f"{value!r} is given; a whole number from 0 (frozen) to 5 (all) is needed, or one by backbone"
            )
        return value
