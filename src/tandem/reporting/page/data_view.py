"""The page's part on the data: how much, from where, what was left out, what it looks like, what is doubtful."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from tandem.reporting.facts import RunFacts
from tandem.reporting.page.accounting import Accounting, account
from tandem.reporting.page.charts import histogram
from tandem.reporting.page.tables import Cell, Row, Table, count, names, number
from tandem.reporting.page.thumbnails import Gallery, Thumbnail
from tandem.reporting.page.torn_groups import ImageGroup, image_groups
from tandem.tables.samples import SPLITS

MAX_ROWS = 60  # of a table with a line a class
_SHEET_IMAGES, _MAX_SHEET_IMAGES, _MIN_SHEET_IMAGES = 12, 120, 2  # of a class; of all; of a class where there are many
_NUM_GROUPS, _GROUP_IMAGES = 8, 6
_NUM_ISSUES, _NUM_OUTLIERS = 12, 6
_NUM_EXTREME, _NUM_BINS = 3, 16
_Counted = tuple[str, list[int]]  # a name and its images in each of SPLITS
# measure -> what it is, its values, and whose extremes are shown: of the lowest, of the highest
_MEASURES = {
    "blur": ("Blur", "0 sharp, 1 nothing in it is sharp", "", "most blurred"),
    "brightness": ("Brightness", "0 black, 1 white", "darkest", "brightest"),
    "entropy": ("Entropy of gray values", "bits; 0 one value, 8 all alike", "least information", ""),
    "aspect_ratio": ("Aspect ratio", "longer side by shorter", "", "longest"),
}


@dataclass(frozen=True)
class Sheet:
    """Some images under one heading."""

    name: str
    note: str
    images: Sequence[Thumbnail]


@dataclass(frozen=True)
class CaptionedImage:
    """An image with a line or two below it."""

    image: Thumbnail
    caption: str
    detail: str


@dataclass(frozen=True)
class GroupSheet:
    """A group of images that a random split would have torn. more: images that are not shown."""

    title: str
    images: Sequence[CaptionedImage]
    more: int


@dataclass(frozen=True)
class QualityPanel:
    """One measure of all used images."""

    chart: Markup
    extremes: Sequence[Sheet]


@dataclass(frozen=True)
class DataView:
    """What the template shows of the data."""

    accounting: Accounting
    fates: Table
    classes: Table
    sources: Table
    sheets: Sequence[Sheet]
    classes_not_shown: int
    num_groups: int
    num_torn: int
    num_leaking: int
    groups: Sequence[GroupSheet]
    issues: Sequence[CaptionedImage]
    outliers: Sequence[CaptionedImage]
    quality: Sequence[QualityPanel]


def data_view(facts: RunFacts) -> DataView:
    """All of it. Raises DamagedFileError for an image that cannot be read."""
    gallery, accounting, groups = Gallery(facts.images), account(facts), image_groups(facts)
    shown = facts.samples.class_names[: max(1, _MAX_SHEET_IMAGES // _MIN_SHEET_IMAGES)]
    issues = list(_issues(facts, gallery))
    return DataView(
        accounting=accounting,
        fates=fates_table(accounting),
        classes=classes_table(facts),
        sources=sources_table(facts),
        sheets=[_sheet(facts, gallery, name, len(shown)) for name in shown],
        classes_not_shown=len(facts.samples.class_names) - len(shown),
        num_groups=len(groups),
        num_torn=sum(len(each.torn_over) > 1 for each in groups),
        num_leaking=sum(each.leaks for each in groups),
        groups=[_group_sheet(facts, gallery, each) for each in groups[:_NUM_GROUPS] if len(each.torn_over) > 1],
        issues=[each for kind, each in issues if kind == "mislabeled"],
        outliers=[each for kind, each in issues if kind == "outlier"],
        quality=[_quality(facts, gallery, measure) for measure in _MEASURES],
    )


def image_alt(facts: RunFacts, id_: str) -> str:
    """What a text says in place of an image: its class and file."""
    row = facts.row_of[id_]
    return f"{facts.samples.labels[row]}: {facts.index.found_in[row][0]}"


def fates_table(accounting: Accounting) -> Table:
    """Fate by source."""
    sources = accounting.sources
    rows: list[Row] = [
        [fate.name.replace("_", " "), *(count(fate.counts[each]) for each in sources), count(fate.total), fate.words]
        for fate in accounting.fates
    ]
    came_in = [accounting.came_in.get(each, accounting.accounted[each]) for each in sources]
    return Table(
        "Every file that came in, once",
        ["files", *sources, "all", "what that means"],
        rows,
        "merge/index.csv, merge/excluded.csv, curate/samples.csv, download/receipts",
        foot=["files downloaded", *map(count, came_in), count(sum(came_in)), ""],
        text_columns=frozenset([len(sources) + 2]),
    )


def classes_table(facts: RunFacts) -> Table:
    """Class by split."""
    splits = facts.metrics.curate["splits"]
    rows = _by_split(splits, list(facts.samples.class_names))
    largest_first = sorted(rows, key=lambda row: (-sum(row[1]), row[0]))[:MAX_ROWS]
    note = f"The {MAX_ROWS} largest of {len(rows)} classes." if len(rows) > MAX_ROWS else ""
    return _split_table("Images that are used, by class and split", "class", largest_first, rows, note=note)


def sources_table(facts: RunFacts) -> Table:
    """Source by split."""
    sources = facts.metrics.curate["sources"]
    rows = _by_split(sources, sorted({name for of_split in sources.values() for name in of_split}))
    return _split_table("Images that are used, by source and split", "source", rows, rows)


def _by_split(counts: Mapping[str, Mapping[str, int]], row_names: Sequence[str]) -> list[_Counted]:
    return [(name, [counts[split].get(name, 0) for split in SPLITS]) for name in row_names]


def _split_table(
    caption: str,
    what: str,
    rows: Sequence[tuple[str, list[int]]],
    all_rows: Sequence[tuple[str, list[int]]],
    note: str = "",
) -> Table:
    largest = max((sum(counts) for _, counts in rows), default=0) or 1
    lines: list[Row] = [
        [
            name,
            *map(count, counts),
            Cell(count(sum(counts)), parts={s: n / largest for s, n in zip(SPLITS, counts, strict=True)}),
        ]
        for name, counts in rows
    ]
    totals = [sum(counts[n] for _, counts in all_rows) for n in range(len(SPLITS))]
    foot = ["all", *map(count, totals), count(sum(totals))]
    return Table(caption, [what, *SPLITS, "all"], lines, "curate.json", foot=foot, note=note)


def _sheet(facts: RunFacts, gallery: Gallery, name: str, num_classes: int) -> Sheet:
    """The first images of the class by id, which is a hash of the pixels: as good as drawn by lot, and always these."""
    samples = facts.samples
    room = max(_MIN_SHEET_IMAGES, min(_SHEET_IMAGES, _MAX_SHEET_IMAGES // num_classes))
    rows = np.flatnonzero((samples.labels == name) & (samples.splits != ""))
    ids = [samples.ids[row] for row in rows[:room].tolist()]
    images = [gallery.thumbnail(id_, alt=image_alt(facts, id_)) for id_ in ids]
    return Sheet(name, f"{len(images)} of {count(len(rows))}", images)


def _group_sheet(facts: RunFacts, gallery: Gallery, group: ImageGroup) -> GroupSheet:
    images = []
    for id_ in group.ids[:_GROUP_IMAGES]:
        row = facts.row_of[id_]
        thumbnail = gallery.thumbnail(id_, alt=image_alt(facts, id_))
        images.append(CaptionedImage(thumbnail, " + ".join(group.random_splits[id_]), str(facts.index.sources[row])))
    more = len(group.ids) - len(images)
    title = f"{len(group.ids)} images of {names(group.sources)}, in {names(group.torn_over)}"
    return GroupSheet(title, images, more)


def _issues(facts: RunFacts, gallery: Gallery) -> Iterator[tuple[str, CaptionedImage]]:
    for kind, most in (("mislabeled", _NUM_ISSUES), ("outlier", _NUM_OUTLIERS)):
        for row in [row for row in facts.tables.label_errors if row["kind"] == kind][:most]:
            thumbnail = gallery.thumbnail(row["id"], alt=f"{row['label']}: {row['source']}/{row['file']}")
            suggestion = f"{row['label']} → {row['suggested_label']}?" if kind == "mislabeled" else row["label"]
            confidence = f"P = {number(float(row['self_confidence']), digits=2)}"
            yield kind, CaptionedImage(thumbnail, suggestion, confidence)


def _quality(facts: RunFacts, gallery: Gallery, measure: str) -> QualityPanel:
    """Of the images that are used."""
    used = [id_ for id_, split in zip(facts.samples.ids, facts.samples.splits.tolist(), strict=True) if split]
    values = np.array([facts.quality[measure][id_] for id_ in used])
    name, meaning, lowest, highest = _MEASURES[measure]
    low, high = float(values.min(initial=np.inf)), float(values.max(initial=-np.inf))
    counts, edges = np.histogram(values, bins=_NUM_BINS, range=(low, high if high > low else low + 1))
    median = float(np.median(values))
    chart = histogram(
        counts.tolist(),
        edges.tolist(),
        label=f"{name} ({meaning})",
        title=f"{name} of the images that are used",
        description=f"From {low:.3g} to {high:.3g}, median {median:.3g}.",
    )
    order = np.argsort(values, kind="stable").tolist()
    ends = (
        (lowest, [at for at in order[:_NUM_EXTREME] if values[at] < high]),
        (highest, [at for at in order[::-1][:_NUM_EXTREME] if values[at] > low]),
    )
    return QualityPanel(
        chart,
        [
            Sheet(
                title,
                "",
                [
                    gallery.thumbnail(used[at], alt=f"{name} {values[at]:.3g}: {image_alt(facts, used[at])}")
                    for at in positions
                ],
            )
            for title, positions in ends
            if title and positions
        ],
    )
