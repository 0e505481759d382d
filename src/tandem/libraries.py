"""The libraries below: their versions, on which results depend, and that they report to nobody."""

import os
from collections.abc import Iterable

_SILENT = {"ORT_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "RAY_USAGE_STATS_ENABLED": "0"}


def versions_of(libraries: Iterable[str]) -> dict[str, str | None]:
    """Name of a package -> its version; None where it is not installed. Nothing is imported."""
    return {library: _version(library) for library in libraries}


def silence_reports() -> None:
    """Set what keeps libraries from reporting their use to their makers; before anything imports them.

    ONNX Runtime does so from 1.32 on, from the tenth second of a process; the Hugging Face Hub's client where another
    library asks it to; Ray where it starts a cluster. What FiftyOne, OpenVINO and DVC would report is off where each of
    them is set up.
    """
    for variable, value in _SILENT.items():
        os.environ.setdefault(variable, value)


def _version(library: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version  # 25 ms, which most processes do without

    try:
        return version(library)
    except PackageNotFoundError:
        return None
