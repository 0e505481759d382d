"""What can be said of each source before anything is downloaded: credentials, pin, and what the service has."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from tandem.errors import SourceError
from tandem.sources import credentials, kaggle, roboflow
from tandem.sources.settings import Source
from tandem.sources.transfer.attempt import Limits
from tandem.sources.transfer.fetch import ServiceInfo

_ASK = {"kaggle": (kaggle, "dataset", credentials.kaggle), "roboflow": (roboflow, "project", credentials.roboflow)}
_PINS = {"kaggle": "sha256", "archive": "sha256", "roboflow": "tree_sha256"}
_LIMITS = Limits(silence_s=20, grace_s=20, total_s=120)  # of a question; a download may take longer


class SourceStatus(NamedTuple):
    """facts: what was looked at -> what was found, in words. is_good: whether nothing stands in a download's way."""

    name: str
    what: str
    facts: Mapping[str, str]
    is_good: bool


def check_source(
    name: str, source: Source, *, environ: Mapping[str, str], is_online: bool, limits: Limits = _LIMITS
) -> SourceStatus:
    """Look at `sources.<name>` of the parameters. is_online: whether its service is asked; nothing is downloaded."""
    kind, asked = source.kind, asdict(source.description)
    if kind in _ASK:
        return _inspect_service(name, kind, asked, limits, environ, is_online)
    if kind == "archive":
        is_there = Path(asked["path"]).exists()
        facts = {"pin": _pin(kind, asked), "disk": "it is there" if is_there else "it is not there; put it there"}
        return SourceStatus(name, f"archive {asked['path']}", facts, is_there)
    return SourceStatus(name, "synthetic sample", {"pin": f"seed {asked['seed']}"}, is_good=True)


def format_statuses(findings: list[SourceStatus]) -> str:
    """Findings as text: a paragraph a source."""
    return "\n\n".join(
        "\n".join((f"{each.name}: {each.what}", *(f"  {fact.ljust(12)} {found}" for fact, found in each.facts.items())))
        for each in findings
    )


def _inspect_service(
    name: str, kind: str, asked: Mapping[str, Any], limits: Limits, environ: Mapping[str, str], is_online: bool
) -> SourceStatus:
    service, key, find = _ASK[kind]
    facts = {"page": service.page(asked[key]), "credentials": "", "pin": _pin(kind, asked), "service": "not asked"}
    is_good = True
    try:
        facts["credentials"] = f"{find(environ).origin}"
        if is_online:
            known = _standing(kind, asked, limits, environ)
            facts["service"], is_good = _told(known, asked["version"]), asked["version"] in known.versions
    except SourceError as error:
        facts["service" if facts["credentials"] else "credentials"], is_good = str(error), False
    return SourceStatus(name, f"{kind} {asked[key]}", facts, is_good)


def _standing(kind: str, asked: Mapping[str, Any], limits: Limits, environ: Mapping[str, str]) -> ServiceInfo:
    if kind == "kaggle":
        return kaggle.service_info(dataset=asked["dataset"], limits=limits, environ=environ)
    project, version = asked["project"], asked["version"]
    return roboflow.service_info(project=project, version=version, limits=limits, environ=environ)


def _pin(kind: str, asked: Mapping[str, Any]) -> str:
    key = _PINS[kind]
    version = f"version {asked['version']}, " if "version" in asked else ""
    return f"{version}{key} {asked[key]}" if asked.get(key) else f"{version}no {key}: any is taken"


def _told(known: ServiceInfo, version: int) -> str:
    if version not in known.versions:
        found = ", ".join(map(str, known.versions)) or "none"
        return f"version {version} is not there; there are: {found}; correct the version"
    licence = f"; licence {known.licence}" if known.licence else ""
    return f"version {version} is there, {max(known.versions)} is the current one; {known.size}{licence}"
