"""Adam on weights in rows against torch's."""

import numpy as np
import pytest
import torch

from tandem.training.fusion.flat_adam import FlatAdam

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_steps_are_those_of_torch_and_the_average_that_of_the_weights_after_each(weight_decay: float) -> None:
    weights = RNG.normal(size=(2, 40_000)).astype(np.float32)  # more than are taken at a time
    lrs, gradients = [0.1, 0.003], RNG.normal(size=(6, 2, 40_000)).astype(np.float32)
    references = [torch.from_numpy(row.copy()).requires_grad_() for row in weights]
    optimizers = [
        torch.optim.Adam([row], lr=lr, weight_decay=weight_decay) for row, lr in zip(references, lrs, strict=True)
    ]
    adam, averages = FlatAdam(weights, weight_decay=weight_decay), np.zeros((2, 40_000))
    for step, of_step in enumerate(gradients, 1):
        adam.gradients[:] = of_step
        adam.step(lrs)
        for row, gradient, optimizer in zip(references, of_step, optimizers, strict=True):
            row.grad = torch.from_numpy(gradient.copy())
            optimizer.step()
        now = np.stack([row.detach().numpy() for row in references])
        averages += (now - averages) * 4 / (step + 3)
    np.testing.assert_allclose(adam.weights, now, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(adam.averages, averages, rtol=1e-4, atol=1e-5)


def test_networks_that_are_kept_go_on_as_if_they_were_alone() -> None:
    weights, gradients = RNG.normal(size=(3, 50)).astype(np.float32), RNG.normal(size=(4, 3, 50)).astype(np.float32)
    alone, together = FlatAdam(weights[[1]], weight_decay=0.01), FlatAdam(weights, weight_decay=0.01)
    for number, of_step in enumerate(gradients):
        if number == 2:
            together.keep(np.array([False, True, False]))
        for adam, rows in ((alone, of_step[[1]]), (together, of_step if number < 2 else of_step[[1]])):
            adam.gradients[:] = rows
            adam.step([0.1] * len(rows))
    assert alone.weights.tobytes() == together.weights.tobytes()
    assert alone.averages.tobytes() == together.averages.tobytes()
