"""Images, groups and splits as a FiftyOne dataset, with a second opinion on duplicates by FiftyOne's Brain.

The database is scratch: each build replaces the dataset. Brain compares all images with one another, so of more than
BRAIN_TO its runs are left out, and with them the features that it would read from the dataset.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from tandem.errors import DataError
from tandem.review.insertion import insert_samples
from tandem.tables.decisions import Decisions
from tandem.tables.index import Index
from tandem.tables.samples import SPLITS, Samples

DATASET = "tandem"
# by the first word of samples' exclusion reasons
_TAGS_OF_REASON = {"": (), "duplicate": ("duplicates",), "conflict": ("conflicts",), "dropped": ("dropped",)}
TAG_VIEWS = (*SPLITS, "duplicates", "conflicts", "dropped")  # saved views of the images with the tag of that name
BRAIN_TO = 10_000  # images; of so many its runs take 13 s of a core, and the search in them grows with the square
_WORKING_MB = 64  # of distances at a time; scikit-learn's own default is 1024


@dataclass(frozen=True)
class ReviewImage:
    """One image of the dataset. id: content hash, unique. path: absolute. split: one of SPLITS or "".

    tags: any words; the split is made one, too. origins: where the sources have the image.
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
    """num_exact_duplicates: files that are byte for byte an earlier one. near_duplicates: (kept id, duplicate id).

    Brain goes through the images in order and discards each that is near to one that it keeps. It then names for
    each duplicate the nearest kept image, but by embeddings that it has centered anew on the kept ones: now and
    then that is not the nearest, or is farther than max_distance (5 of 545 pairs of one random set).
    """

    num_exact_duplicates: int
    near_duplicates: frozenset[tuple[str, str]]
    was_run: bool = True

    def counts(self) -> dict[str, int]:
        """For the metrics. A duplicate is named once, so these are images. Of more than BRAIN_TO only that limit."""
        if not self.was_run:
            return {"not_run_above_images": BRAIN_TO}
        return {"exact_duplicates": self.num_exact_duplicates, "near_duplicates": len(self.near_duplicates)}


def build_review_dataset(
    index: Index, samples: Samples, *, features: np.ndarray, images_dir: Path, database_dir: Path, max_distance: float
) -> BrainFindings:
    """Build the dataset of a curated index in the database of a folder; what Brain found in it.

    features: (N, D), in the order of the index. max_distance: see build_dataset. Raises DataError for input that cannot
    be shown, ReviewError when FiftyOne or its database does not start.
    """
    from tandem.review.database import open_database  # and psutil, after all else that a stage does

    rows = review_order(samples)
    images = _LazyImages(lambda row: _review_image(index, samples, row, images_dir, None), rows)
    with open_database(database_dir) as fiftyone:
        if len(rows) > BRAIN_TO:
            return build_large_dataset(fiftyone, images)[1]
        return build_dataset(fiftyone, list(images), features=features[rows], max_distance=max_distance)[1]


class _LazyImages(Sequence[ReviewImage]):
    """Each made when it is asked for: a million would take a gigabyte."""

    def __init__(self, of_row: Callable[[int], ReviewImage], rows: np.ndarray) -> None:
        self._of_row, self._rows = of_row, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, at: Any) -> Any:
        return self._of_row(int(self._rows[at]))


def review_order(samples: Samples) -> np.ndarray:
    """(N,) row numbers, images that are used first: of near duplicates Brain keeps the earliest."""
    return np.argsort(samples.exclusion_reasons != "", kind="stable")


def review_images(
    index: Index, samples: Samples, rows: np.ndarray, *, images_dir: Path, decisions: Decisions | None = None
) -> list[ReviewImage]:
    """The images of these rows of index and samples.

    decisions: their labels and tags are shown, whether curation has read them or not; None: the labels of samples.
    """
    return [_review_image(index, samples, row, images_dir, decisions) for row in rows.tolist()]


def build_dataset(
    fiftyone: Any, images: Sequence[ReviewImage], *, features: np.ndarray, max_distance: float, name: str = DATASET
) -> tuple[Any, BrainFindings]:
    """Replace the dataset `name` by these images, in this order; the dataset, and what Brain found and stored in it.

    fiftyone: as open_database yields it. features: (N, D) with N, D >= 2, a row for each image. max_distance: cosine
    distance, in [0, 2], of features from which the mean of all N has been subtracted, as Brain does; so it depends on
    the set and is no threshold on raw cosine.

    Fields: content_id, label, source, group_id, split, origins, features; exact_duplicate_of and near_duplicate_of hold
    the content_id that Brain keeps, also on the kept image itself. Views: TAG_VIEWS, exact_duplicates, near_duplicates.
    Brain keys: features (similarity), pca. Run: near_duplicates, with max_distance.
    The images' files need not be there before somebody looks at them. Raises DataError for ids that are not unique, and
    for other shapes of features.
    """
    _require_showable(images, features)
    dataset = _add_dataset(fiftyone, name, images, np.asarray(features, dtype=np.float32))
    return dataset, _run_brain(fiftyone, dataset, max_distance)


