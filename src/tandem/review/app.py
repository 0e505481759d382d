"""The FiftyOne App on a dataset: what it shows beside the images, and what a reviewer edited there."""

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tandem.errors import ReviewError
from tandem.evaluation.metrics import softmax
from tandem.review.edits import SampleEdit
from tandem.tables.logits import Logits
from tandem.tables.samples import Split

_MAX_RADIO_BUTTONS = 5  # of more classes one is chosen from a list
_SHOWN = ("label", "issue_kind")  # on each image of the grid; the sidebar turns on others


class Prediction(NamedTuple):
    """A model's class for one image. confidence: its probability, in [0, 1]."""

    label: str
    confidence: float


class CorruptFile(NamedTuple):
    """A file that could not be read, and is therefore no image of the dataset. reason: one word."""

    path: Path
    label: str
    reason: str


@dataclass(frozen=True)
class Overlays:
    """What is shown beside the images; ids are content hashes.

    issues: id -> label issue as (score in [0, 1], kind). duplicate_groups: each of two ids or more. predictions: model
    -> id -> its prediction. quality: name of a measure -> id -> its value.
    """

    class_names: Sequence[str]
    issues: Mapping[str, tuple[float, str]] = field(default_factory=dict)
    duplicate_groups: Sequence[Sequence[str]] = ()
    predictions: Mapping[str, Mapping[str, Prediction]] = field(default_factory=dict)
    corrupt: Sequence[CorruptFile] = ()
    quality: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def predictions_of(table: Logits, splits: Sequence[Split]) -> dict[str, Prediction]:
    """Id -> the model's prediction, for the images of these splits. table: its rows are those of the samples."""
    probs = softmax(table.values)
    return {
        id_: Prediction(table.class_names[probs[row].argmax()], float(probs[row].max()))
        for split in splits
        for id_, row in zip(split.ids, split.rows.tolist(), strict=True)
    }


def corrupt_files(corrupt: Sequence[Mapping[str, str]], files_dir: Path) -> list[CorruptFile]:
    """The files that are still there of those that could not be read. corrupt: their rows of merge's excluded.csv."""
    files = [
        CorruptFile((files_dir / row["source"] / row["path"]).absolute(), row["label"], row["reason"])
        for row in corrupt
    ]
    return [file for file in files if file.path.is_file()]


def add_overlays(fiftyone: Any, dataset: Any, overlays: Overlays) -> None:
    """Add the overlays to a dataset of tandem.review.dataset as fields and views, and let the App edit labels.

    Fields: issue_score, issue_kind, corrupt_reason, each measure of quality, and pred_<model> for each model. Views:
    label_issues, duplicate_groups, cross_source_duplicates, corrupt, and wrong_<model>. On the images of the grid stand
    the label and the kind of label issue, and of the fields nothing else.
    """
    for name, values in overlays.quality.items():
        dataset.add_sample_field(name, fiftyone.FloatField)
        dataset.set_values(name, [values.get(id_) for id_ in dataset.values("content_id")])
    _add_label_issues(fiftyone, dataset, overlays.issues)
    _add_duplicate_views(fiftyone, dataset, overlays.duplicate_groups)
    _add_corrupt_files(fiftyone, dataset, overlays.corrupt)
    for model, predictions in overlays.predictions.items():
        _add_predictions(fiftyone, dataset, model, predictions)
    _allow_edits(dataset, overlays.class_names)
    dataset.app_config.active_fields = fiftyone.core.odm.ActiveFields(paths=list(_SHOWN))
    dataset.save()


def first_view(dataset: Any) -> tuple[str, Any]:
    """The name and the view with which a review begins: the likely label errors, or else all images."""
    issues = dataset.load_saved_view("label_issues")
    return ("label_issues", issues) if len(issues) else ("all images", dataset.view())


