"""A function of tensors as a CUDA graph: its kernels are launched at once, and not one by one from Python."""

from collections.abc import Callable
from typing import Generic, TypeVar

import torch

_Outputs = TypeVar("_Outputs", torch.Tensor, tuple[torch.Tensor, ...])
WARM_UP = 3  # calls in which libraries choose kernels and allocate, which a capture does not allow


class GraphedCallable(Generic[_Outputs]):
    """Calls `function`, a few times as it is and from then on as a graph, on tensors of the shapes of the first call.

    What a call returns holds until the next one. What else the function reads must stay where it is.
    """

    def __init__(self, function: Callable[..., _Outputs]) -> None:
        self._function: Callable[..., _Outputs] = function
        self._num_calls = 0
        self._inputs: list[torch.Tensor] = []
        self._outputs: list[_Outputs] = []
        self._graph, self._stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()

    def __call__(self, *inputs: torch.Tensor) -> _Outputs:
        """What the function makes of the inputs, queued on the current stream."""
        self._num_calls += 1
        if self._num_calls <= WARM_UP:
            return self._call_directly(inputs)
        if self._num_calls == WARM_UP + 1:
            self._capture(inputs)
        for captured, tensor in zip(self._inputs, inputs, strict=True):
            captured.copy_(tensor)
        self._graph.replay()
        return self._outputs[0]

    def _capture(self, inputs: tuple[torch.Tensor, ...]) -> None:
        self._inputs = [tensor.clone() for tensor in inputs]
        # other threads may go on to pin memory and the like
        with torch.cuda.graph(self._graph, stream=self._stream, capture_error_mode="thread_local"):
            self._outputs = [self._function(*self._inputs)]

    def _call_directly(self, inputs: tuple[torch.Tensor, ...]) -> _Outputs:
        """On the stream of the capture, as torch asks for."""
        current = torch.cuda.current_stream()
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            outputs = self._function(*inputs)
        current.wait_stream(self._stream)
        return outputs
