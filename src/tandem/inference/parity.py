"""Whether an exported file predicts what was scored: its outputs, held against other ways to compute them.

- The file is taken apart: its backbones are to be the graphs that were converted, node by node and weight by weight.
- Of all test images, read as `tandem predict` reads them, these graphs gave features when they were converted; torch in
  fp32 gave others. After the file's own heads both are compared.
- What was scored came from features of the fastest engine, in bf16 say. That differs by more, which is reported.

So no image is decoded, and none goes through a backbone, to export another head.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from tandem.errors import DataError
from tandem.inference.classifier import TrainedModels
from tandem.inference.converted import load_converted, load_test_features
from tandem.inference.exported import OOD_SCORE, PROBABILITIES, load_exported
from tandem.inference.parts import feature_input, heads_of
from tandem.inference.runtime import start_session

MAX_DIFFERENCE = 1e-3  # of a prob to that of the fp32 reference
MAX_OOD_DIFFERENCE = 0.01  # of an OOD score, in standard deviations


@dataclass(frozen=True)
class ProbDifference:
    """Between the probs (n, C) of two ways to compute the same model: the largest, and how many classes differ."""

    largest: float
    changed_classes: int
    images: int


@dataclass(frozen=True, eq=False)
class Parity:
    """probs (n, C), ood_scores (n,): of the test images by an exported file, and how they differ from other ways.

    fp32: by torch. scored: those that evaluate scores. ood_fp32, ood_scored: the largest difference of an OOD score.
    """

    probs: np.ndarray
    ood_scores: np.ndarray
    fp32: ProbDifference
    scored: ProbDifference
    ood_fp32: float
    ood_scored: float


def check_exported(path: Path, trained: TrainedModels, *, scored: np.ndarray, scored_ood: np.ndarray) -> Parity:
    """Hold an exported file against what it was made of. scored, scored_ood: probs (n, C) and OOD scores (n,) of test.

    Raises DataError where it cannot be loaded, where it holds another backbone than was converted, and where it differs
    from torch in fp32 by more than MAX_DIFFERENCE or MAX_OOD_DIFFERENCE.
    """
    exported, reference = outputs_of_test(onnx.load_model_from_string(load_exported(path).data), trained)
    (probs, ood_scores), (reference_probs, reference_ood) = exported, reference
    fp32, ood_fp32 = difference(probs, reference_probs), _largest(ood_scores, reference_ood)
    require_same(fp32, ood_fp32)
    return Parity(probs, ood_scores, fp32, difference(probs, scored), ood_fp32, _largest(ood_scores, scored_ood))


def difference(probs: np.ndarray, reference: np.ndarray) -> ProbDifference:
    """Of two (n, C). Another class counts unless it is as probable in the reference, but for MAX_DIFFERENCE."""
    best = reference.max(axis=1)
    of_chosen = np.take_along_axis(reference, probs.argmax(axis=1)[:, None], axis=1)[:, 0]
    changed = (best - of_chosen) > MAX_DIFFERENCE
    return ProbDifference(float(np.abs(probs - reference).max(initial=0)), int(changed.sum()), len(probs))


def _largest(scores: np.ndarray, reference: np.ndarray) -> float:
    return float(np.abs(scores - reference).max(initial=0))


def outputs_of_test(model: onnx.ModelProto, trained: TrainedModels) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Probs (n, C) and OOD scores (n,) of test by a model's heads, on features of its graphs and of torch in fp32.

    Raises DataError like heads_of.
    """
    heads = heads_of(model, trained.backbones, lambda name: load_converted(trained.converted_dir(name)).model)
    session, both = start_session(heads.SerializeToString()), dict[str, tuple[np.ndarray, ...]]()
    is_read = {each.name for each in session.get_inputs()}
    for name in trained.backbones:
        if feature_input(name) in is_read:
            features = load_test_features(trained.converted_dir(name))
            both[feature_input(name)] = tuple(each.reshape(-1, each.shape[-1]) for each in features)
    exported, reference = (
        session.run([PROBABILITIES, OOD_SCORE], {name: features[way] for name, features in both.items()})
        for way in (0, 1)
    )
    return exported, reference


def require_same(found: ProbDifference, ood: float) -> None:
    """Raise DataError unless probs and OOD scores are those of torch in fp32. ood: their largest difference."""
    if not found.largest <= MAX_DIFFERENCE or found.changed_classes:  # nan is not the same either
        raise DataError(
            f"the exported model differs by {found.largest:.1e} in a prob and in {found.changed_classes} classes of "
            f"{found.images} images from torch in fp32; at most {MAX_DIFFERENCE:g} is allowed. Take another backbone"
        )
    if not ood <= MAX_OOD_DIFFERENCE:
        raise DataError(
            f"the exported model differs by {ood:.1e} in the OOD score of one of {found.images} images from torch in "
            f"fp32; at most {MAX_OOD_DIFFERENCE:g} is allowed. Take another backbone"
        )