def read_edits(dataset: Any) -> dict[str, SampleEdit]:
    """Content hash -> the image as it is in the App at this moment; corrupt files, which have no hash, are left out."""
    columns = dataset.values(["content_id", "label.label", "tags"])
    return {id_: SampleEdit(label or "", frozenset(tags)) for id_, label, tags in zip(*columns, strict=True) if id_}


@contextmanager
def launch_app(fiftyone: Any, view: Any, *, address: str, port: int) -> Iterator[str]:
    """The App's URL, while the block lasts. view: with which it begins. Raises ReviewError when the port is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise ReviewError(
                f"the App cannot listen at {address}:{port} ({error.strerror}); take another --port"
            ) from error
    session = fiftyone.launch_app(view=view, remote=True, address=address, port=port, auto=False)
    try:
        yield f"http://{address}:{port}/"
    finally:
        session.close()


def _add_label_issues(fiftyone: Any, dataset: Any, issues: Mapping[str, tuple[float, str]]) -> None:
    dataset.add_sample_field("issue_score", fiftyone.FloatField)
    dataset.add_sample_field("issue_kind", fiftyone.StringField)
    ids = set(dataset.values("content_id")).intersection(issues)
    dataset.set_values("issue_score", {id_: issues[id_][0] for id_ in ids}, key_field="content_id")
    dataset.set_values("issue_kind", {id_: issues[id_][1] for id_ in ids}, key_field="content_id")
    dataset.save_view("label_issues", dataset.exists("issue_score").sort_by("issue_score", reverse=True))


def _add_duplicate_views(fiftyone: Any, dataset: Any, groups: Sequence[Sequence[str]]) -> None:
    """Views of the images of these groups, and of the groups with images of several sources, group by group."""
    source_of = dict(zip(*dataset.values(["content_id", "source"]), strict=True))
    across = [ids for ids in groups if len({source_of[id_] for id_ in ids}) > 1]
    for name, shown in (("duplicate_groups", groups), ("cross_source_duplicates", across)):
        is_shown = fiftyone.ViewField("content_id").is_in([id_ for ids in shown for id_ in ids])
        dataset.save_view(name, dataset.match(is_shown).sort_by("group_id"))


def _add_corrupt_files(fiftyone: Any, dataset: Any, files: Sequence[CorruptFile]) -> None:
    dataset.add_sample_field("corrupt_reason", fiftyone.StringField)
    samples = [
        fiftyone.Sample(
            filepath=str(path),
            tags=["corrupt"],
            corrupt_reason=reason,
            label=fiftyone.Classification(label=label),
        )
        for path, label, reason in files
    ]
    if samples:
        dataset.add_samples(samples, num_samples=len(samples))
    dataset.save_view("corrupt", dataset.match_tags("corrupt"))


def _add_predictions(fiftyone: Any, dataset: Any, model: str, predictions: Mapping[str, Prediction]) -> None:
    """A field of the predictions, and a view of those that differ from the label, most confident first."""
    name = f"pred_{model}"
    dataset.add_sample_field(name, fiftyone.EmbeddedDocumentField, embedded_doc_type=fiftyone.Classification)
    values = {id_: fiftyone.Classification(label=label, confidence=p) for id_, (label, p) in predictions.items()}
    dataset.set_values(name, values, key_field="content_id")
    is_wrong = fiftyone.ViewField(f"{name}.label") != fiftyone.ViewField("label.label")
    wrong = dataset.exists(name).match(is_wrong)
    dataset.save_view(f"wrong_{model}", wrong.sort_by(f"{name}.confidence", reverse=True))


def _allow_edits(dataset: Any, class_names: Sequence[str]) -> None:
    schemas = dataset.generate_label_schemas(fields=["label"])
    component = "radio" if len(class_names) <= _MAX_RADIO_BUTTONS else "dropdown"
    schemas["label"] |= {"classes": list(class_names), "component": component}
    dataset.set_label_schemas(schemas)
    dataset.activate_label_schemas(["label"])
