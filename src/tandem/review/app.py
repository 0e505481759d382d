"""The FiftyOne App on a dataset: what a reviewer needs beside the images, and what they did."""

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tandem.errors import ReviewError
from tandem.review.edits import SampleEdit

_MOST_RADIO = 5  # classes to choose from by one click


@dataclass(frozen=True)
class Prediction:
    """What one model says of an image. confidence: the probability, in [0, 1]."""

    label: str
    confidence: float


@dataclass(frozen=True)
class Overlays:
    """What is shown beside the images, by content hash.

    tags: added to those there are. suspicion: with kind, in [0, 1]. copies: ids of sets of copies. guesses: model -> id
    -> Guess. broken: file, its label and why it was left out, for files that are no images of the dataset.
    """

    class_names: Sequence[str]
    tags: Mapping[str, Sequence[str]] = field(default_factory=dict)
    issues: Mapping[str, tuple[float, str]] = field(default_factory=dict)
    duplicates: Sequence[frozenset[str]] = ()
    predictions: Mapping[str, Mapping[str, Prediction]] = field(default_factory=dict)
    corrupt: Sequence[tuple[Path, str, str]] = ()


def add_views(fiftyone: Any, dataset: Any, extras: Overlays) -> None:
    """Add the extras to a dataset of tandem.review.dataset, save its views and enable editing of labels.

    Views: suspects, duplicate_groups, cross_source_copies, broken, and wrong_<model> for each of guesses.
    """
    dataset.add_sample_field("suspicion", fiftyone.FloatField)
    dataset.add_sample_field("suspect", fiftyone.StringField)
    dataset.add_sample_field("reason", fiftyone.StringField)
    ids, tags, sources = dataset.values(["content_id", "tags", "source"])
    known = set(ids)
    added = {id_: [*old, *extras.tags.get(id_, ())] for id_, old in zip(ids, tags, strict=True)}
    dataset.set_values("tags", added, key_field="content_id")
    told = {id_: values for id_, values in extras.issues.items() if id_ in known}
    dataset.set_values("suspicion", {id_: value for id_, (value, _) in told.items()}, key_field="content_id")
    dataset.set_values("suspect", {id_: kind for id_, (_, kind) in told.items()}, key_field="content_id")
    dataset.save_view("suspects", dataset.exists("suspicion").sort_by("suspicion", reverse=True))
    source_of = dict(zip(ids, sources, strict=True))
    everywhere = [id_ for copies in extras.duplicates for id_ in copies]
    across = [id_ for copies in extras.duplicates if len({source_of[each] for each in copies}) > 1 for id_ in copies]
    for name, members in (("duplicate_groups", everywhere), ("cross_source_copies", across)):
        dataset.save_view(name, dataset.match(fiftyone.ViewField("content_id").is_in(members)).sort_by("group_id"))
    _add_corrupt(fiftyone, dataset, extras.corrupt)
    for model, guesses in extras.predictions.items():
        _add_predictions(fiftyone, dataset, model, guesses)
    schemas = dataset.generate_label_schemas(fields=["label"])
    component = "radio" if len(extras.class_names) <= _MOST_RADIO else "dropdown"
    schemas["label"] |= {"classes": list(extras.class_names), "component": component}
    dataset.set_label_schemas(schemas)
    dataset.activate_label_schemas(["label"])


def read_edits(dataset: Any) -> dict[str, SampleEdit]:
    """Content hash -> what the App has of it at this moment; files without one are left out."""
    rows = zip(*dataset.values(["content_id", "label.label", "tags"]), strict=True)
    return {id_: SampleEdit(label or "", frozenset(tags)) for id_, label, tags in rows if id_}


@contextmanager
def launch_app(fiftyone: Any, dataset: Any, *, address: str, port: int) -> Iterator[str]:
    """The App's address, as long as the block lasts. Raises ReviewError when the port is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise ReviewError(
                f"the App cannot be at {address}:{port} ({error.strerror}); take another --port"
            ) from error
    session = fiftyone.launch_app(dataset, remote=True, address=address, port=port, auto=False)
    try:
        yield f"http://{address}:{port}/"
    finally:
        session.close()


def _add_corrupt(fiftyone: Any, dataset: Any, broken: Sequence[tuple[Path, str, str]]) -> None:
    samples = [
        fiftyone.Sample(filepath=str(path), tags=["broken"], reason=why, label=fiftyone.Classification(label=label))
        for path, label, why in broken
    ]
    if samples:
        dataset.add_samples(samples, num_samples=len(samples))
    dataset.save_view("broken", dataset.match_tags("broken"))


def _add_predictions(fiftyone: Any, dataset: Any, model: str, guesses: Mapping[str, Prediction]) -> None:
    """A field pred_<model> with the confidence, and a view of those that are not the label, the surest first."""
    name = f"pred_{model}"
    dataset.add_sample_field(name, fiftyone.EmbeddedDocumentField, embedded_doc_type=fiftyone.Classification)
    said = {
        id_: fiftyone.Classification(label=guess.label, confidence=guess.confidence) for id_, guess in guesses.items()
    }
    dataset.set_values(name, said, key_field="content_id")
    field_of = fiftyone.ViewField
    wrong = dataset.exists(name).match(field_of(f"{name}.label") != field_of("label.label"))
    dataset.save_view(f"wrong_{model}", wrong.sort_by(f"{name}.confidence", reverse=True))
