"""A classifier to one ONNX file."""

import io
import logging
import warnings
from contextlib import redirect_stdout
from pathlib import Path

import torch

from tandem.inference.classifier import TrainedClassifier
from tandem.inference.exported import BLANK, CARD, DIGEST, INPUT, OUTPUT, ModelCard, seal

_OPSET = 18


def export_classifier(classifier: TrainedClassifier, card: ModelCard, path: Path) -> str:
    """Write the file, whole or not at all; its digest.

    Its input `pixels`, (n * tta_views, size_px, size_px, 3) uint8 for any n, is what tandem.images.transforms makes of
    images; its output `probabilities`, (n, C) float32, is calibrated. Normalisation is inside.
    """
    example = torch.zeros(2 * card.tta_views, card.size_px, card.size_px, 3, dtype=torch.uint8)
    images = torch.export.Dim("images")
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            classifier,
            (example,),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: card.tta_views * images},),
            opset_version=_OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    program.model.metadata_props.update({CARD: card.to_json(), DIGEST: BLANK})
    return seal(program.model_proto.SerializeToString(deterministic=True), path)
