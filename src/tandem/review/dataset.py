"""Shows images, groups and splits in FiftyOne, and asks its Brain for a second opinion on duplicates.

The database is scratch: every build makes its dataset anew from the arguments.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tandem.errors import DataError
from tandem.review import database
from tandem.tables.decisions import Decisions
from tandem.tables.index import ImageRecord, Index
from tandem.tables.samples import Samples

SAVED_VIEWS = ("train", "val", "test", "duplicates", "conflicts", "dropped")
_WORKING_MB = 64  # of distances at a time; scikit-learn's own is 1024


@dataclass(frozen=True)
class ReviewImage:
    """One record to show. id: content hash, unique. path: absolute. split: "train", "val", "test" or "".

    tags are free words; images tagged with a word of VIEWS are in the saved view of that name.
    """

    id: str
    path: Path
    label: str
    source: str
    group: str
    split: str
    tags: tuple[str, ...]
    origins: tuple[str, ...]


@dataclass(frozen=True)
class BrainFindings:
    """What Brain found: files that are byte for byte an earlier one, and near duplicates as (kept id, duplicate id).

    Brain goes through the images in order and drops whatever is near to one that it keeps. It then names for
    each duplicate the nearest kept image, but by embeddings that it has centerd anew on the kept ones: now and
    then that is not the nearest, or is farther than max_distance (5 of 545 pairs of one random set).
    """

    num_exact_copies: int
    near_duplicates: frozenset[tuple[str, str]]
    num_near_duplicates: int

    def counts(self) -> dict[str, int]:
        """The numbers, for the metrics."""
        return {"exact_copies": self.num_exact_copies, "near_duplicates": self.num_near_duplicates}


def replace_dataset(
    *, name: str, database_dir: Path, images: Sequence[ReviewImage], features: np.ndarray, max_distance: float
) -> BrainFindings:
    """Replace the dataset `name` by these images, in this order, with Brain's results stored beside them.

    features: (N, D) float32 with N, D >= 2; row i belongs to images[i]. max_distance: cosine distance in [0, 2]
    of features from which the mean of all N has been taken, as Brain does; so it depends on the set and is no
    threshold on raw cosine. Put images to be kept first: of near duplicates Brain keeps the earliest.

    Fields: content_id, label, source, group_id, split, origins, features; exact_copy_of and near_duplicate_of hold
    the content_id that is kept, also on the kept image itself. Views: VIEWS, exact_copies, near_duplicates.
    Brain keys: features (similarity), pca. Run: near_duplicates, with max_distance. A database that
    FIFTYONE_DATABASE_URI names goes before database_dir.
    Raises DataError for input that cannot be shown, ReviewError when FiftyOne or its database does not start.
    """
    _require_showable(images, features)
    with database.open_database(database_dir) as fiftyone:
        return build_dataset(fiftyone, name=name, images=images, features=features, max_distance=max_distance)[1]


def build_dataset(
    fiftyone: Any, *, name: str, images: Sequence[ReviewImage], features: np.ndarray, max_distance: float
) -> tuple[Any, BrainFindings]:
    """The dataset that build makes, in a database that tandem.review.database has opened, and what Brain found."""
    _require_showable(images, features)
    dataset = _fill(fiftyone, name, images, np.asarray(features, dtype=np.float32))
    return dataset, _ask_brain(fiftyone, dataset, max_distance)


def _require_showable(images: Sequence[ReviewImage], features: np.ndarray) -> None:
    if features.ndim != 2 or len(features) != len(images) or min(features.shape) < 2:
        raise DataError(
            f"review needs two images or more and one row of features, two columns or more, for each; "
            f"got {len(images)} images and features of shape {features.shape}"
        )
    seen: set[str] = set()
    for image in images:
        if image.id in seen:
            raise DataError(f"review needs unique ids; {image.id} occurs twice")
        if not image.path.is_file():
            raise DataError(f"image {image.id} cannot be shown: there is no file {image.path}")
        seen.add(image.id)


def _fill(fiftyone: Any, name: str, images: Sequence[ReviewImage], features: np.ndarray) -> Any:
    dataset = fiftyone.Dataset(name, persistent=True, overwrite=True)
    dataset.add_sample_field("origins", fiftyone.ListField, subfield=fiftyone.StringField)
    samples = (_sample(fiftyone, image, row) for image, row in zip(images, features, strict=True))
    dataset.add_samples(samples, num_samples=len(images))
    for word in SAVED_VIEWS:
        dataset.save_view(word, dataset.match_tags(word))
    return dataset


def _sample(fiftyone: Any, image: ReviewImage, row: np.ndarray) -> Any:
    return fiftyone.Sample(
        filepath=str(image.path),
        tags=[word for word in dict.fromkeys((image.split, *image.tags)) if word],
        content_id=image.id,
        label=fiftyone.Classification(label=image.label),
        source=image.source,
        group_id=image.group,
        split=image.split,
        origins=list(image.origins),
        features=row,
    )


def _ask_brain(fiftyone: Any, dataset: Any, max_distance: float) -> BrainFindings:
    import fiftyone.brain as brain
    import sklearn

    copies_of = brain.compute_exact_duplicates(dataset, skip_failures=False)
    # before the search, which holds its own copies of the features
    brain.compute_visualization(dataset, embeddings="features", brain_key="pca", method="pca", num_dims=2)
    # by the name of the field: an array would be stored with the result as JSON, six times slower and larger
    index = brain.compute_similarity(dataset, embeddings="features", brain_key="features", backend="sklearn")
    with sklearn.config_context(working_memory=_WORKING_MB):
        brain.compute_near_duplicates(dataset, similarity_index=index, threshold=max_distance)
    # Brain stores no result of a duplicate search under a brain key, so its threshold goes into a run of our own
    dataset.register_run("near_duplicates", dataset.init_run(brain_key="features", max_distance=max_distance))
    near = {kept: [duplicate for duplicate, _ in found] for kept, found in index.neighbors_map.items()}
    _mark(fiftyone, dataset, copies_of, field="exact_copy_of", view="exact_copies")
    pairs = _mark(fiftyone, dataset, near, field="near_duplicate_of", view="near_duplicates")
    return BrainFindings(sum(map(len, copies_of.values())), frozenset(pairs), len(pairs))


def _mark(
    fiftyone: Any, dataset: Any, found: Mapping[str, Sequence[str]], *, field: str, view: str
) -> list[tuple[str, str]]:
    """Write the kept content_id on each sample of a finding, save them as a view; (kept, duplicate) content_ids."""
    content_id = dict(zip(*dataset.values(["id", "content_id"]), strict=True))
    marks = {sample: content_id[kept] for kept, others in found.items() for sample in (kept, *others)}
    dataset.add_sample_field(field, fiftyone.StringField)
    dataset.set_values(field, marks, key_field="id")
    dataset.save_view(view, dataset.exists(field).sort_by(field))
    return [(content_id[kept], content_id[other]) for kept, others in found.items() for other in others]


DATASET = "tandem"
_TAGS = {
    "": (),
    "duplicate": ("duplicates",),
    "conflict": ("conflicts",),
    "dropped": ("dropped",),
}  # by a note's first word


def build_review_dataset(
    index: Index, samples: Samples, *, features: np.ndarray, images_dir: Path, database_dir: Path, max_distance: float
) -> BrainFindings:
    """Rebuild the dataset: images that are used first, so that Brain keeps them and calls the others copies.

    features: (N, D), rows in the order of index and samples. max_distance: see tandem.review.dataset.
    """
    with database.open_database(database_dir) as fiftyone:
        shown, rows = review_images(index, samples, images_dir)
        given = {"images": shown, "features": features[rows], "max_distance": max_distance}
        return build_dataset(fiftyone, name=DATASET, **given)[1]


def review_images(
    index: Index, samples: Samples, images_dir: Path, decisions: Decisions | None = None
) -> tuple[list[ReviewImage], np.ndarray]:
    """The images to show, those that are used first, and their rows in the index.

    decisions: their classes are shown, and their tags; None: the classes that curation gave.
    """
    order = np.argsort(samples.exclusion_reasons != "", kind="stable").tolist()
    made = [_review_image(index.records[row], samples, row, images_dir, decisions) for row in order]
    return made, np.array(order, dtype=np.int64)


def _review_image(
    record: ImageRecord, samples: Samples, row: int, images_dir: Path, decisions: Decisions | None
) -> ReviewImage:
    tags = _TAGS[str(samples.exclusion_reasons[row]).partition(" ")[0].rstrip(":")]
    label = str(samples.labels[row]) if decisions is None else decisions.labels.get(record.id, record.label)
    return ReviewImage(
        id=record.id,
        path=(images_dir / record.file).absolute(),
        label=label,
        source=record.source,
        group=str(samples.groups[row]),
        split=str(samples.splits[row]),
        tags=(*tags, *(decisions.tags(record.id) if decisions else ())),
        origins=tuple(f"{origin.source}/{origin.path}" for origin in record.origins),
    )
