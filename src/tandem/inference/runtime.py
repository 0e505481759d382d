"""ONNX Runtime, imported when a graph runs and not before."""

import sys
from typing import Any

from tandem.errors import DataError
from tandem.libraries import silence_reports


def start_session(data: bytes, *, threads: int = 0) -> Any:
    """An onnxruntime.InferenceSession on the CPU. threads: that compute; 0 is one a core.

    Raises DataError where ONNX Runtime is missing, and ValueError with one line where the data is no model.
    """
    silence_reports()
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as statuses
    except ImportError as error:
        raise DataError(
            f"ONNX Runtime in {sys.prefix} cannot be imported: {error}; install this project's requirements again"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 4  # what it logs, it raises as well
    try:
        # without the fallback, of which it tells on standard output, and which is the same provider once more
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except (
        statuses.InvalidProtobuf,
        statuses.InvalidGraph,
        statuses.Fail,
        statuses.InvalidArgument,
        statuses.NotImplemented,
    ) as error:
        raise ValueError(str(error).partition("\n")[0]) from None
