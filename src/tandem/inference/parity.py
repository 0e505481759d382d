"""Whether an exported file predicts what was scored: its probs, held against those of other ways to compute them.

- The features of each backbone's graph and those of torch in fp32, of all test images, are compared after the heads.
- The file itself, copied elsewhere, reads images from their files; the features of its graphs gave the same probs.
- What was scored came from features of the fastest engine, in bf16 say. That differs by more, which is reported.
"""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tandem.errors import DataError
from tandem.inference.classifier import TrainedModels, head_model
from tandem.inference.converted import load_test_features
from tandem.inference.exported import PROBABILITIES, load_exported
from tandem.inference.predict import predict_files
from tandem.inference.runtime import start_session
from tandem.types import Encoded

MAX_DIFFERENCE = 1e-3  # of a prob to that of the fp32 reference
MAX_FILES = 64  # test images that the file itself reads; its graph's features are known of all


@dataclass(frozen=True)
class ProbDifference:
    """Between the probs (n, C) of two ways to compute the same model: the largest, and how many classes differ."""

    largest: float
    changed_classes: int
    images: int


@dataclass(frozen=True, eq=False)
class Parity:
    """probs: (n, C) of the test images by an exported file, and how they differ from those of other ways.

    fp32: by torch. file: of some images, read by the file itself. scored: those that evaluate scores.
    """

    probs: np.ndarray
    fp32: ProbDifference
    file: ProbDifference
    scored: ProbDifference


def check_exported(
    path: Path,
    model: str,
    trained: TrainedModels,
    *,
    images: Sequence[Encoded],
    scored: np.ndarray,
    batch_size: int,
    workers: int,
) -> Parity:
    """Hold an exported file against what it was made of. images: n of test. scored: (n, C) probs of them.

    Raises DataError where it differs from torch in fp32 by more than MAX_DIFFERENCE.
    """
    probs, reference = probs_of_test(model, trained)
    some = evenly_spaced(len(images))
    from_files = probs_from_files(path, [images[row] for row in some], batch_size=batch_size, workers=workers)
    fp32, of_file = difference(probs, reference), difference(from_files, probs[some])
    require_same(fp32, between="from torch in fp32")
    require_same(of_file, between="between its parts and the file")
    return Parity(probs, fp32, of_file, difference(probs, scored))


def difference(probs: np.ndarray, reference: np.ndarray) -> ProbDifference:
    """Of two (n, C). Another class counts unless it is as probable in the reference, but for MAX_DIFFERENCE."""
    best = reference.max(axis=1)
    of_chosen = np.take_along_axis(reference, probs.argmax(axis=1)[:, None], axis=1)[:, 0]
    changed = (best - of_chosen) > MAX_DIFFERENCE
    return ProbDifference(float(np.abs(probs - reference).max(initial=0)), int(changed.sum()), len(probs))


def probs_of_test(model: str, trained: TrainedModels) -> tuple[np.ndarray, np.ndarray]:
    """(n, C) probs of the test images, by the features of the backbones' graphs and by those of torch in fp32."""
    session = start_session(head_model(model, trained).SerializeToString())
    both = {each.name: load_test_features(trained.converted_dir(each.name)) for each in session.get_inputs()}
    exported, reference = (
        session.run([PROBABILITIES], {name: features[way] for name, features in both.items()})[0] for way in (0, 1)
    )
    return exported, reference


def probs_from_files(path: Path, images: Sequence[Encoded], *, batch_size: int, workers: int) -> np.ndarray:
    """(n, C) probs of images, by a copy of an exported file in a folder of its own, as a user would have them.

    Raises DataError for an image that has none.
    """
    with tempfile.TemporaryDirectory(prefix="tandem-export-") as elsewhere:
        copy = shutil.copyfile(path, Path(elsewhere) / "model.onnx")
        found = list(predict_files(images, load_exported(copy), batch_size=batch_size, workers=workers))
    probs = [each.probs for each in found if each.probs is not None]
    if len(probs) != len(found):
        failed = next(each for each in found if each.probs is None)
        raise DataError(f"{failed.path}: {failed.failure}; run `dvc repro` again")
    return np.stack(probs)


def evenly_spaced(num_images: int) -> np.ndarray:
    """(m,) positions of at most MAX_FILES of the test images."""
    return np.unique(np.linspace(0, num_images - 1, min(num_images, MAX_FILES)).astype(int))


def require_same(found: ProbDifference, *, between: str) -> None:
    """Raise DataError unless the probs are the same but for MAX_DIFFERENCE."""
    if not found.largest <= MAX_DIFFERENCE or found.changed_classes:  # nan is not the same either
        raise DataError(
            f"the exported model differs by {found.largest:.1e} in a prob and in {found.changed_classes} classes of "
            f"{found.images} images {between}; at most {MAX_DIFFERENCE:g} is allowed. Take another backbone"
        )
