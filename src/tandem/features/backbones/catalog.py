"""The names of the providers' classifiers and of their weights, read from their source: importing it takes seconds.

tests/features/test_catalog.py holds them against what torchvision and timm say of themselves.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from tandem.errors import WeightsError, did_you_mean
from tandem.features.settings import RANDOM, BackboneSettings, ProviderName

_BUILDER = re.compile(
    r'^@register_model\((?:name="(?P<other>\w+)")?\)\n(?:(?!def ).*\n)*?'
    r"def (?P<name>\w+)\([^)]*?weights: Optional\[(?P<weights>\w+)\]",
    re.MULTILINE,
)
_WEIGHTS = re.compile(r"^class (\w+)\(WeightsEnum\):\n((?:[ \t].*\n|\n)+)", re.MULTILINE)
_MEMBER = re.compile(r"^    (\w+) = Weights\(", re.MULTILINE)
_TIMM_BUILDER = re.compile(r"^@register_model\ndef (\w+)\(", re.MULTILINE)
_TIMM_WEIGHTS = re.compile(r"""^\s+['"](\w+)\.(\w+)['"]\s*:""", re.MULTILINE)
_UNTRAINED = "untrained"  # timm's tag of architectures without weights
_MANY = 200  # names, which a message does not list
_URL, _MEBIBYTES = re.compile(r'url="([^"]+)"'), re.compile(r'"_file_size": ([\d.]+)')


class WeightsFile(NamedTuple):
    """A file of weights that torchvision downloads."""

    url: str
    num_bytes: int


@cache
def torchvision_weights() -> Mapping[str, tuple[str, ...]]:
    """Architecture -> the names of its weights; nothing where torchvision's source is not to be read."""
    return {architecture: tuple(_MEMBER.findall(body)) for architecture, body in _weights_classes().items()}


@cache
def timm_weights() -> Mapping[str, tuple[str, ...]]:
    """The same of timm, whose weights have the names of its tags."""
    names, tags = list[str](), list[tuple[str, str]]()
    for text in _sources("timm"):
        names += _TIMM_BUILDER.findall(text)
        tags += _TIMM_WEIGHTS.findall(text)
    found: dict[str, list[str]] = {name: [] for name in sorted(names)}
    for name, tag in tags:
        if name in found and tag != _UNTRAINED and tag not in found[name]:
            found[name].append(tag)
    return {name: tuple(tags_of) for name, tags_of in found.items()}


def known_weights(provider: ProviderName) -> Mapping[str, tuple[str, ...]]:
    """Of a provider; nothing where its names are not known without its import."""
    readers = {"torchvision": torchvision_weights, "timm": timm_weights}
    return readers[provider]() if provider in readers else {}


def torchvision_file(architecture: str, weights: str) -> WeightsFile | None:
    """The file of weights of this name; None where torchvision's source does not say."""
    _, *parts = _MEMBER.split(_weights_classes().get(architecture, ""))
    body = dict(zip(parts[::2], parts[1::2], strict=True)).get(weights, "")
    url, size = _URL.search(body), _MEBIBYTES.search(body)
    return WeightsFile(url[1], round(float(size[1]) * 2**20)) if url and size else None


@cache
def _weights_classes() -> Mapping[str, str]:
    """Architecture -> the body of the class that lists its weights, "" where there is none."""
    found: dict[str, str] = {}
    for text in _sources("torchvision"):
        weights = dict(_WEIGHTS.findall(text))
        found |= {each["other"] or each["name"]: weights.get(each["weights"], "") for each in _BUILDER.finditer(text)}
    return dict(sorted(found.items()))


def _sources(library: str) -> Iterator[str]:
    """The text of each of a library's modules of classifiers; none where it is not to be read."""
    spec = find_spec(library)
    if spec and spec.origin:
        for path in sorted((Path(spec.origin).parent / "models").glob("*.py")):
            yield path.read_text(encoding="utf-8")


def require_known(name: str, backbone: BackboneSettings) -> None:
    """Raise WeightsError where a backbone's provider lacks its architecture, or weights that have a name.

    name: the backbone's own. What cannot be known without the provider's import, its stage finds.
    """
    known, provider, architecture = known_weights(backbone.provider), backbone.provider, backbone.architecture or name
    if not known:
        return
    require_architecture(name, architecture, known, provider=provider)
    base = architecture.partition(".")[0]
    names = known[base]
    if backbone.sha256 is None and backbone.weights != RANDOM and (names or provider != "timm"):
        require_weights_name(base, backbone.weights, names, provider=provider)


def require_architecture(backbone: str, architecture: str, known: Iterable[str], *, provider: ProviderName) -> None:
    """Raise WeightsError where the architecture of a backbone is none of those that are known of the provider.

    timm's names may end with a tag.
    """
    names, base = list(known), architecture.partition(".")[0] if provider == "timm" else architecture
    if base not in names:
        advice = _other_provider(base, provider) or did_you_mean(base, names)
        is_short = not advice and len(names) < _MANY
        listed = f"take one of: {', '.join(names)}" if is_short else f"it has {len(names):,} others"
        raise WeightsError(f"backbones.{backbone}: there is no architecture {base!r} in {provider}; {advice}{listed}")


def require_weights_name(architecture: str, weights: str, known: Iterable[str], *, provider: ProviderName) -> None:
    """Raise WeightsError where weights are none of those of the architecture that are known by a name."""
    names = list(known)
    if weights not in names:
        raise WeightsError(
            f"{architecture} has no weights {weights!r}; {did_you_mean(weights, [*names, RANDOM])}{provider} has "
            f"{', '.join(names) or 'none'}; take one of those, a file with its sha256 beside it, or random"
        )


def _other_provider(architecture: str, provider: ProviderName) -> str:
    """Advice where another provider has what this one has not."""
    others: tuple[ProviderName, ...] = ("torchvision", "timm")
    has_it = [other for other in others if other != provider and architecture in known_weights(other)]
    return f"{has_it[0]} has it: write `provider: {has_it[0]}` beside it; " if has_it else ""
