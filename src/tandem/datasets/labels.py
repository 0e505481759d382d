"""The label map: which class a source's label means. Aliases are compared in one normalized form."""

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tandem.datasets.settings import LabelSettings
from tandem.errors import DataError, UnknownLabelError

IGNORED = ""  # what an ignored label resolves to; no class can have an empty name


def normalize_label(label: str) -> str:
    """The form in which labels are compared: case-folded, accent-free, one space for runs of space, "_" and "-".

    >>> normalize_label("  Caminhão_GRANDE ")
    'caminhao grande'
    """
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", label).casefold())
    bare = "".join(char for char in decomposed if not unicodedata.combining(char))
    return re.sub(r"[\s_\-]+", " ", bare).strip()


@dataclass(frozen=True)
class LabelMap:
    """Normalized alias -> class name (or IGNORED); entries of one source take precedence of the common ones."""

    class_names: tuple[str, ...]
    common: Mapping[str, str]
    by_source: Mapping[str, Mapping[str, str]]

    def resolve(self, label: str, *, source: str) -> str | None:
        """The class name, IGNORED, or None when nothing is known of the label."""
        alias = normalize_label(label)
        return self.by_source.get(source, {}).get(alias, self.common.get(alias))

    def require_all(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Raise UnknownLabelError that lists every unknown label of counts: (source, label) -> count."""
        unknown = {key: count for key, count in counts.items() if self.resolve(key[1], source=key[0]) is None}
        if unknown:
            lines = [self._describe(*key, count=count) for key, count in sorted(unknown.items())]
            raise UnknownLabelError(
                f"{len(unknown)} unknown label(s):\n  "
                + "\n  ".join(lines)
                + "\nadd each to labels.classes.<class>, to labels.ignore or, for one source alone, to labels.by_source"
            )

    def _describe(self, source: str, label: str, *, count: int) -> str:
        known = {**self.common, **self.by_source.get(source, {})}
        closest = difflib.get_close_matches(normalize_label(label), list(known), n=3, cutoff=0.5)
        names = ", ".join(f"{name!r} ({known[name] or 'ignored'})" for name in closest)
        images = "image" if count == 1 else "images"
        return f"{source} has label {label!r} ({count} {images}); closest known: {names or 'none'}"


def label_map(labels: LabelSettings) -> LabelMap:
    """The map of `labels` in the parameters; a class name is an alias of itself.

    Raises DataError when one alias stands for two classes in one section, or an alias of one source for no class.
    """
    with_names = {name: (name, *aliases) for name, aliases in labels.classes.items()}
    by_source = {}
    for source, entry in labels.by_source.items():
        by_source[source] = _table(entry.classes, entry.ignore, section=f"labels.by_source.{source}")
        if unknown := sorted(set(by_source[source].values()) - {*labels.classes, IGNORED}):
            known = ", ".join(labels.classes)
            raise DataError(
                f"labels.by_source.{source} names class {unknown[0]!r}; known: {known}; "
                "correct it, or add it to labels.classes"
            )
    return LabelMap(tuple(labels.classes), _table(with_names, labels.ignore, section="labels"), by_source)


def _table(classes: Mapping[str, Sequence[str]], ignore: Iterable[str], *, section: str) -> dict[str, str]:
    pairs = [(alias, name) for name, aliases in classes.items() for alias in aliases]
    pairs += [(alias, IGNORED) for alias in ignore]
    table: dict[str, str] = {}
    for alias, name in pairs:
        other = table.setdefault(normalize_label(alias), name)
        if other != name:
            both = " and ".join(repr(value or "ignore") for value in (other, name))
            raise DataError(f"{section}: the alias {alias!r} is listed under {both}; keep it in one of them")
    return table
