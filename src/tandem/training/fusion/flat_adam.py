"""Adam on weights that lie in one row a network, with its L2 penalty, and the average of the weights over steps."""

from collections.abc import Sequence

import numpy as np

from tandem.training.fitting.early_stopping import BETA1, BETA2, EPSILON, average_fraction

_BLOCK = 2**15  # weights at a time: six rows of so many stay in a core's cache through all of a step's passes


class FlatAdam:
    """weights: (F, P) float32 of F networks, moved in place. gradients: where a step's are to be written.

    averages: (F, P), see average_fraction.
    """

    def __init__(self, weights: np.ndarray, *, weight_decay: float) -> None:
        self.weights, self.weight_decay, self.num_steps = weights, weight_decay, 0
        self.gradients, self.averages, self._means, self._squares = (np.zeros_like(weights) for _ in range(4))
        self._scratch = np.empty(_BLOCK, np.float32)

    def keep(self, is_kept: np.ndarray) -> None:
        """Go on with some of the networks. is_kept: (F,)."""
        self.weights, self.gradients, self.averages, self._means, self._squares = (
            each[is_kept] for each in (self.weights, self.gradients, self.averages, self._means, self._squares)
        )

    def step(self, lr: Sequence[float]) -> None:
        """One step along the gradients, which it overwrites. lr: (F,)."""
        self.num_steps += 1
        fraction = np.float32(average_fraction(np.array(self.num_steps)))
        # means and squares are sums without the factors of Adam's, which the rate and epsilon have instead
        of_mean = (1 - BETA1) / (1 - BETA1**self.num_steps)
        of_root = float(np.sqrt((1 - BETA2) / (1 - BETA2**self.num_steps)))
        epsilon = np.float32(EPSILON / of_root)
        for number, each in enumerate(lr):
            rate = np.float32(each * of_mean / of_root)
            for start in range(0, self.weights.shape[1], _BLOCK):
                self._step_block(number, slice(start, start + _BLOCK), rate, epsilon, fraction)

    def _step_block(
        self, number: int, block: slice, rate: np.float32, epsilon: np.float32, fraction: np.float32
    ) -> None:
        weights, gradients, means, squares, averages = (
            rows[number, block] for rows in (self.weights, self.gradients, self._means, self._squares, self.averages)
        )
        scratch = self._scratch[: len(weights)]
        if self.weight_decay:
            gradients += np.multiply(weights, np.float32(self.weight_decay), out=scratch)
        means *= np.float32(BETA1)
        means += gradients
        squares *= np.float32(BETA2)
        gradients *= gradients
        squares += gradients
        np.sqrt(squares, out=scratch)
        scratch += epsilon
        np.divide(means, scratch, out=scratch)
        scratch *= rate
        weights -= scratch
        np.subtract(weights, averages, out=scratch)
        scratch *= fraction
        averages += scratch
