"""The page's part on errors: the surest mistakes with what the model looked at, and slices of test that are worse."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from tandem.inference.explanation.drawing import draw_explanation
from tandem.reporting.facts import RunFacts
from tandem.reporting.mistakes import Mistakes, WrongPrediction
from tandem.reporting.page.charts import axis_of
from tandem.reporting.page.data_view import CaptionedImage, Sheet, image_alt
from tandem.reporting.page.tables import Cell, Row, Table, count, interval, number
from tandem.reporting.page.thumbnails import Gallery, thumbnail_of
from tandem.reporting.slices import Slice, Slices

MAX_SLICES_SHOWN = 60
_MAP_HEIGHT_PX = 160
_MAX_SHEETS, _SHEET_IMAGES = 3, 8  # of slices that are worse


@dataclass(frozen=True)
class ErrorView:
    """What the template shows of the errors. without_maps: why mistakes have no explanation maps, "" where they do.

    worse: some images of the slices that are worse.
    """

    num_wrong: int
    mistakes: Sequence[CaptionedImage]
    without_maps: str
    slices_in_words: str
    slices: Table | None
    worse: Sequence[Sheet]


def error_view(facts: RunFacts, slices: Slices, mistakes: Mistakes) -> ErrorView:
    """All of it."""
    return ErrorView(
        num_wrong=mistakes.num_wrong,
        mistakes=[_captioned(facts, each) for each in mistakes.worst],
        without_maps=mistakes.without_maps,
        slices_in_words=slices.in_words,
        slices=slices_table(slices) if slices.slices else None,
        worse=[_slice_sheet(facts, each) for each in slices.worse[:_MAX_SHEETS]],
    )


def _captioned(facts: RunFacts, mistake: WrongPrediction) -> CaptionedImage:
    alt = f"{image_alt(facts, mistake.id)}, predicted as {mistake.predicted}"
    if mistake.view is None or mistake.explanation is None:
        thumbnail = Gallery(facts.images).thumbnail(mistake.id, alt=alt)
    else:
        drawn: Image.Image = draw_explanation(mistake.view, mistake.explanation)
        alt = f"{alt}; beside it the parts that this rests on"
        thumbnail = thumbnail_of(drawn, alt=alt, height_px=_MAP_HEIGHT_PX)
    doubt = "; the label may be what is wrong" if mistake.suggested_label == mistake.predicted else ""
    caption = f"{mistake.predicted} {number(mistake.confidence, digits=2)}, labelled {mistake.actual}"
    detail = f"P({mistake.actual}) = {number(mistake.prob_of_actual, digits=2)}, from {mistake.source}{doubt}"
    return CaptionedImage(thumbnail, caption, detail)


def _slice_sheet(facts: RunFacts, found: Slice) -> Sheet:
    ids = [facts.samples.test.ids[position] for position in found.positions[:_SHEET_IMAGES]]
    images = [Gallery(facts.images).thumbnail(id_, alt=image_alt(facts, id_)) for id_ in ids]
    return Sheet(f"{found.kind}: {found.name}", f"{len(images)} of {count(len(found))}", images)


def slices_table(slices: Slices) -> Table:
    """A line a slice."""
    at = axis_of("", [end for each in slices.slices for end in (each.low, each.high)]).fraction
    worse_first = sorted(slices.slices, key=lambda each: not each.is_worse)[:MAX_SLICES_SHOWN]
    rows: list[Row] = [
        [
            Cell(f"{each.kind}: {each.name}{', worse' if each.is_worse else ''}", is_strong=each.is_worse),
            Cell(number(each.accuracy), span=(at(each.low), at(each.accuracy), at(each.high))),
            interval({"low": each.low, "high": each.high}),
            count(len(each)),
            count(each.num_wrong),
        ]
        for each in worse_first
    ]
    is_cut = len(slices.slices) > MAX_SLICES_SHOWN
    return Table(
        "Slices of test, the selected model",
        ["slice", "top-1 accuracy", "simultaneous interval", "images", "wrong"],
        rows,
        "ensemble/, train/, curate/samples.csv, extract/",
        foot=["all of test", number(slices.accuracy), "", "", ""],
        note=f"{MAX_SLICES_SHOWN} of {len(slices.slices)} slices, the worse ones first." if is_cut else "",
    )
