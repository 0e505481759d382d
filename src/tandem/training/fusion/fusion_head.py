"""A trained network of feature fusion as a head of the pipeline: it reads the backbones' features side by side."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from tandem.files import atomic_file, load_arrays, reading
from tandem.training.fusion.layers import FusionShape, fused_logits

FILE = "fusion.npz"
_BATCH_SIZE = 4096  # rows; what is held beside the features


class FusionHead(NamedTuple):
    """mean, std: (D,) float32 of the features it was fitted to. arrays: see FusionShape.arrays, float32."""

    mean: np.ndarray
    std: np.ndarray
    shape: FusionShape
    arrays: tuple[np.ndarray, ...]

    def logits(self, features: np.ndarray) -> np.ndarray:
        """(n, D) float32 to (n, C) float32 logits; of (n, k, D) TTA views, the mean over the k views."""
        rows = features.reshape(-1, features.shape[-1])
        arrays = [array[None] for array in self.arrays]
        with threadpool_limits(limits=1):  # sums do not depend, to the last bit, on how many cores there are
            parts = [
                fused_logits(arrays, ((rows[start : start + _BATCH_SIZE] - self.mean) / self.std)[None])[0]
                for start in range(0, max(1, len(rows)), _BATCH_SIZE)
            ]
        logits = np.concatenate(parts)
        return logits.reshape(*features.shape[:-1], -1).mean(axis=1) if features.ndim == 3 else logits

    def scaled(self, temperature: float) -> "FusionHead":
        """The head whose logits are divided by a temperature."""
        factor = np.float32(1 / temperature)
        *others, weight, bias = self.arrays
        return self._replace(arrays=(*others, weight * factor, bias * factor))

    def save(self, folder: Path) -> None:
        """Write the arrays into a folder as fusion.npz, whole or not at all."""
        numbered = {str(number): array for number, array in enumerate(self.arrays)}
        sizes = np.array([self.shape.width, self.shape.num_classes, *self.shape.dims])
        with atomic_file(folder / FILE) as temporary, temporary.open("wb") as file:
            np.savez(file, **{"mean": self.mean, "std": self.std, "sizes": sizes, **numbered})  # type: ignore[arg-type]


def load_fusion(path: Path) -> FusionHead:
    """Read what FusionHead.save wrote. Raises DamagedFileError."""
    mean, std, sizes = load_arrays(path, ("mean", "std", "sizes"))
    with reading(path):
        width, num_classes, *dims = (int(size) for size in sizes)
        shape = FusionShape(tuple(dims), width, num_classes)
        expected = [(sum(dims),), (sum(dims),), *shape.arrays]
    arrays = load_arrays(path, [str(number) for number in range(len(shape.arrays))])
    with reading(path):
        if [each.shape for each in (mean, std, *arrays)] != expected:
            raise ValueError("its arrays do not fit one another")
        if not all(np.isfinite(each).all() and each.dtype == np.float32 for each in (mean, std, *arrays)):
            raise ValueError("its arrays are not finite float32")
    return FusionHead(mean, std, shape, arrays)
