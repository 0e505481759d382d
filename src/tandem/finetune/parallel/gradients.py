"""The gradient of a batch as a sum over its micro-batches in their order, whichever process computes which.

So it is the same bytes for every number of processes, as a training by "virtual nodes" is (Or et al., "VirtualFlow",
2022; Li et al., "EasyScale", 2023). BatchNorm takes its statistics of a micro-batch, as torch's
DistributedDataParallel does of a process's part; what is kept of them is their mean.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from tandem.features.cuda_graph import GraphedCallable
from tandem.finetune.parallel.processes import Processes
from tandem.seeding import seeded

Loss = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


def micro_batch_seed(seed: int, *, epoch: int, batch: int, number: int) -> int:
    """Of what one micro-batch draws from torch's generators."""
    return int(np.random.SeedSequence([seed, epoch, batch, number]).generate_state(1)[0])


class BatchGradient:
    """Gradients of parameters, BatchNorm's running statistics of modules, loss and accuracy of a batch, as one vector.

    loss: pixels and targets of a micro-batch to its mean loss and accuracy. parameters get their gradients here. All
    tensors are float32 on one device.
    """

    def __init__(
        self,
        loss: Loss,
        parameters: Sequence[nn.Parameter],
        modules: Sequence[nn.Module],
        *,
        processes: Processes,
        device: torch.device,
    ) -> None:
        self._loss, self._parameters, self._processes, self._device = loss, list(parameters), processes, device
        self._state = list(chain.from_iterable(module.buffers() for module in modules))
        self._before = [buffer.clone() for buffer in self._state]
        self._statistics = list(_running_statistics(modules))
        tensors = [*self._parameters, *self._statistics]
        self._num_values = sum(tensor.numel() for tensor in tensors) + 2
        length = -(-self._num_values // processes.count) * processes.count
        self._own, self._sum = (torch.zeros(length, device=device) for _ in range(2))
        self._own_parts, self._sum_parts = (_views(flat, tensors) for flat in (self._own, self._sum))
        for parameter, gradient in zip(self._parameters, self._sum_parts, strict=False):
            parameter.grad = gradient
        self._graphs = dict[tuple[int, int], GraphedCallable[torch.Tensor]]()

    def sum_up(self, parts: Sequence[torch.Tensor], *, num_images: int, count: int, seeds: Sequence[int]) -> None:
        """The mean over a batch of num_images in `count` micro-batches, of which this process has `parts`.

        parts: pixels and targets of each of its own, in turn. seeds: of all micro-batches.
        """
        processes, total = self._processes, self._sum.view(self._processes.count, -1)[self._processes.number]
        torch._foreach_copy_(self._before, self._state)
        for number in range(0, count, processes.count):
            own = number + processes.number
            if own < count:
                pixels, targets = parts[2 * (number // processes.count) :][:2]
                with seeded(seeds[own], self._device):
                    self._compute(pixels, targets, num_images)
            for at, values in enumerate(processes.exchange(self._own)[: count - number], number):
                total.add_(values) if at else total.copy_(values)
        processes.gather(self._sum)

    def finish(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Set the statistics; loss and accuracy. To be called before the sum is used: part of a CUDA graph."""
        num_parameters = len(self._parameters)
        if self._statistics:
            torch._foreach_copy_(self._statistics, self._sum_parts[num_parameters:])
        loss, accuracy = self._sum[self._num_values - 2 : self._num_values].clone()
        return loss, accuracy

    def _compute(self, pixels: torch.Tensor, targets: torch.Tensor, num_images: int) -> None:
        if self._device.type != "cuda":
            self._fill(pixels, targets, num_images=num_images)
            return
        shape = len(pixels), num_images
        if shape not in self._graphs:
            self._graphs[shape] = GraphedCallable(partial(self._fill, num_images=num_images))
        self._graphs[shape](pixels, targets)

    def _fill(self, pixels: torch.Tensor, targets: torch.Tensor, *, num_images: int) -> torch.Tensor:
        """This micro-batch's part of the batch's mean."""
        if self._state:
            torch._foreach_copy_(self._state, self._before)  # as for all micro-batches of the step
        loss, accuracy = self._loss(pixels, targets)
        weight = len(pixels) / num_images
        gradients = torch.autograd.grad(loss * weight, self._parameters, allow_unused=True, materialize_grads=True)
        with torch.no_grad():
            torch._foreach_copy_(self._own_parts, [*gradients, *self._statistics])
            if self._statistics:
                torch._foreach_mul_(self._own_parts[len(gradients) :], weight)
            self._own[self._num_values - 2 : self._num_values] = torch.stack([loss.detach(), accuracy]) * weight
        return self._own


def _running_statistics(modules: Sequence[nn.Module]) -> Iterator[torch.Tensor]:
    for module in {id(each): each for one in modules for each in one.modules()}.values():
        if isinstance(module, _BatchNorm) and module.running_mean is not None and module.running_var is not None:
            yield from (module.running_mean, module.running_var)


def _views(flat: torch.Tensor, tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Of parts of a vector, one after the other, each laid out as a tensor is."""
    ends = np.cumsum([tensor.numel() for tensor in tensors]).tolist()
    parts = zip(tensors, [0, *ends], ends, strict=False)
    return [flat[start:end].as_strided(tensor.shape, torch.empty_like(tensor).stride()) for tensor, start, end in parts]
