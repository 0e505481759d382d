"""The label map: which class a source's label means. Aliases are compared in one form: folded, or as written."""

import difflib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tandem.datasets.settings import LabelMatch, LabelSettings
from tandem.errors import DataError, UnknownLabelError

# One word and what may stand beside it, in the form of normalize_label.
_SPLIT = re.compile(
    r"(?:(?:the|seg|data|final|set|images?|imgs|folder|split|\d+) )*"
    r"(?:train(?:ing)?|test(?:ing)?|val(?:id|idation)?|dev|holdout|unlabell?ed)"
    r"(?: ?(?:data|dataset|set|images?|imgs|folder|split|\d+))*"
    r"|(?:(?:k ?)?fold|split) ?\d+"
)
IGNORED = ""  # what an ignored label resolves to; no class can have an empty name


def is_split_name(text: str) -> bool:
    """Whether a folder or label is called as a split: "test", "train_set", "Val images", "train2017", "fold 3"."""
    return bool(_SPLIT.fullmatch(normalize_label(text)))


def normalize_label(label: str) -> str:
    """The form in which labels are compared: case-folded, accent-free, one space for runs of space, "_" and "-".

    >>> normalize_label("  Caminhão_GRANDE ")
    'caminhao grande'
    """
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", label).casefold())
    bare = "".join(char for char in decomposed if not unicodedata.combining(char))
    return re.sub(r"[\s_\-]+", " ", bare).strip()


def exact_label(label: str) -> str:
    """The form in which labels are compared as written: one code point a letter, no space around."""
    return unicodedata.normalize("NFC", label).strip()


_FORMS: Mapping[LabelMatch, Callable[[str], str]] = {"folded": normalize_label, "exact": exact_label}


class JoinedLabel(NamedTuple):
    """A label that is of its class (IGNORED for none) only because case, accents and other marks do not count."""

    source: str
    label: str
    class_name: str
    num_annotations: int


@dataclass(frozen=True)
class LabelMap:
    """Compared form of an alias -> class name (or IGNORED); entries of one source take precedence of the common ones.

    spellings: aliases as written, with what may be left out of them (see `joined`).
    """

    class_names: tuple[str, ...]
    common: Mapping[str, str]
    by_source: Mapping[str, Mapping[str, str]]
    match: LabelMatch = "folded"
    spellings: frozenset[str] = frozenset()

    def resolve(self, label: str, *, source: str) -> str | None:
        """The class name, IGNORED, or None when nothing is known of the label."""
        alias = _FORMS[self.match](label)
        return self.by_source.get(source, {}).get(alias, self.common.get(alias))

    def require_all(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Raise UnknownLabelError that lists every unknown label of counts: (source, label) -> count."""
        unknown = {key: count for key, count in counts.items() if self.resolve(key[1], source=key[0]) is None}
        if unknown:
            lines = [self._describe(*key, counts=counts) for key in sorted(unknown)]
            raise UnknownLabelError(
                f"{len(unknown)} unknown label(s):\n  "
                + "\n  ".join(lines)
                + "\nadd each to labels.classes.<class>, to labels.ignore or, for one source alone, to labels.by_source"
            )

    def joined(self, counts: Mapping[tuple[str, str], int]) -> list[JoinedLabel]:
        """The labels of counts, (source, label) -> count, that fold into a class which may not be meant.

        Those with a mark that no alias spells (`Bär` into `Bar`), and those of one source that differ by nothing that
        is compared (`A` and `a`). An alias may be written without its accents: `caminhao` for `caminhão`.
        """
        if self.match == "exact":
            return []
        written: dict[tuple[str, str], set[str]] = defaultdict(set)
        for source, label in counts:
            written[source, normalize_label(label)].add(_bare_spelling(exact_label(label), case=True))
        return [
            JoinedLabel(source, label, self.resolve(label, source=source) or IGNORED, count)
            for (source, label), count in sorted(counts.items())
            if len(written[source, normalize_label(label)]) > 1 or _bare_spelling(label) not in self.spellings
        ]

    def _describe(self, source: str, label: str, *, counts: Mapping[tuple[str, str], int]) -> str:
        known = {**self.common, **self.by_source.get(source, {})}
        closest = difflib.get_close_matches(_FORMS[self.match](label), list(known), n=3, cutoff=0.5)
        names = ", ".join(f"{name!r} ({known[name] or 'ignored'})" for name in closest)
        count = counts[source, label]
        images = "image" if count == 1 else "images"
        is_only = [other for other_source, other in counts if other_source == source] == [label]
        alone = "; it is the only label there: if it is no class, lay out a folder for each class" if is_only else ""
        return f"{source} has label {label!r} ({count} {images}); closest known: {names or 'none'}{alone}"


def label_map(labels: LabelSettings) -> LabelMap:
    """The map of `labels` in the parameters; a class name is an alias of itself.

    Raises DataError when one alias stands for two classes in one section, or an alias of one source for no class.
    """
    form = _FORMS[labels.match]
    with_names = {name: (name, *aliases) for name, aliases in labels.classes.items()}
    by_source = {}
    for source, entry in labels.by_source.items():
        by_source[source] = _table(entry.classes, entry.ignore, form, section=f"labels.by_source.{source}")
        if unknown := sorted(set(by_source[source].values()) - {*labels.classes, IGNORED}):
            known = ", ".join(labels.classes)
            raise DataError(
                f"labels.by_source.{source} names class {unknown[0]!r}; known: {known}; "
                "correct it, or add it to labels.classes"
            )
    common = _table(with_names, labels.ignore, form, section="labels")
    return LabelMap(tuple(labels.classes), common, by_source, labels.match, _spellings(labels))


def _spellings(labels: LabelSettings) -> frozenset[str]:
    """Class names and aliases as written; aliases also without accents, which people often leave out."""
    entries = [(entry.classes, entry.ignore) for entry in labels.by_source.values()]
    entries.append((labels.classes, labels.ignore))
    aliases = [alias for classes, ignore in entries for each in (*classes.values(), ignore) for alias in each]
    return frozenset(map(_bare_spelling, [*labels.classes, *aliases])) | frozenset(map(normalize_label, aliases))


def _bare_spelling(label: str, *, case: bool = False) -> str:
    """One space for runs of space, "_" and "-"; in lower case unless `case` counts."""
    text = exact_label(label)
    return re.sub(r"[\s_\-]+", " ", text if case else text.lower()).strip()


def _table(
    classes: Mapping[str, Sequence[str]], ignore: Iterable[str], form: Callable[[str], str], *, section: str
) -> dict[str, str]:
    pairs = [(alias, name) for name, aliases in classes.items() for alias in aliases]
    pairs += [(alias, IGNORED) for alias in ignore]
    table: dict[str, str] = {}
    first: dict[str, str] = {}
    for alias, name in pairs:
        key = form(alias)
        spelled = first.setdefault(key, alias)
        other = table.setdefault(key, name)
        if other != name:
            both = " and ".join(repr(value or "ignore") for value in (other, name))
            raise DataError(f"{section}: the alias {alias!r} is listed under {both}; {_remedy(alias, spelled)}")
    return table


def _remedy(alias: str, spelled: str) -> str:
    if exact_label(alias) == exact_label(spelled):
        return "keep it in one of them"
    return f"keep it in one of them, or say labels.match: exact, which tells {spelled!r} from {alias!r}"
