"""The license of each source, and what the licenses of all of them together ask for. It is no legal advice.

Names are those of SPDX (https://spdx.org/licenses). What each license allows is a short reading of its text: whether
what is made of the images may be used commercially, whether changed images may be handed on, whether under the same
license alone (share-alike), and whether the makers are to be named. Which of them can be joined in one changed work
follows from these four; for those of Creative Commons it is the chart at
https://wiki.creativecommons.org/wiki/Wiki/cc_license_compatibility, against which the tests hold it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, NamedTuple

PARAMETER = "report.licenses"  # by which a user states what no file and no service does

ConsequenceKind = Literal["incompatible", "unknown", "no_derivatives", "not_commercial", "share_alike", "attribution"]


class Terms(NamedTuple):
    """What a license allows (commercial, derivatives) and asks for (share_alike, attribution)."""

    commercial: bool
    derivatives: bool
    share_alike: bool
    attribution: bool


@dataclass(frozen=True)
class License:
    """One license. name: to print. spdx: its id, "" where it has none or its version is not stated.

    hub: its id at Hugging Face, "unknown" or "other" where that has none. terms: None where they are not known. family:
    what is under licenses of one family can be handed on under the latest of them.
    """

    name: str
    spdx: str
    hub: str
    terms: Terms | None
    family: str

    @property
    def url(self) -> str:
        """Of its text, "" where it has no id."""
        return f"https://spdx.org/licenses/{self.spdx}.html" if self.spdx else ""


class SourceLicense(NamedTuple):
    """Of one source. stated: the words of it. by: who states it, "files or service" or "user"."""

    source: str
    stated: str
    by: str
    licenses: tuple[License, ...]


class Consequence(NamedTuple):
    """What follows from the licenses of some sources. text: one or two sentences for people."""

    kind: ConsequenceKind
    sources: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Licensing:
    """rows: one a source. findings: the gravest kinds first; those of the kind "incompatible" name two sources each."""

    rows: tuple[SourceLicense, ...]
    findings: tuple[Consequence, ...]

    @property
    def hub_ids(self) -> tuple[str, ...]:
        """The different licenses as Hugging Face names them, for the head of a card."""
        return tuple(dict.fromkeys(each.hub for row in self.rows for each in row.licenses))


_FREE = Terms(commercial=True, derivatives=True, share_alike=False, attribution=False)
_NAMED = _FREE._replace(attribution=True)
_SHARED = _NAMED._replace(share_alike=True)
_OTHERS: Mapping[str, tuple[Terms, str, tuple[str, ...]]] = {  # spdx -> terms, Hugging Face's id, other names
    "CC0-1.0": (_FREE, "cc0-1.0", ("cc0", "cc0 public domain", "cc0 1 0 universal", "cc zero", "zero 1 0")),
    "PDDL-1.0": (_FREE, "pddl", ("pddl", "odc public domain dedication and licence pddl", "odc pddl")),
    "Unlicense": (_FREE, "unlicense", ("the unlicense",)),
    "DbCL-1.0": (_FREE, "other", ("dbcl", "database contents license")),
    "MIT": (_NAMED, "mit", ("mit license", "the mit license")),
    "Apache-2.0": (_NAMED, "apache-2.0", (
        "apache license", "apache 2 0 license", "apache license 2 0", "apache license version 2 0",
    )),
    "BSD-2-Clause": (_NAMED, "bsd-2-clause", ("bsd 2 clause license",)),
    "BSD-3-Clause": (_NAMED, "bsd-3-clause", ("bsd", "bsd 3 clause license")),
    "ODC-By-1.0": (_NAMED, "odc-by", ("odc by", "odc attribution license", "odc attribution license odc by")),
    "CDLA-Permissive-1.0": (_NAMED, "cdla-permissive-1.0", (
        "community data license agreement permissive version 1 0", "community data license agreement permissive 1 0",
    )),
    "CDLA-Permissive-2.0": (_NAMED, "cdla-permissive-2.0", (
        "community data license agreement permissive version 2 0",
    )),
    "CDLA-Sharing-1.0": (_SHARED, "cdla-sharing-1.0", ("community data license agreement sharing version 1 0",)),
    "ODbL-1.0": (_SHARED, "odbl", (
        "odbl", "odbl v1 0", "open database license", "odc open database license odbl",
        "database open database contents database contents", "open data commons open database license",
        "open data commons open database license odbl", "open database license odbl v1 0",
    )),
    "GPL-2.0-only": (_SHARED, "gpl-2.0", ("gpl 2", "gpl 2 0", "gpl v2")),
    "GPL-3.0-only": (_SHARED, "gpl-3.0", ("gpl 3", "gpl 3 0", "gpl v3", "gnu general public license v3 0")),
    "LGPL-3.0-only": (_SHARED, "lgpl-3.0", ("lgpl 3 0", "gnu lesser general public license 3 0")),
    "AGPL-3.0-only": (_SHARED, "agpl-3.0", ("agpl 3 0", "gnu affero general public license 3 0")),
    "GFDL-1.3-only": (_SHARED, "gfdl", ("gnu free documentation license 1 3", "gfdl 1 3", "gfdl")),
}  # fmt: skip
_PUBLIC_DOMAIN = ("public domain", "u s government works", "us government works")  # no license, and no id
_NOT_STATED = ("", "not stated", "unknown", "none", "private")
_WORDS = {
    "attribution": "by", "noncommercial": "nc", "non commercial": "nc", "sharealike": "sa", "share alike": "sa",
    "noderivatives": "nd", "noderivs": "nd", "no derivatives": "nd", "no derivs": "nd",
}  # fmt: skip
_CREATIVE_COMMONS = re.compile(
    r"(?:https? )?(?:www )?(?:creative ?commons )?(?:org licenses )?(?:cc )?by(?P<parts>(?: (?:nc|sa|nd))*)"
    r"(?: v?(?P<version>[1-4]) (?P<minor>[05]))?"
    r"(?: (?:international|unported|generic|igo|intl|public|licen[cs]e|deed|legalcode|en|cc|by|nc|sa|nd|[0-9]))*"
)
_CC_VERSIONS = ("1.0", "2.0", "2.5", "3.0", "4.0")
_AT_HUGGING_FACE = (
    "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0",
    "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0",
    "cc-by-nc-sa-4.0",
)  # fmt: skip


def licensing(by_source: Mapping[str, str], stated: Mapping[str, str]) -> Licensing:
    """The licenses of all sources and what follows.

    by_source: source -> its receipt's license, "not stated" where neither files nor service name one; several are
    joined by "; ". stated: source -> what the user says, which goes first.
    """
    rows = []
    for source, text in by_source.items():
        by = "user" if source in stated else "files or service"
        words = stated.get(source, text)
        rows.append(SourceLicense(source, words, by, tuple(map(parse_license, words.split(";")))))
    return Licensing(tuple(rows), tuple(_findings(rows)))


def parse_license(text: str) -> License:
    """The license that a person, a file, Kaggle, Roboflow or Hugging Face means by this text; its terms may be None."""
    words = _words_of(text)
    if words in _NOT_STATED:
        return License("not stated", "", "unknown", None, "")
    if words in _PUBLIC_DOMAIN:
        return License("public domain", "", "other", _FREE, "public domain")
    if spdx := _SPDX_OF.get(words):
        terms, hub, _ = _OTHERS[spdx]
        return License(spdx, spdx, hub, terms, spdx)
    if "creativecommons org publicdomain zero" in words:
        return parse_license("CC0-1.0")
    return _creative_commons(words) or License(text.strip(), "", "other", None, "")


def _words_of(text: str) -> str:
    """In lower case, without marks."""
    return " ".join(re.sub(r"[^a-z0-9]+", " ", text.casefold()).split())


_SPDX_OF = {name: spdx for spdx, (_, _, names) in _OTHERS.items() for name in (_words_of(spdx), *names)}


def _creative_commons(words: str) -> License | None:
    for long, short in _WORDS.items():
        words = words.replace(long, short)
    found = _CREATIVE_COMMONS.fullmatch(words)
    if not found:
        return None
    parts = found["parts"].split()
    family = "-".join(["CC-BY", *(part.upper() for part in ("nc", "nd", "sa") if part in parts)])
    terms = Terms("nc" not in parts, "nd" not in parts, "sa" in parts, attribution=True)
    version = f"{found['version']}.{found['minor']}"
    if version not in _CC_VERSIONS:
        return License(f"{family} (version not stated)", "", "cc", terms, family)
    spdx = f"{family}-{version}" + "-IGO" * (" igo" in words)
    return License(spdx, spdx, spdx.lower() if spdx.lower() in _AT_HUGGING_FACE else "cc", terms, family)


def incompatibility(one: License, other: License) -> str:
    """Why a changed work of two licenses cannot be handed on, "" where it can be or the terms are not known.

    Of licenses that allow no changes this says nothing: each of them forbids it alone.
    """
    if one.terms is None or other.terms is None:
        return ""
    if one.terms.share_alike and other.terms.share_alike and one.family != other.family:
        return "each asks that what is made of it is handed on under that license alone"
    for strict, limited in ((one, other), (other, one)):
        ours, theirs = strict.terms, limited.terms
        if ours and theirs and ours.share_alike and ours.commercial and not theirs.commercial:
            return f"{strict.name} asks for commercial use to stay allowed, and {limited.name} does not allow it"
    return ""


def _findings(rows: Iterable[SourceLicense]) -> Iterator[Consequence]:
    pairs = [(row.source, each) for row in rows for each in row.licenses]
    seen = set[tuple[str, ...]]()
    for (source, one), (other_source, other) in combinations(pairs, 2):
        sources = tuple(dict.fromkeys((source, other_source)))
        if (reason := incompatibility(one, other)) and sources not in seen:
            seen.add(sources)
            both = f"{_named(source, one)} and {_named(other_source, other)}"
            text = f"{both}: images of both cannot be handed on as one set: {reason}. Hand them on apart."
            yield Consequence("incompatible", sources, text)
    for kind, is_so, text in _CONSEQUENCES:
        concerned = [(source, each) for source, each in pairs if is_so(each.terms)]
        if concerned:
            names = ", ".join(_named(source, each) for source, each in concerned)
            yield Consequence(kind, tuple(dict.fromkeys(source for source, _ in concerned)), f"{names}: {text}")


def _named(source: str, each: License) -> str:
    return f"{source} ({each.name})"


_CONSEQUENCES: tuple[tuple[ConsequenceKind, Callable[[Terms | None], bool], str], ...] = (
    (
        "unknown",
        lambda terms: terms is None,
        "what the license allows is not known here. Read the source's page, or ask those who made the images, before "
        f"images or a model trained on them are handed on; the parameter `{PARAMETER}` takes what you found.",
    ),
    (
        "no_derivatives",
        lambda terms: terms is not None and not terms.derivatives,
        "changed images may not be handed on, and this project scales and crops them: hand on the originals alone. "
        "Whether a model trained on them is such a change is not settled.",
    ),
    (
        "not_commercial",
        lambda terms: terms is not None and not terms.commercial,
        "no commercial use, and so none of a set that contains these images. Whether a model trained on them may be "
        "used commercially is not settled: ask before it is.",
    ),
    (
        "share_alike",
        lambda terms: terms is not None and terms.share_alike,
        "a set that contains these images in changed form is handed on under the same license alone. Whether that "
        "holds for a model trained on them is not settled.",
    ),
    (
        "attribution",
        lambda terms: terms is not None and terms.attribution,
        "those who made the images are to be named, with the license: keep this list with the data and the model.",
    ),
)