def build_large_dataset(
    fiftyone: Any, images: Sequence[ReviewImage], *, name: str = DATASET
) -> tuple[Any, BrainFindings]:
    """As build_dataset, without features and Brain's runs: its views and fields are there, and empty."""
    dataset = _add_dataset(fiftyone, name, images, None)
    for what in ("exact_duplicate", "near_duplicate"):
        _mark_duplicates(fiftyone, dataset, {}, field=f"{what}_of", view=f"{what}s")
    return dataset, BrainFindings(0, frozenset(), was_run=False)


def _review_image(
    index: Index, samples: Samples, row: int, images_dir: Path, decisions: Decisions | None
) -> ReviewImage:
    tags = _TAGS_OF_REASON[str(samples.exclusion_reasons[row]).partition(" ")[0].rstrip(":")]
    id_ = index.ids[row]
    label = str(samples.labels[row]) if decisions is None else decisions.labels.get(id_, str(index.labels[row]))
    return ReviewImage(
        id=id_,
        path=(images_dir / index.files[row]).absolute(),
        label=label,
        source=str(index.sources[row]),
        group=str(samples.groups[row]),
        split=str(samples.splits[row]),
        tags=(*tags, *(decisions.tags(id_) if decisions else ())),
        origins=index.found_in[row],
    )


def _require_showable(images: Sequence[ReviewImage], features: np.ndarray) -> None:
    if features.ndim != 2 or len(features) != len(images) or min(features.shape) < 2:
        raise DataError(
            f"a review needs two images or more, and features (images, two or more values); got {len(images)} images "
            f"and features of shape {features.shape}; add images, or run `dvc repro` again"
        )
    seen: set[str] = set()
    for image in images:
        if image.id in seen:
            raise DataError(f"a review needs unique ids; {image.id} occurs twice; run the merge stage again")
        seen.add(image.id)


def _add_dataset(fiftyone: Any, name: str, images: Sequence[ReviewImage], features: np.ndarray | None) -> Any:
    dataset = fiftyone.Dataset(name, persistent=True, overwrite=True)
    dataset.add_sample_field("origins", fiftyone.ListField, subfield=fiftyone.StringField)
    vectors = repeat(None, len(images)) if features is None else features
    fields = (_fields(image, vector) for image, vector in zip(images, vectors, strict=True))
    insert_samples(fiftyone, dataset, fields, label_fields=["label"])
    for tag in TAG_VIEWS:
        dataset.save_view(tag, dataset.match_tags(tag))
    return dataset


def _fields(image: ReviewImage, vector: np.ndarray | None) -> dict[str, Any]:
    fields = {
        "filepath": str(image.path),
        "tags": [tag for tag in dict.fromkeys((image.split, *image.tags)) if tag],
        "content_id": image.id,
        "label": image.label,
        "source": image.source,
        "group_id": image.group,
        "split": image.split,
        "origins": list(image.origins),
    }
    return fields if vector is None else fields | {"features": vector}


def _run_brain(fiftyone: Any, dataset: Any, max_distance: float) -> BrainFindings:
    import fiftyone.brain as brain
    import sklearn

    exact = brain.compute_exact_duplicates(dataset, skip_failures=False)
    # before the search, which holds its own copy of the features
    brain.compute_visualization(dataset, embeddings="features", brain_key="pca", method="pca", num_dims=2)
    # by the name of the field: an array would be stored with the result as JSON, six times slower and larger
    index = brain.compute_similarity(dataset, embeddings="features", brain_key="features", backend="sklearn")
    with sklearn.config_context(working_memory=_WORKING_MB):
        brain.compute_near_duplicates(dataset, similarity_index=index, threshold=max_distance)
    # Brain stores no result of a duplicate search under a brain key, so its threshold goes into a run of our own
    dataset.register_run("near_duplicates", dataset.init_run(brain_key="features", max_distance=max_distance))
    near = {kept: [duplicate for duplicate, _ in neighbors] for kept, neighbors in index.neighbors_map.items()}
    exact_pairs = _mark_duplicates(fiftyone, dataset, exact, field="exact_duplicate_of", view="exact_duplicates")
    near_pairs = _mark_duplicates(fiftyone, dataset, near, field="near_duplicate_of", view="near_duplicates")
    return BrainFindings(len(exact_pairs), near_pairs)


def _mark_duplicates(
    fiftyone: Any, dataset: Any, duplicates: Mapping[str, Sequence[str]], *, field: str, view: str
) -> frozenset[tuple[str, str]]:
    """Write the kept content_id into a field of these samples, and save their view; (kept, duplicate) content_ids.

    duplicates: kept sample id -> sample ids.
    """
    content_id = dict(zip(*dataset.values(["id", "content_id"]), strict=True)) if duplicates else {}
    kept_of = {sample: content_id[kept] for kept, others in duplicates.items() for sample in (kept, *others)}
    dataset.add_sample_field(field, fiftyone.StringField)
    if kept_of:
        dataset.set_values(field, kept_of, key_field="id")
    dataset.save_view(view, dataset.exists(field).sort_by(field))
    return frozenset((content_id[kept], content_id[other]) for kept, others in duplicates.items() for other in others)
