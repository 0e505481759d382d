"""From a reviewer's edits in the FiftyOne App, tags and labels, to decisions."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tandem.errors import DataError
from tandem.tables.decisions import Decision, Decisions

WHY = "why: "
NOT_DUPLICATE_TAGS = frozenset({"not a duplicate", "not a copy"})  # in each pair the second is of earlier versions
DUPLICATE_PREFIXES = ("duplicate of ", "copy of ")
_DEFAULT_REASON = "reviewed"

_Key = tuple[str, str, str]  # id, action and value of a decision


@dataclass(frozen=True)
class SampleEdit:
    """An image as it is in the App. label: "" where it was deleted. tags: of the sample."""

    label: str
    tags: frozenset[str]


def decisions_from_edits(
    before: Decisions,
    edits: Mapping[str, SampleEdit],
    *,
    labels: Mapping[str, str],
    duplicates: Mapping[str, Sequence[str]],
    class_names: Sequence[str],
) -> Decisions:
    """The decisions that the edits stand for; those from before about pairs, and about images without an edit, stay.

    edits: id -> image in the App, changed or not. labels: id -> the class that its source gave it. duplicates: id ->
    ids of its near duplicates. Raises DataError for an unknown class, a tag that names no image, and contradictions.
    """
    decisions = {_key(each): each for each in before.decisions if len(each.ids) == 2 or each.id not in edits}
    reasons = {_key(each): each.reason for each in before.decisions}
    for id_, edit in sorted(edits.items()):
        reason = _reason(edit)
        keys = [*_image_keys(id_, edit, label=labels[id_], class_names=class_names)]
        keys += _pair_keys(id_, edit, duplicates=duplicates.get(id_, ()), ids=edits)
        for key in keys:
            decisions.setdefault(key, Decision(*key, reason or reasons.get(key, _DEFAULT_REASON)))
    return Decisions(tuple(decisions.values()))


def num_changed(before: Decisions, after: Decisions) -> int:
    """How many images the decisions that differ are about."""
    return len({id_ for each in set(before.decisions) ^ set(after.decisions) for id_ in each.ids})


def _key(decision: Decision) -> _Key:
    return decision.id, decision.action, decision.value


def _reason(edit: SampleEdit) -> str:
    return next((tag.removeprefix(WHY).strip() for tag in sorted(edit.tags) if tag.startswith(WHY)), "")


def _image_keys(id_: str, edit: SampleEdit, *, label: str, class_names: Sequence[str]) -> Iterator[_Key]:
    """Decisions about this image alone."""
    if edit.label not in ("", label):
        if edit.label not in class_names:
            raise DataError(
                f"image {id_} has the label {edit.label!r} in the App, which is no class; "
                f"choose one of {', '.join(class_names)}"
            )
        yield id_, "relabel", edit.label
    yield from ((id_, action, "") for action in ("drop", "keep") if action in edit.tags)


def _pair_keys(id_: str, edit: SampleEdit, *, duplicates: Sequence[str], ids: Collection[str]) -> Iterator[_Key]:
    """Decisions about this image and another one."""
    if edit.tags & NOT_DUPLICATE_TAGS:
        yield from (_pair_key(id_, "not_duplicate", other) for other in duplicates)
    for tag in sorted(edit.tags):
        if tag.startswith(DUPLICATE_PREFIXES):
            yield _pair_key(id_, "duplicate", _id_named_by(tag, ids=ids, but=id_))


def _pair_key(id_: str, action: str, other: str) -> _Key:
    return min(id_, other), action, max(id_, other)


def _id_named_by(tag: str, *, ids: Collection[str], but: str) -> str:
    """The one id, but for that of the tagged image, that starts as the tag says."""
    start = tag.partition(" of ")[2].strip()
    found = [other for other in ids if start and other.startswith(start) and other != but]
    if len(found) != 1:
        raise DataError(
            f"image {but} is tagged {tag!r}, but {len(found)} other images have a content_id that starts so; "
            "write the start of one other image's content_id, long enough to name it alone"
        )
    return found[0]
