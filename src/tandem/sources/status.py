"""What can be said of a source before anything is downloaded, in words."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from tandem.errors import SourceError
from tandem.sources.credentials import Credentials
from tandem.sources.settings import PINS
from tandem.sources.transfer.fetch import ServiceInfo


class SourceStatus(NamedTuple):
    """facts: what was checked -> what was found. is_available: whether nothing was found that prevents a download."""

    name: str
    what: str
    facts: Mapping[str, str]
    is_available: bool


def service_status(
    name: str,
    what: str,
    *,
    page: str,
    source: Any,
    find_credentials: Callable[[], Credentials],
    ask_service: Callable[[], ServiceInfo] | None,
) -> SourceStatus:
    """The status of a source that a service has. source: its description, with a version. ask_service: None offline."""
    facts = {"page": page, "credentials": "", "pin": pin_in_words(source), "service": "not asked"}
    is_available = True
    try:
        facts["credentials"] = find_credentials().origin
        if ask_service:
            info = ask_service()
            facts["service"], is_available = _info_in_words(info, source.version), source.version in info.versions
    except SourceError as error:
        facts["service" if facts["credentials"] else "credentials"], is_available = str(error), False
    return SourceStatus(name, what, facts, is_available)


def pin_in_words(source: Any) -> str:
    """What the description of a source pins: its version, if it has one, and the digest of its bytes."""
    values = asdict(source)
    key = next(key for key in PINS if key in values)
    version = f"version {values['version']}, " if "version" in values else ""
    return f"{version}{key} {values[key]}" if values[key] else f"{version}no {key}: any is taken"


def _info_in_words(info: ServiceInfo, version: int) -> str:
    if version not in info.versions:
        versions = ", ".join(map(str, info.versions)) or "none"
        return f"version {version} is not there; there are: {versions}; correct the version"
    licence = f"; licence {info.licence}" if info.licence else ""
    return f"version {version} is there, {max(info.versions)} is the current one; {info.size}{licence}"
