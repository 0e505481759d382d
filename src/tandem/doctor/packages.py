"""Python and the installed packages, held against the ranges of this package and against the pinned set."""

import platform
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, distributions
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tandem.doctor.findings import Diagnosis

_NAME = "tandem"
_MAX_NAMED = 6
_INSTALL = "`make -B setup` in the project installs them anew"


@dataclass(frozen=True)
class Installation:
    """versions: package -> version, all that are installed. requirements: what this package asks for, by its metadata.

    python_range: which versions of Python it runs on. pair: what torchvision asks of torch. pinned: package -> version
    in the project's requirements.lock, nothing without one.
    """

    python: str
    prefix: str
    python_range: str
    versions: Mapping[str, str]
    requirements: tuple[str, ...]
    pair: str
    pinned: Mapping[str, str]


def read_installation(lock: Path | None) -> Installation:
    """Of this Python. Nothing is imported. lock: a file of pinned packages, which may be missing."""
    own, torchvision = _metadata(_NAME), _metadata("torchvision")
    return Installation(
        python=platform.python_version(),
        prefix=sys.prefix,
        python_range=own[1],
        versions={canonicalize_name(each.name): each.version for each in distributions() if each.name},
        requirements=own[0],
        pair=next((text for text in torchvision[0] if Requirement(text).name == "torch"), "torch"),
        pinned=read_pins(lock.read_text(encoding="utf-8")) if lock and lock.is_file() else {},
    )


def _metadata(name: str) -> tuple[tuple[str, ...], str]:
    """What a package asks for, and of which Pythons; nothing of one that is not installed."""
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return (), ""
    return tuple(found.requires or ()), str(found.metadata.json.get("requires_python", ""))


def read_pins(text: str) -> dict[str, str]:
    """Package -> version of a requirements file, of lines that are for this machine."""
    pins = dict[str, str]()
    for line in text.splitlines():
        try:
            each = Requirement(line.partition(" #")[0].rstrip("\\ ")) if line and line[0].isalnum() else None
        except InvalidRequirement:
            continue
        if each and (not each.marker or each.marker.evaluate()):
            pins |= {canonicalize_name(each.name): spec.version for spec in each.specifier if spec.operator == "=="}
    return pins


def judge_installation(found: Installation) -> list[Diagnosis]:
    """Python, the ranges, torch beside torchvision, and the pinned set where there is one."""
    pinned = [_judge_pins(found.versions, found.pinned)] if found.pinned else []
    return [_judge_python(found), _judge_ranges(found), _judge_pair(found), *pinned]


def _judge_python(found: Installation) -> Diagnosis:
    text = f"{found.python} in {found.prefix}"
    if not SpecifierSet(found.python_range).contains(found.python, prereleases=True):
        return Diagnosis("Python", "error", f"{text}; {found.python_range} is needed", "install another one")
    return Diagnosis("Python", "ok", text)


def judge_python_of_stages(found: str | None, *, prefix: str) -> list[Diagnosis]:
    """found: which `python` a shell starts, as DVC starts the stages; None without one. prefix: of this Python."""
    subject, activate = "python of the stages", f"`source {Path(prefix) / 'bin/activate'}`"
    if found is None:
        return [Diagnosis(subject, "error", "there is no `python` on PATH, which DVC starts the stages by", activate)]
    if Path(found).parent.parent.resolve() != Path(prefix).resolve():
        return [Diagnosis(subject, "note", f"DVC starts them by {found}, what is checked here is {prefix}", activate)]
    return [Diagnosis(subject, "ok", found)]


def _judge_ranges(found: Installation) -> Diagnosis:
    subject = "packages"
    if not found.requirements:
        what = f"{_NAME} is not installed in {found.prefix}, so that the ranges of its packages are not known"
        return Diagnosis(subject, "note", what, _INSTALL)
    wanted = [Requirement(text) for text in found.requirements]
    wanted = [each for each in wanted if not each.marker or each.marker.evaluate({"extra": ""})]
    problems = [text for each in wanted if (text := _range_problem(each, found.versions))]
    if problems:
        return Diagnosis(subject, "error", "; ".join(problems), _INSTALL)
    return Diagnosis(subject, "ok", f"all {len(wanted)} are in the ranges that were tested")


def _range_problem(wanted: Requirement, versions: Mapping[str, str]) -> str:
    version = versions.get(canonicalize_name(wanted.name))
    if version is None:
        return f"{wanted.name} is missing"
    is_right = wanted.specifier.contains(version, prereleases=True)
    return "" if is_right else f"{wanted.name} {version} is installed, {wanted.specifier} is needed"


def _judge_pair(found: Installation) -> Diagnosis:
    torch, torchvision = (found.versions.get(name, "missing") for name in ("torch", "torchvision"))
    text = f"torch {torch}, torchvision {torchvision}"
    if "missing" in (torch, torchvision):
        return Diagnosis("torch", "error", text, _INSTALL)
    if problem := _range_problem(Requirement(found.pair), found.versions):
        return Diagnosis("torch", "error", f"{text} do not match: {problem} by torchvision", _INSTALL)
    return Diagnosis("torch", "ok", text)


def _judge_pins(versions: Mapping[str, str], pinned: Mapping[str, str]) -> Diagnosis:
    subject = "requirements.lock"
    others = [f"{name} {versions[name]} for {pin}" for name, pin in pinned.items() if versions.get(name, pin) != pin]
    missing = [name for name in pinned if name not in versions]
    parts = [_named(others, "others"), _named(missing, "missing")]
    if text := "; ".join(part for part in parts if part):
        return Diagnosis(subject, "note", text, f"{_INSTALL} as they were tested")
    return Diagnosis(subject, "ok", f"all {len(pinned)} packages are installed as pinned")


def _named(names: Iterable[str], what: str) -> str:
    listed = list(names)
    more = f" and {len(listed) - _MAX_NAMED} more" if len(listed) > _MAX_NAMED else ""
    return f"{len(listed)} {what}: {', '.join(listed[:_MAX_NAMED])}{more}" if listed else ""
