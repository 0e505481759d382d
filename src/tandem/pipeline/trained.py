"""The trained models that params.yaml names."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tandem.datasets.settings import IngestSettings
from tandem.features.settings import ExtractSettings
from tandem.pipeline.params import section

if TYPE_CHECKING:
    from tandem.inference.classifier import TrainedModels


def trained_models(params: Mapping[str, Any], class_names: Sequence[str], data_dir: Path) -> "TrainedModels":
    """What the stages trained by these parameters and wrote below data_dir."""
    from tandem.inference.classifier import TrainedModels  # and ONNX, a tenth of a second

    return TrainedModels(
        backbones=list(params["backbones"]),
        extract=section(params, "extract", ExtractSettings),
        max_side_px=section(params, "ingest", IngestSettings).max_side_px,
        class_names=class_names,
        data_dir=data_dir,
    )
