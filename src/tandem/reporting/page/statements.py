"""What is known of a run's data in words, for cards and Croissant: how it was made, what is wrong with it, what for.

Each text says what the run's own numbers show, and then what a person has stated (the section `report` of the
parameters) or that it is not stated. Nothing is guessed: an empty field reads as if somebody had looked.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from tandem.reporting.facts import RunFacts
from tandem.reporting.page.accounting import account
from tandem.reporting.page.tables import count, names
from tandem.sources.receipts import Receipt
from tandem.tables.samples import SPLITS

# of what only people can say: what is written where they do not
_NOT_STATED = {
    "collection": "Who took the images, how, where and when, is not stated.",
    "annotation": "Who labelled the images in the sources, and by which rules, is not stated.",
    "biases": "What else the images show too often, or never, is not stated.",
    "limitations": "Other limits are not stated.",
    "personal_information": "Whether the images show persons, number plates or places is not stated.",
    "intended_use": "What the model and the data are meant for is not stated.",
}
_MAX_NAMED = 5  # classes in a title
_LOPSIDED = 0.2  # by which the fraction of a class that is from one source exceeds that of all images
_FEW_TEST_IMAGES = 30  # of a class, below which its scores say little


@dataclass(frozen=True)
class Statements:
    """Texts of one or more sentences in one line each. title: without a period. creator, url: "" where not stated."""

    title: str
    creator: str
    url: str
    description: str
    intended_use: str
    collection: str
    annotation: str
    preprocessing: str
    biases: str
    limitations: str
    personal_information: str


def statements(facts: RunFacts) -> Statements:
    """What is known of the run, and what its user states in the section `report`, which may be missing."""
    section: Mapping[str, Any] = facts.params.get("report") or {}

    def stated(name: str) -> str:
        return " ".join(str(section.get(name) or "").split())

    def text(name: str, known: Iterable[str] = ()) -> str:
        said = stated(name)
        return " ".join([*known, _sentence(said) if said else _NOT_STATED[name]])

    return Statements(
        title=stated("title") or _title(facts.samples.class_names),
        creator=stated("creator"),
        url=stated("url"),
        description=" ".join(_description(facts)),
        intended_use=text("intended_use"),
        collection=text("collection", _collection(facts)),
        annotation=text("annotation", _annotation(facts)),
        preprocessing=" ".join(_preprocessing(facts)),
        biases=text("biases", _biases(facts)),
        limitations=text("limitations", _limitations(facts)),
        personal_information=text("personal_information", ["No search for personal information was made."]),
    )


def _title(class_names: Sequence[str]) -> str:
    if len(class_names) > _MAX_NAMED:
        return f"Images of {len(class_names)} classes"
    return f"Images of {', '.join(class_names[:-1])} and {class_names[-1]}"


def source_in_words(name: str, receipt: Receipt | None) -> str:
    """Where a source is from, such as "cars (kaggle owner/slug, version 3; 430 files)"; of a file its name alone."""
    if receipt is None:
        return name
    is_service = receipt.kind in ("kaggle", "roboflow")
    what = f"{receipt.kind} {receipt.what}" if is_service else receipt.what.rstrip("/").rpartition("/")[2]
    version = f", version {receipt.version}" if is_service else ""
    return f"{name} ({what}{version}; {count(receipt.num_files)} files)"


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _description(facts: RunFacts) -> Iterator[str]:
    curation = facts.metrics.curate
    yield (
        f"{count(curation['used'])} images in {len(facts.samples.class_names)} classes "
        f"({names(facts.samples.class_names, at_most=10)}), merged from {len(facts.other_files)} source(s). Exact "
        "duplicates are left out, and near duplicates lie in one group: no group is on two sides of a split."
    )
    parts = [f"{split} {count((facts.samples.splits == split).sum())}" for split in SPLITS]
    yield f"Images in each split: {', '.join(parts)}."


def _collection(facts: RunFacts) -> Iterator[str]:
    sources = [source_in_words(name, facts.receipts.get(name)) for name in facts.other_files]
    yield f"Taken as they are from {', '.join(sources)}."
    augmented = [name for name, receipt in facts.receipts.items() if (receipt.augmentation or 1) > 1]
    if augmented:
        yield f"Of {names(augmented)} the export states that it holds augmented versions of its images."


def _annotation(facts: RunFacts) -> Iterator[str]:
    labels, decisions = facts.params["labels"], facts.metrics.curate["decisions"]
    aliases = [f"{name} (also {', '.join(others)})" if others else name for name, others in labels["classes"].items()]
    yield (
        "Labels are those of the sources, unified by their names: "
        f"{names(aliases, at_most=10)}; ignored: {names(labels['ignore'], at_most=10) or 'none'}."
    )
    for source, own in labels["by_source"].items():
        means = [f"{name} (also {', '.join(others)})" for name, others in own["classes"].items() if others]
        means += [f"{name} (ignored)" for name in own["ignore"]]
        if means:
            yield f"In {source} alone: {names(means, at_most=10)}."
    made = {key: value for key, value in decisions.items() if value and key != "gone"}
    changes = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in made.items())
    yield f"Decisions of reviewers: {changes or 'none'}."
    issues = facts.metrics.label_errors
    yield (
        f"{count(issues['label_issues'])} labels are likely to be wrong by a search with out-of-fold predictions; none "
        "was changed without a reviewer."
    )


def _preprocessing(facts: RunFacts) -> Iterator[str]:
    ingest, curate = facts.params["ingest"], facts.params["curate"]
    scaled = f"scaled down to {ingest['max_side_px']} px of the longer side" if ingest["max_side_px"] else "of any size"
    yield f"Every file was decoded, turned upright, and stored {scaled}."
    left_out = [
        f"{fate.name.replace('_', ' ')} {count(fate.total)}"
        for fate in account(facts).fates
        if fate.name not in (*SPLITS, "other_files")
    ]
    yield f"Files left out, by reason: {', '.join(left_out) or 'none'}."
    kept = "one image of each set is kept" if curate["duplicates"] == "keep_one" else "all of a set stay in one split"
    yield (
        f"Near duplicates ({count(facts.metrics.curate['near_duplicate_pairs'])} pairs) were found by features and "
        f"hashes and verified by their pixels; {kept}. Which split a group of images belongs to is decided by a hash."
    )


def _biases(facts: RunFacts) -> Iterator[str]:
    samples = facts.samples
    used = samples.splits != ""
    counts = Counter(samples.labels[used].tolist())
    most, least = max(counts, key=lambda name: counts[name]), min(counts, key=lambda name: counts[name])
    num_most, num_least = counts[most], counts[least]
    if num_most == num_least:
        yield f"Each class has {count(num_most)} images."
    else:
        yield f"The largest class, {most}, has {count(num_most)} images, the smallest, {least}, {count(num_least)}."
    lopsided = []
    for source, name in product(facts.other_files, samples.class_names):
        is_from = samples.sources[used] == source
        overall, of_class = is_from.mean(), is_from[samples.labels[used] == name].mean()
        if of_class > overall + _LOPSIDED:
            lopsided.append(f"{of_class:.0%} of {name} are from {source}, of all images {overall:.0%}")
    if lopsided:
        yield f"{names(lopsided, at_most=8)}: a model may learn to tell these sources apart in place of the classes."


def _sides_in_words(sides: np.ndarray) -> str:
    low, high = count(sides.min()), count(sides.max())
    if low == high:
        return f"The shorter side of each original has {low} px."
    return f"The shorter sides of the originals have {low} to {high} px."


def _limitations(facts: RunFacts) -> Iterator[str]:
    used = facts.samples.splits != ""
    sides = facts.index.min_sides[used]
    yield (
        f"Only the {len(facts.samples.class_names)} classes are known; an image of anything else gets one of them too. "
        + _sides_in_words(sides)
    )
    support = {name: scores["support"] for name, scores in facts.metrics.evaluate["classes"].items()}
    few = [f"{name} ({count(num)})" for name, num in support.items() if num < _FEW_TEST_IMAGES]
    if few:
        yield f"Test has fewer than {_FEW_TEST_IMAGES} images of {names(few)}: the scores of these classes say little."
