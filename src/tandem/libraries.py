"""The libraries below: their versions, on which results depend, and that they report to nobody."""

import os
from collections.abc import Iterable


def versions_of(libraries: Iterable[str]) -> dict[str, str | None]:
    """Name of a package -> its version; None where it is not installed. Nothing is imported."""
    return {library: _version(library) for library in libraries}


def silence_reports() -> None:
    """Set what keeps ONNX Runtime from reporting its use to its makers; before anything imports it.

    From 1.32 on it does so from the tenth second of a process on. What FiftyOne, OpenVINO and DVC would report is off
    where each of them is set up.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def _version(library: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version  # 25 ms, which most processes do without

    try:
        return version(library)
    except PackageNotFoundError:
        return None
