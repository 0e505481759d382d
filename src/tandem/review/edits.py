"""From what a person did in the FiftyOne App, tags and edited labels, to decisions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tandem.errors import DataError
from tandem.tables.decisions import Decision, Decisions

NOT_DUPLICATE = "not a copy"
COPY_OF, WHY = "copy of ", "why: "
_REASON = "reviewed"


@dataclass(frozen=True)
class SampleEdit:
    """An image as the App has it. label: "" where it was deleted. tags: of the sample."""

    label: str
    tags: frozenset[str]


def decisions_from_edits(
    before: Decisions,
    shown: Mapping[str, SampleEdit],
    *,
    labels: Mapping[str, str],
    copies: Mapping[str, Sequence[str]],
    class_names: Sequence[str],
) -> Decisions:
    """The decisions of images as they are shown now; those of pairs, and of images not shown, as they were before.

    labels: id -> the class that its source gave it. copies: id -> ids of what it is taken for a copy of. Raises
    DataError for a class that there is not, a tag that names no image, and contradictions.
    """
    found = {_key(each): each for each in before.decisions if len(each.ids) == 2 or each.id not in shown}
    reasons = {_key(each): each.reason for each in before.decisions}
    for id_ in sorted(shown):
        why = next((tag.removeprefix(WHY).strip() for tag in sorted(shown[id_].tags) if tag.startswith(WHY)), "")
        for action, value in _actions(id_, shown, labels[id_], copies.get(id_, ()), class_names):
            one, other = sorted((id_, value)) if action in ("duplicate", "not_duplicate") else (id_, value)
            key = (one, action, other)
            found.setdefault(key, Decision(one, action, other, why or reasons.get(key, _REASON)))
    return Decisions(tuple(found.values()))


def num_changed(before: Decisions, now: Decisions) -> int:
    """How many images the decisions that differ are about."""
    return len({id_ for each in set(before.decisions) ^ set(now.decisions) for id_ in each.ids})


def _key(decision: Decision) -> tuple[str, str, str]:
    return decision.id, decision.action, decision.value


def _actions(
    id_: str, shown: Mapping[str, SampleEdit], label: str, copies: Sequence[str], class_names: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """(action, value) of one image."""
    now = shown[id_]
    if now.label not in ("", label):
        if now.label not in class_names:
            raise DataError(f"image {id_} was given the class {now.label!r}; there are {', '.join(class_names)}")
        yield "relabel", now.label
    yield from ((action, "") for action in ("drop", "keep") if action in now.tags)
    if NOT_DUPLICATE in now.tags:
        yield from (("not_duplicate", other) for other in copies)
    for tag in sorted(now.tags):
        if tag.startswith(COPY_OF):
            start = tag.removeprefix(COPY_OF).strip()
            others = [other for other in shown if start and other.startswith(start) and other != id_]
            if len(others) != 1:
                raise DataError(f"image {id_} is tagged {tag!r}; {len(others)} other images have such a content_id")
            yield "duplicate", others[0]
