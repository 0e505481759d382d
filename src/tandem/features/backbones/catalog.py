"""The names of torchvision's classifiers and of their weights, read from its source: importing it takes seconds.

tests/features/test_catalog.py holds them against what torchvision says of itself.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from tandem.errors import WeightsError, did_you_mean
from tandem.features.settings import RANDOM

_BUILDER = re.compile(
    r'^@register_model\((?:name="(?P<other>\w+)")?\)\n(?:(?!def ).*\n)*?'
    r"def (?P<name>\w+)\([^)]*?weights: Optional\[(?P<weights>\w+)\]",
    re.MULTILINE,
)
_WEIGHTS = re.compile(r"^class (\w+)\(WeightsEnum\):\n((?:[ \t].*\n|\n)+)", re.MULTILINE)
_MEMBER = re.compile(r"^    (\w+) = Weights\(", re.MULTILINE)
_URL, _MEBIBYTES = re.compile(r'url="([^"]+)"'), re.compile(r'"_file_size": ([\d.]+)')


class WeightsFile(NamedTuple):
    """A file of weights that torchvision downloads."""

    url: str
    num_bytes: int


@cache
def torchvision_weights() -> Mapping[str, tuple[str, ...]]:
    """Architecture -> the names of its weights; nothing where torchvision's source is not to be read."""
    return {architecture: tuple(_MEMBER.findall(body)) for architecture, body in _weights_classes().items()}


def torchvision_file(architecture: str, weights: str) -> WeightsFile | None:
    """The file of weights of this name; None where torchvision's source does not say."""
    _, *parts = _MEMBER.split(_weights_classes().get(architecture, ""))
    body = dict(zip(parts[::2], parts[1::2], strict=True)).get(weights, "")
    url, size = _URL.search(body), _MEBIBYTES.search(body)
    return WeightsFile(url[1], round(float(size[1]) * 2**20)) if url and size else None


@cache
def _weights_classes() -> Mapping[str, str]:
    """Architecture -> the body of the class that lists its weights, "" where there is none."""
    spec = find_spec("torchvision")
    if spec is None or not spec.origin:
        return {}
    found: dict[str, str] = {}
    for path in sorted((Path(spec.origin).parent / "models").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        weights = dict(_WEIGHTS.findall(text))
        found |= {each["other"] or each["name"]: weights.get(each["weights"], "") for each in _BUILDER.finditer(text)}
    return dict(sorted(found.items()))


def require_architecture(backbone: str, architecture: str, known: Iterable[str]) -> None:
    """Raise WeightsError where the architecture of a backbone is none of those that are known."""
    names = list(known)
    if architecture not in names:
        advice = did_you_mean(architecture, names)
        raise WeightsError(
            f"backbones.{backbone}: there is no architecture {architecture!r}; {advice}take one of: {', '.join(names)}"
        )


def require_weights_name(architecture: str, weights: str, known: Iterable[str]) -> None:
    """Raise WeightsError where weights are none of those of the architecture that are known by a name."""
    names = list(known)
    if weights not in names:
        raise WeightsError(
            f"{architecture} has no weights {weights!r}; {did_you_mean(weights, [*names, RANDOM])}torchvision has "
            f"{', '.join(names) or 'none'}; take one of those, a file with its sha256 beside it, or random"
        )
