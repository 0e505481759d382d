"""What a person decided about images: a small table in git, keyed by the images' content hashes.

    id,action,value,reason
    0c1f...,relabel,truck,a pickup
    3fa2...,drop,,a sheet of logos
    41bb...,keep,,
    5d00...,not_duplicate,91ce...,two bicycles before one wall
    61e3...,duplicate,77ab...,the same car

The order of the lines means nothing: all decisions hold at once, and a table that contradicts itself is an error.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations, groupby
from operator import attrgetter
from pathlib import Path

from tandem.errors import DataError
from tandem.files import write_csv
from tandem.tables.edited import read_edited_csv

ACTIONS = ("relabel", "drop", "keep", "duplicate", "not_duplicate")
_PAIR_ACTIONS = ("duplicate", "not_duplicate")
_CONTRADICTIONS = ({"drop", "keep"}, {"drop", "relabel"}, {"duplicate", "not_duplicate"})
_OLD_ACTIONS = {"copy": "duplicate", "not_copy": "not_duplicate"}  # in tables of earlier versions
_COLUMNS = ("id", "action", "value", "reason")
_ALIASES = {"content_id": "id"}  # as the App calls it
_AS_NUMBER = re.compile(r"\d([.,]\d+)?E\+?\d+")  # what a spreadsheet makes of an id of digits


@dataclass(frozen=True, order=True)
class Decision:
    """One decision. action: one of ACTIONS. value: the class of "relabel", the other id of a pair, else ""."""

    id: str
    action: str
    value: str = ""
    reason: str = ""

    def __str__(self) -> str:
        words = [self.action, self.value] if self.value else [self.action]
        return f"{' '.join(words)}{f' ({self.reason})' if self.reason else ''}"

    @property
    def ids(self) -> tuple[str, ...]:
        """The image, or both of a pair."""
        return (self.id, self.value) if self.action in _PAIR_ACTIONS else (self.id,)


@dataclass(frozen=True)
class Decisions:
    """Sorted decisions; those about pairs have the smaller id first.

    Raises DataError where one is malformed, or where two contradict each other or differ in their reason alone.
    """

    decisions: tuple[Decision, ...] = ()

    def __post_init__(self) -> None:
        ordered = sorted({_ordered(decision) for decision in self.decisions})
        by_ids = attrgetter("ids")  # two decisions can only contradict each other about the same image or pair
        for _, about_same in groupby(sorted(ordered, key=by_ids), key=by_ids):
            for one, other in combinations(about_same, 2):
                _require_agreement(one, other)
        object.__setattr__(self, "decisions", tuple(ordered))

    @property
    def labels(self) -> dict[str, str]:
        """Id -> the image's new class."""
        return {each.id: each.value for each in self._of("relabel")}

    @property
    def drops(self) -> dict[str, str]:
        """Id -> why the image was dropped."""
        return {each.id: each.reason for each in self._of("drop")}

    @property
    def kept(self) -> frozenset[str]:
        """Ids of images that are used even if they are duplicates or their labels conflict."""
        return frozenset(each.id for each in self._of("keep"))

    @property
    def duplicates(self) -> frozenset[tuple[str, str]]:
        """Pairs of ids, smaller first, that are near duplicates."""
        return frozenset((each.id, each.value) for each in self._of("duplicate"))

    @property
    def not_duplicates(self) -> frozenset[tuple[str, str]]:
        """Pairs of ids, smaller first, that are not near duplicates."""
        return frozenset((each.id, each.value) for each in self._of("not_duplicate"))

    def tags(self, id_: str) -> tuple[str, ...]:
        """The decisions that a reviewer makes by a tag of the same name: "drop", "keep"."""
        return tuple(each.action for each in self._of("drop") + self._of("keep") if each.id == id_)

    def gone(self, ids: Iterable[str]) -> tuple[Decision, ...]:
        """Decisions about images that are not, or no longer, among these."""
        present = set(ids)
        return tuple(each for each in self.decisions if not present.issuperset(each.ids))

    def counts(self, ids: Iterable[str]) -> dict[str, int]:
        """For the metrics: the number of decisions by action, and of those about images that are gone."""
        by_action = Counter(each.action for each in self.decisions)
        return {**{action: by_action[action] for action in ACTIONS}, "gone": len(self.gone(ids))}

    def _of(self, action: str) -> list[Decision]:
        return [each for each in self.decisions if each.action == action]


def load_decisions(path: Path) -> Decisions:
    """Read what save_decisions or a person wrote (tandem.tables.edited); without a file there are no decisions.

    The actions of earlier versions, copy and not_copy, are read as duplicate and not_duplicate. Raises DataError, with
    the path, for what is no such table, an unknown action, a wrong value and contradictions.
    """
    if not path.exists() and not path.is_symlink():
        return Decisions()
    rows = read_edited_csv(path, columns=_COLUMNS, aliases=_ALIASES)
    read = tuple(_decision(row, f"{path}, line {line}") for line, row in rows)
    try:
        return Decisions(read)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def save_decisions(decisions: Decisions, path: Path) -> None:
    """Write the table, sorted by image, each reason on one line; the header alone where there are no decisions."""
    rows = [{**asdict(each), "reason": " ".join(each.reason.split())} for each in decisions.decisions]
    write_csv(path, rows, columns=_COLUMNS)


def require_classes(decisions: Decisions, class_names: Sequence[str]) -> None:
    """Raise DataError where a decision names a class that is not among these."""
    for id_, label in decisions.labels.items():
        if label not in class_names:
            raise DataError(
                f"data/review/decisions.csv gives image {id_} the class {label!r}, which is not in params.yaml; "
                f"use one of {', '.join(class_names)}, or remove the line"
            )


def _decision(row: Mapping[str, str], where: str) -> Decision:
    """The decision of one line; where: the file and the line, for errors."""
    id_, action, value, reason = (row[name] for name in _COLUMNS)
    for cell in (id_, value):
        if _AS_NUMBER.fullmatch(cell):
            raise DataError(
                f"{where}: the id {cell} has become a number in a spreadsheet, its other digits are lost; restore the "
                "line from git"
            )
    try:
        return _ordered(Decision(id_, _OLD_ACTIONS.get(action, action), value, reason))
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


def _ordered(decision: Decision) -> Decision:
    """The decision with the smaller id of a pair first. Raises DataError for a malformed one."""
    if decision.action not in ACTIONS:
        raise DataError(f"image {decision.id}: unknown action {decision.action!r}; use one of {', '.join(ACTIONS)}")
    takes_value = decision.action in ("relabel", *_PAIR_ACTIONS)
    if not decision.id or takes_value != bool(decision.value) or decision.id == decision.value:
        expected = {"relabel": "a class", "duplicate": "another image's id", "not_duplicate": "another image's id"}
        raise DataError(
            f"image {decision.id or '(no id)'}: {decision}: its value must be {expected.get(decision.action, 'empty')}"
        )
    if decision.action in _PAIR_ACTIONS and decision.value < decision.id:
        return replace(decision, id=decision.value, value=decision.id)
    return decision


def _require_agreement(one: Decision, other: Decision) -> None:
    if one.action == other.action and one.value == other.value:
        raise DataError(f"image {one.id}: {one} and {other} are one decision with two reasons; remove one of them")
    if one.action == other.action or {one.action, other.action} in _CONTRADICTIONS:
        pair = f" and {one.value}" if one.action in _PAIR_ACTIONS else ""
        raise DataError(f"image {one.id}{pair}: {one} contradicts {other}; remove one of them")
