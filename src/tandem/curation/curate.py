"""From an index and one backbone's features to groups, splits and what is excluded.

Candidates -> near duplicates: of pairs that features, hashes and keypoints propose, the pixels verify some and reject
the others (tandem.curation.duplicates). Links: near duplicates, images of one stem, crops of one image, and what a
person decided (.links). Bursts: frames of one video, and images of one camera within seconds (.bursts). Groups: what
links and bursts join; a group never lies in two splits (.groups). Exclusion: of a set of near duplicates one image may
stand for all (.exclusion). Splits: assigned to groups (tandem.tables.splits). What is counted of it for the metrics:
.summary.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tandem.cluster.local import LOCAL
from tandem.cluster.work import Executor
from tandem.curation.bursts import Bound, bind, large_in_words
from tandem.curation.disputed import Disputed, save_disputed
from tandem.curation.duplicates.candidates import find_candidates
from tandem.curation.duplicates.pairs import is_among
from tandem.curation.exclusion import exclusion_reasons, relabel
from tandem.curation.groups import connected_components
from tandem.curation.links import Links, duplicate_links, rows_of_pairs, rows_sharing
from tandem.curation.settings import CurateSettings
from tandem.errors import DataError
from tandem.files import atomic_dir, load_array
from tandem.images.hashing import NUM_BITS, NUM_ORIENTATIONS
from tandem.tables.decisions import Decisions, load_decisions, require_classes
from tandem.tables.features import load_features
from tandem.tables.index import Index, load_index
from tandem.tables.samples import Sample, Samples, load_class_names, save_samples
from tandem.tables.splits import assign_split, require_every_class
from tandem.tables.stored import StoredImages, load_stored
from tandem.types import Encoded

if TYPE_CHECKING:
    from tandem.curation.duplicates.alignment import Keypoints
    from tandem.curation.duplicates.verify import ScoredPairs


@dataclass(frozen=True, eq=False)
class CurateInputs:
    """What is known of N images, in the order of the index. features: (N, D). hashes: (N, 8, 32) packed bits.

    Raises DataError where these are of other images, or where an image or a decision has a class that there is not.
    """

    index: Index
    class_names: Sequence[str]
    features: np.ndarray
    hashes: np.ndarray
    stored: StoredImages
    decisions: Decisions

    def __post_init__(self) -> None:
        num_images, num_features, num_hashes = len(self.index), len(self.features), len(self.hashes)
        if not num_images == num_features == num_hashes:
            raise DataError(
                f"{num_images} images need as many features and hashes; got {num_features} and {num_hashes}; "
                "run the merge and extract stages again"
            )
        if self.hashes.shape[1:] != (NUM_ORIENTATIONS, NUM_BITS // 8) or self.hashes.dtype != np.uint8:
            raise DataError(
                f"hashes need 8 x 32 bytes an image; got {self.hashes.dtype} of shape {self.hashes.shape}; "
                "run the merge stage again"
            )
        if self.stored.ids != self.index.ids:
            raise DataError(
                f"the {num_images} images of the index are not the {len(self.stored)} that are stored; "
                "run the merge stage again"
            )
        for id_, label in zip(self.index.ids, self.index.labels, strict=True):
            if label not in self.class_names:
                raise DataError(
                    f"image {id_} has class {str(label)!r}, not one of {', '.join(self.class_names)}; "
                    "run the merge stage again"
                )
        require_classes(self.decisions, self.class_names)


def load_curate_inputs(merge_dir: Path, features_dir: Path, *, decisions_path: Path) -> CurateInputs:
    """Read what the stages merge and extract wrote, and what a person decided."""
    index, hashes = load_index(merge_dir / "index.csv"), load_array(merge_dir / "hashes.npy", ndim=3)
    class_names = load_class_names(merge_dir / "classes.json")
    features = load_features(features_dir, ids=index.ids).without_tta
    stored = load_stored(merge_dir / "stored.csv")
    return CurateInputs(index, class_names, features, hashes, stored, load_decisions(decisions_path))


@dataclass(frozen=True, eq=False)
class Curated:
    """samples: in the order of the index. near_duplicates, rejected: candidates that the pixels verified, and others.

    same_stem: (S, 2) pairs of rows. links: all that make near duplicates. duplicate_set_of: (N,) the smallest row of
    the set of near duplicates that each image is in. bound: what stays together besides.
    """

    samples: Samples
    near_duplicates: "ScoredPairs"
    rejected: "ScoredPairs"
    same_stem: np.ndarray
    links: Links
    duplicate_set_of: np.ndarray
    bound: Bound


def curate_images(
    inputs: CurateInputs, settings: CurateSettings, images: Sequence[Encoded], *, max_gb: float, executor: Executor
) -> Curated:
    """As curate, with the keypoints of the images, in the order of the index, by the executor."""
    from tandem.curation.duplicates.descriptions import (
        keypoints_reader,
    )  # and OpenCV, a tenth of a second

    with keypoints_reader(images, inputs.stored.sha256, max_gb=max_gb, executor=executor) as keypoints_of:
        return curate(inputs, settings, keypoints_of=keypoints_of, max_gb=max_gb, executor=executor)


def curate(
    inputs: CurateInputs,
    settings: CurateSettings,
    *,
    keypoints_of: "Callable[[int], Keypoints]",
    max_gb: float,
    executor: Executor = LOCAL,
) -> Curated:
    """Group, exclude and split. keypoints_of: row of the index -> Keypoints, as of keypoints_reader.

    max_gb: of what is kept of pairs for later runs, see verify_candidates. executor: where very many images are
    searched, and pairs are compared.

    Near duplicates under several classes are all excluded. Raises LeakageError when a class is missing from a split.
    """
    from tandem.curation.duplicates.descriptions import keypoint_keys
    from tandem.curation.duplicates.verify import verify_candidates

    index, decisions = inputs.index, inputs.decisions
    not_duplicates = rows_of_pairs(decisions.not_duplicates, index.ids)
    stems = rows_sharing(index.provenance_keys, "stem:")

    keys = keypoint_keys(keypoints_of, inputs.stored.sha256, max_gb=max_gb)
    candidates = find_candidates(
        inputs.features, inputs.hashes, keys, stems=stems, settings=settings, executor=executor
    )
    scored = verify_candidates(candidates, keypoints_of, inputs.stored.sha256, max_gb=max_gb, executor=executor)
    is_duplicate = (scored.correlation >= settings.min_correlation) & ~is_among(scored.pairs.rows, not_duplicates)
    near_duplicates, rejected = scored.where(is_duplicate), scored.where(~is_duplicate)

    same_stem = candidates.same_stem[~is_among(candidates.same_stem, not_duplicates)]
    links = duplicate_links(near_duplicates, same_stem, rows_of_pairs(decisions.duplicates, index.ids))
    duplicate_set_of = connected_components(len(index), links.rows)
    smallest = min(settings.fractions.by_split().values())
    bound = bind(duplicate_set_of, index.provenance_keys, settings.bursts, max_fraction=smallest)

    index = relabel(index, duplicate_set_of, decisions.labels)
    reasons = exclusion_reasons(index, duplicate_set_of, duplicates=settings.duplicates, decisions=decisions)
    samples = Samples.of(inputs.class_names, _assign(index, bound.group_of, reasons, settings))
    labels, splits, large = samples.labels.tolist(), samples.splits.tolist(), large_in_words(bound.large)
    require_every_class(labels, splits, class_names=samples.class_names, hint=large)
    return Curated(samples, near_duplicates, rejected, same_stem, links, duplicate_set_of, bound)


def save_curated(curated: Curated, disputed: Disputed, folder: Path) -> None:
    """Write `folder`, whole or not at all: the samples, and near_duplicates, rejected_pairs and disputed_pairs .csv."""
    from tandem.curation.duplicates.verify import save_pairs

    with atomic_dir(folder) as temporary:
        save_samples(curated.samples, temporary)
        save_pairs(curated.near_duplicates, curated.samples.ids, temporary / "near_duplicates.csv")
        save_pairs(curated.rejected, curated.samples.ids, temporary / "rejected_pairs.csv")
        save_disputed(disputed, curated.samples.ids, temporary / "disputed_pairs.csv")


def _assign(index: Index, group_of: np.ndarray, reasons: Sequence[str], settings: CurateSettings) -> Iterator[Sample]:
    """A sample of each image: in the split of its group, or in none where there is a reason."""
    fractions = settings.fractions.by_split()
    columns = zip(index.ids, index.labels.tolist(), index.sources.tolist(), group_of.tolist(), reasons, strict=True)
    for id_, label, source, row, reason in columns:
        group = index.ids[row]  # the smallest id of the group, as its row is the smallest
        split = "" if reason else assign_split(group, fractions=fractions, seed=settings.seed)
        yield Sample(id_, label, source, group, split, reason)
