"""What a person decided about images: a small table in git, keyed by the images' content hashes.

    id,action,value,reason
    0c1f...,relabel,truck,a pickup
    3fa2...,drop,,a sheet of logos
    41bb...,keep,,
    5d00...,not_duplicate,91ce...,two bicycles before one wall
    61e3...,duplicate,77ab...,the same car

Actions are taken in no order: what the table says holds at once, and a table that contradicts itself is an error.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import combinations, groupby
from operator import attrgetter
from pathlib import Path

from tandem.errors import DataError
from tandem.files import read_csv, write_csv

ACTIONS = ("relabel", "drop", "keep", "duplicate", "not_duplicate")
_PAIR_ACTIONS = ("duplicate", "not_duplicate")
_CONTRARY = ({"drop", "keep"}, {"drop", "relabel"}, {"duplicate", "not_duplicate"})


@dataclass(frozen=True, order=True)
class Decision:
    """One decision. action: one of ACTIONS. value: the class of "relabel", the other id of a pair (> id), else ""."""

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
    """Sorted decisions, one for each question. Raises DataError where one is malformed or two contradict each other."""

    decisions: tuple[Decision, ...] = ()

    def __post_init__(self) -> None:
        found = sorted({_ordered(decision) for decision in self.decisions})
        by_ids = attrgetter("ids")  # what two decisions can contradict each other about: an image, or a pair
        for _, about in groupby(sorted(found, key=by_ids), key=by_ids):
            for one, other in combinations(about, 2):
                _require_agreement(one, other)
        object.__setattr__(self, "decisions", tuple(found))

    @property
    def labels(self) -> dict[str, str]:
        """Id -> the class that the image was given."""
        return {each.id: each.value for each in self._of("relabel")}

    @property
    def drops(self) -> dict[str, str]:
        """Id -> why the image was dropped."""
        return {each.id: each.reason for each in self._of("drop")}

    @property
    def kept(self) -> frozenset[str]:
        """Ids of images that are used whatever else is said of them."""
        return frozenset(each.id for each in self._of("keep"))

    @property
    def duplicates(self) -> frozenset[tuple[str, str]]:
        """Pairs of ids, smaller first, that show the same."""
        return frozenset((each.id, each.value) for each in self._of("duplicate"))

    @property
    def not_duplicates(self) -> frozenset[tuple[str, str]]:
        """Pairs of ids, smaller first, that do not."""
        return frozenset((each.id, each.value) for each in self._of("not_duplicate"))

    def tags(self, id_: str) -> tuple[str, ...]:
        """What was decided of the image alone, as tags: "drop", "keep"."""
        return tuple(each.action for each in self._of("drop") + self._of("keep") if each.id == id_)

    def gone(self, ids: Iterable[str]) -> tuple[Decision, ...]:
        """Decisions about images that are not among these."""
        there = set(ids)
        return tuple(each for each in self.decisions if not there.issuperset(each.ids))

    def counts(self, ids: Iterable[str]) -> dict[str, int]:
        """How many there are of each action, and how many are about images that are gone, for the metrics."""
        by_action = Counter(each.action for each in self.decisions)
        return {**{action: by_action[action] for action in ACTIONS}, "gone": len(self.gone(ids))}

    def _of(self, action: str) -> list[Decision]:
        return [each for each in self.decisions if each.action == action]


def load_decisions(path: Path) -> Decisions:
    """Read what save_decisions wrote, or what a person did; a file that is not there holds no decisions."""
    if not path.is_file():
        return Decisions()
    columns = [field.name for field in fields(Decision)]
    found = []
    for number, row in enumerate(read_csv(path), start=2):
        if list(row) != columns or None in row.values():
            raise DataError(f"{path}, line {number}: columns must be {','.join(columns)}")
        found.append(Decision(**{key: value.strip() for key, value in row.items()}))
    try:
        return Decisions(tuple(found))
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def save_decisions(decisions: Decisions, path: Path) -> None:
    """Write the table, sorted by image; a header alone where nothing was decided."""
    columns = [field.name for field in fields(Decision)]
    write_csv(path, [asdict(each) for each in decisions.decisions], columns=columns)


def require_classes(decisions: Decisions, class_names: Sequence[str]) -> None:
    """Raise DataError where an image was given a class that there is not."""
    for id_, label in decisions.labels.items():
        if label not in class_names:
            raise DataError(
                f"data/review/decisions.csv gives image {id_} the class {label!r}; there are {', '.join(class_names)}"
            )


def _ordered(decision: Decision) -> Decision:
    """The decision with the smaller id of a pair first. Raises DataError for what is no decision."""
    takes_value = decision.action in ("relabel", *_PAIR_ACTIONS)
    if decision.action not in ACTIONS:
        raise DataError(f"image {decision.id}: {decision.action!r} is no decision; there are {', '.join(ACTIONS)}")
    if not decision.id or takes_value != bool(decision.value) or decision.id == decision.value:
        wanted = {"relabel": "a class", **dict.fromkeys(_PAIR_ACTIONS, "another image's id")}.get(
            decision.action, "none"
        )
        raise DataError(f"image {decision.id or '(none)'}: {decision}: its value must be {wanted}")
    if decision.action in _PAIR_ACTIONS and decision.value < decision.id:
        return Decision(decision.value, decision.action, decision.id, decision.reason)
    return decision


def _require_agreement(one: Decision, other: Decision) -> None:
    if one.action == other.action and one.value == other.value:
        raise DataError(f"image {one.id}: {one} stands there twice, the second as {other}; leave one")
    if one.action == other.action or {one.action, other.action} in _CONTRARY:
        pair = f" and {one.value}" if one.action in _PAIR_ACTIONS else ""
        raise DataError(f"image {one.id}{pair}: {one} contradicts {other}; leave one of them")
