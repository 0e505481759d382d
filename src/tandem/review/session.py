"""A review: the FiftyOne App is held open, and what a person does in it is written to a file, again and again."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tandem.errors import DataError, ReviewError
from tandem.evaluation.metrics import softmax
from tandem.review import app, database
from tandem.review import dataset as review
from tandem.review.app import Overlays, Prediction
from tandem.review.edits import decisions_from_edits, num_changed
from tandem.tables.decisions import Decisions, load_decisions, save_decisions
from tandem.tables.index import Index
from tandem.tables.samples import Samples

_POLL_S = 1.0
_FEW, _SHARE = 20, 0.1  # images that one review may touch without a question, or of all images
_BROKEN = ("empty", "not_an_image", "truncated")


@dataclass(frozen=True)
class ReviewInputs:
    """What is shown. x: (N, D) features, rows in the order of index and samples. max_distance: see tandem.review.dataset.

    copies: id -> ids of what it is taken for a copy of.
    """

    index: Index
    samples: Samples
    extras: Overlays
    x: np.ndarray
    images_dir: Path
    max_distance: float
    duplicates: Mapping[str, Sequence[str]]


def run_session(
    material: ReviewInputs,
    *,
    database_dir: Path,
    decisions_path: Path,
    address: str,
    port: int,
    ask: Callable[[str], bool],
) -> int:
    """Open the App and write decisions to their file whenever they change, until Ctrl-C; how many there are then.

    ask: whether to go on, when a review touches more images than is plausible. Raises ReviewError when it ends with
    decisions that were not written, DataError when they contradict one another.
    """
    before = load_decisions(decisions_path)
    labels = {record.id: record.label for record in material.index.records}
    class_names = material.samples.class_names
    with database.open_database(database_dir, wait=False) as fiftyone:
        shown, rows = review.review_images(material.index, material.samples, material.images_dir, before)
        given = {"images": shown, "features": material.x[rows], "max_distance": material.max_distance}
        dataset = review.build_dataset(fiftyone, name=review.DATASET, **given)[0]
        app.add_views(fiftyone, dataset, material.extras)

        def now() -> Decisions:
            shown = app.read_edits(dataset)
            return decisions_from_edits(
                before, shown, labels=labels, copies=material.duplicates, class_names=class_names
            )

        with app.launch_app(fiftyone, dataset, address=address, port=port) as url:
            _say(f"the App is at {url} - Ctrl-C ends it; decisions go to {decisions_path}")
            recorder = DecisionWriter(decisions_path, before, num_images=len(labels), ask=ask)
            try:
                while True:
                    time.sleep(_POLL_S)
                    recorder.record(now)
            except KeyboardInterrupt:
                return recorder.end()


class DecisionWriter:
    """Writes decisions when they change, unless they contradict one another or are implausibly many."""

    def __init__(self, path: Path, before: Decisions, *, num_images: int, ask: Callable[[str], bool]) -> None:
        self.path, self.before, self.saved = path, before, before
        self.num_images, self.ask = num_images, ask
        self.allowed = max(_FEW, int(_SHARE * num_images))
        self.problem: DataError | ReviewError | None = None

    def record(self, now: Callable[[], Decisions]) -> None:
        """Write what `now` says; where that cannot be, say why, once."""
        told = str(self.problem)
        try:
            found = now()
            self._require_plausible(found, told)
            if found != self.saved:
                save_decisions(found, self.path)
                self.saved = found
                _say(f"{len(found.decisions)} decisions in {self.path}")
            self.problem = None
        except (DataError, ReviewError) as error:
            self.problem = error
            if str(error) != told:
                _say(f"not written: {error}")

    def end(self) -> int:
        """The number of decisions in the file; raises what kept the last ones from being written."""
        if self.problem is not None:
            raise self.problem
        return len(self.saved.decisions)

    def _require_plausible(self, found: Decisions, told: str) -> None:
        number = num_changed(self.before, found)
        if found == self.saved or number <= self.allowed:
            return
        what = f"decisions about {number} of {self.num_images} images; a tag may have gone to a whole view"
        error = ReviewError(f"{what}. Take them back, or say yes (--yes)")
        if str(error) == told or not self.ask(what):
            raise error
        self.allowed = self.num_images


def predictions_of(
    logits: Mapping[str, np.ndarray], samples: Samples, *, splits: Sequence[str]
) -> dict[str, dict[str, Prediction]]:
    """Model -> id -> what it says, of the images of these splits. logits: model -> (N, C)."""
    rows = [row for split in splits for row in samples.split(split).rows.tolist()]
    probs = {model: softmax(values) for model, values in logits.items()}
    return {
        model: {
            str(samples.ids[row]): Prediction(samples.class_names[values[row].argmax()], float(values[row].max()))
            for row in rows
        }
        for model, values in probs.items()
    }


def corrupt_files(dropped: Sequence[Mapping[str, str]], files_dir: Path) -> list[tuple[Path, str, str]]:
    """File, label and reason of what could not be read. dropped: rows of the merge's table."""
    rows = [row for row in dropped if row["reason"] in _BROKEN]
    files = [((files_dir / row["source"] / row["path"]).absolute(), row["label"], row["reason"]) for row in rows]
    return [file for file in files if file[0].is_file()]


def duplicates_of(pairs: Sequence[Mapping[str, str]], samples: Samples) -> dict[str, list[str]]:
    """Id -> ids of what it is taken for a copy of: those it is paired with, or else its whole group."""
    paired: dict[str, set[str]] = {}
    for row in pairs:
        paired.setdefault(row["first"], set()).add(row["second"])
        paired.setdefault(row["second"], set()).add(row["first"])
    groups: dict[str, list[str]] = {}
    for id_, group in zip(samples.ids, samples.groups.tolist(), strict=True):
        groups.setdefault(group, []).append(id_)
    return {
        id_: sorted(paired.get(id_) or set(groups[group]) - {id_})
        for id_, group in zip(samples.ids, samples.groups.tolist(), strict=True)
    }


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
