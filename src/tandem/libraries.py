"""Versions of the libraries that a result depends on, so that what was kept of another version is not taken for it."""

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version


def versions_of(libraries: Iterable[str]) -> dict[str, str | None]:
    """Name of a package -> its version; None where it is not installed. Nothing is imported."""
    return {library: _version(library) for library in libraries}


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
