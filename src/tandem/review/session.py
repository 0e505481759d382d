"""A review: the FiftyOne App stays open, and whenever a reviewer changes something there, decisions are written."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tandem.errors import DataError, ReviewError
from tandem.review.app import Overlays, add_overlays, first_view, launch_app, read_edits
from tandem.review.database import open_database
from tandem.review.dataset import build_dataset, review_images, review_order
from tandem.review.edits import decisions_from_edits, num_changed
from tandem.review.layout import lay_out
from tandem.tables.decisions import Decisions, load_decisions, save_decisions
from tandem.tables.index import Index
from tandem.tables.samples import Samples
from tandem.types import Encoded

_POLL_S = 1.0
# One review may change this many images, or this fraction of all, without a question.
_MAX_CHANGED, _MAX_CHANGED_FRACTION = 20, 0.1


@dataclass(frozen=True)
class ReviewInputs:
    """What a review is of. images: N. features: (N, D). Both in the order of index and samples.

    images_dir: scratch, in which the images are laid out as files. duplicates: id -> ids of its near duplicates.
    max_distance: see tandem.review.dataset.
    """

    index: Index
    samples: Samples
    images: Sequence[Encoded]
    features: np.ndarray
    duplicates: Mapping[str, Sequence[str]]
    overlays: Overlays
    images_dir: Path
    max_distance: float


def groups_of_several(samples: Samples) -> list[list[str]]:
    """The ids of each group of two images or more, in order of the groups' names."""
    members: dict[str, list[str]] = {}
    for id_, group in zip(samples.ids, samples.groups.tolist(), strict=True):
        members.setdefault(group, []).append(id_)
    return [ids for _, ids in sorted(members.items()) if len(ids) > 1]


def duplicates_by_id(pairs: Sequence[Mapping[str, str]], groups: Sequence[Sequence[str]]) -> dict[str, list[str]]:
    """Id -> ids that it is paired with or, where there are none, the others of its group; without ids of neither.

    pairs: rows with "first" and "second", the ids of two near duplicates.
    """
    paired: dict[str, set[str]] = {}
    for row in pairs:
        paired.setdefault(row["first"], set()).add(row["second"])
        paired.setdefault(row["second"], set()).add(row["first"])
    grouped = {id_: {*ids} - {id_} for ids in groups for id_ in ids}
    return {id_: sorted(others) for id_, others in {**grouped, **paired}.items()}


def run_session(
    inputs: ReviewInputs,
    *,
    database_dir: Path,
    decisions_path: Path,
    address: str,
    port: int,
    ask: Callable[[str], bool],
) -> int:
    """Open the App and write decisions to their file whenever they change, until Ctrl-C; their number at the end.

    ask: whether to write decisions that change more images than is plausible. Raises ReviewError when it ends with
    decisions that were not written, DataError when they contradict each other.
    """
    before = load_decisions(decisions_path)
    labels = dict(zip(inputs.index.ids, inputs.index.labels.tolist(), strict=True))
    rows = review_order(inputs.samples)
    images = review_images(inputs.index, inputs.samples, rows, images_dir=inputs.images_dir, decisions=before)
    lay_out(inputs.images, inputs.index.files, inputs.images_dir)
    _say(f"starting FiftyOne and its database in {database_dir}")
    with open_database(database_dir, wait=False) as fiftyone:
        _say(f"showing it {len(images)} images; its Brain looks for duplicates")
        features = inputs.features[rows]
        dataset, _ = build_dataset(fiftyone, images, features=features, max_distance=inputs.max_distance)
        add_overlays(fiftyone, dataset, inputs.overlays)

        def read_decisions() -> Decisions:
            return decisions_from_edits(
                before,
                read_edits(dataset),
                labels=labels,
                duplicates=inputs.duplicates,
                class_names=inputs.samples.class_names,
            )

        name, view = first_view(dataset)
        with launch_app(fiftyone, view, address=address, port=port) as url:
            _say(f"the App is at {url}, with {name} in sight - Ctrl-C ends it; decisions go to {decisions_path}")
            return _write_until_interrupted(
                DecisionWriter(decisions_path, before, num_images=len(images), ask=ask), read_decisions
            )


class DecisionWriter:
    """Writes decisions when they change, unless they contradict each other or change implausibly many images."""

    def __init__(self, path: Path, before: Decisions, *, num_images: int, ask: Callable[[str], bool]) -> None:
        self.path, self.before, self.saved = path, before, before
        self.num_images, self.ask = num_images, ask
        self.max_changed = max(_MAX_CHANGED, int(_MAX_CHANGED_FRACTION * num_images))
        self.problem: DataError | ReviewError | None = None

    def update(self, read: Callable[[], Decisions]) -> None:
        """Write the decisions that `read` returns; where that is not possible, say why, once."""
        known_problem = str(self.problem)
        try:
            decisions = read()
            self._require_plausible(decisions, known_problem)
            if decisions != self.saved:
                save_decisions(decisions, self.path)
                self.saved = decisions
                _say(f"{len(decisions.decisions)} decisions in {self.path}")
            self.problem = None
        except (DataError, ReviewError) as error:
            self.problem = error
            if str(error) != known_problem:
                _say(f"not written: {error}")

    def end(self) -> int:
        """The number of decisions in the file; raises the error that kept the last ones from being written."""
        if self.problem is not None:
            raise self.problem
        return len(self.saved.decisions)

    def _require_plausible(self, decisions: Decisions, known_problem: str) -> None:
        number = num_changed(self.before, decisions)
        if decisions == self.saved or number <= self.max_changed:
            return
        finding = f"decisions about {number} of {self.num_images} images; a tag may have gone to a whole view"
        error = ReviewError(f"{finding}. Take them back in the App, or allow them (--yes)")
        if str(error) == known_problem or not self.ask(finding):
            raise error
        self.max_changed = self.num_images


def _write_until_interrupted(writer: DecisionWriter, read_decisions: Callable[[], Decisions]) -> int:
    try:
        while True:
            time.sleep(_POLL_S)
            writer.update(read_decisions)
    except KeyboardInterrupt:
        return writer.end()


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
