"""Feature fusion's layers, forward and backward: of several networks of one shape at once, as batched products.

Each backbone's features are projected to `width` and stand side by side; then come LayerNorm, dropout and a linear
layer three times (to width, to width / 2, to the classes) with ReLU between. In the recipe that this project began
from, the width is 1024. Gradients are written out (LayerNorm: Ba, Kiros & Hinton 2016), so that no training waits for
torch, whose import takes longer than many a training, and one step's calls serve all networks. Each has the same bytes
as alone.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

EPSILON = 1e-5  # of LayerNorm, as torch has it
NUM_STEPS = 3
_OF_PROJECTION, _OF_STEP = 2, 4  # arrays: weight, bias; gain, shift, weight, bias


class FusionShape(NamedTuple):
    """dims: columns of each backbone. Weights are (inputs, outputs)."""

    dims: tuple[int, ...]
    width: int
    num_classes: int

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """Columns before each step, and after the last."""
        return (self.width * len(self.dims), self.width, max(1, self.width // 2), self.num_classes)

    @property
    def arrays(self) -> list[tuple[int, ...]]:
        """The shape of each array of a network: weight and bias a projection; gain, shift, weight and bias a step."""
        projections = [shape for dim in self.dims for shape in ((dim, self.width), (self.width,))]
        steps = [shape for one, other in pairwise(self.sizes) for shape in ((one,), (one,), (one, other), (other,))]
        return [*projections, *steps]

    @property
    def num_weights(self) -> int:
        """Of a network, all in all."""
        return sum(int(np.prod(shape)) for shape in self.arrays)

    def split(self, weights: np.ndarray) -> list[np.ndarray]:
        """Views of weights (F, num_weights) of F networks: its arrays, each with F in front."""
        ends = np.cumsum([int(np.prod(shape)) for shape in self.arrays])
        parts = np.split(weights, ends[:-1], axis=1)
        return [part.reshape(len(weights), *shape) for part, shape in zip(parts, self.arrays, strict=True)]


class Passed(NamedTuple):
    """What a step leaves to its gradient: the normalised inputs, one over their deviation, what follows dropout."""

    normalized: np.ndarray
    scale: np.ndarray
    dropped: np.ndarray
    outputs: np.ndarray


def fused_logits(
    arrays: Sequence[np.ndarray],
    inputs: np.ndarray,
    masks: Sequence[np.ndarray] | None = None,
    passed: list[Passed] | None = None,
) -> np.ndarray:
    """(F, n, sum of dims) to (F, n, C) logits. arrays: as FusionShape.split gives them.

    masks: dropout's factors before each step. passed: gets what write_gradients needs.
    """
    columns, start = list[np.ndarray](), 0
    for weight, bias in projections_of(arrays):
        columns.append(inputs[..., start : start + weight.shape[1]] @ weight + bias[:, None])
        start += weight.shape[1]
    values = np.concatenate(columns, axis=-1)
    for number, (gain, shift, weight, bias) in enumerate(steps_of(arrays)):
        count = np.float32(values.shape[-1])
        normalized = values - np.add.reduce(values, axis=-1, keepdims=True) / count
        scale = 1 / np.sqrt(np.einsum("fni,fni->fn", normalized, normalized)[..., None] / count + np.float32(EPSILON))
        normalized *= scale
        dropped = normalized * gain[:, None]
        dropped += shift[:, None]
        if masks is not None:
            dropped *= masks[number]
        outputs = dropped @ weight
        outputs += bias[:, None]
        if passed is not None:
            passed.append(Passed(normalized, scale, dropped, outputs))
        values = np.maximum(outputs, 0)
    return outputs


def write_gradients(
    arrays: Sequence[np.ndarray],
    gradients: Sequence[np.ndarray],
    inputs: np.ndarray,
    masks: Sequence[np.ndarray],
    passed: Sequence[Passed],
    residual: np.ndarray,
) -> None:
    """Write the gradient of a loss into `gradients`, arrays of the same shapes. residual: (F, n, C), of its logits."""
    steps, of_steps = steps_of(arrays), steps_of(gradients)
    for number in reversed(range(NUM_STEPS)):
        gain, _, weight, _ = steps[number]
        of_gain, of_shift, of_weight, of_bias = of_steps[number]
        normalized, scale, dropped, outputs = passed[number]
        if number < NUM_STEPS - 1:
            residual = residual * (outputs > 0)
        np.matmul(dropped.swapaxes(1, 2), residual, out=of_weight)
        np.add.reduce(residual, axis=1, out=of_bias)
        residual = residual @ weight.swapaxes(1, 2)
        residual *= masks[number]
        np.add.reduce(residual, axis=1, out=of_shift)
        np.einsum("fni,fni->fi", residual, normalized, out=of_gain)
        residual *= gain[:, None]
        count = np.float32(residual.shape[-1])
        mean = np.add.reduce(residual, axis=-1, keepdims=True) / count
        along = np.einsum("fni,fni->fn", residual, normalized)[..., None] / count
        residual -= mean
        residual -= normalized * along
        residual *= scale
    start, column = 0, 0
    for of_weight, of_bias in projections_of(gradients):
        dim, width = of_weight.shape[1:]
        part = residual[..., column : column + width]
        np.matmul(inputs[..., start : start + dim].swapaxes(1, 2), part, out=of_weight)
        np.add.reduce(part, axis=1, out=of_bias)
        start, column = start + dim, column + width


def projections_of(arrays: Sequence[np.ndarray]) -> list[Sequence[np.ndarray]]:
    """Weight and bias of each backbone."""
    end = len(arrays) - NUM_STEPS * _OF_STEP
    return [arrays[at : at + _OF_PROJECTION] for at in range(0, end, _OF_PROJECTION)]


def steps_of(arrays: Sequence[np.ndarray]) -> list[Sequence[np.ndarray]]:
    """Gain, shift, weight and bias of each step."""
    return [arrays[at : at + _OF_STEP] for at in range(len(arrays) - NUM_STEPS * _OF_STEP, len(arrays), _OF_STEP)]
