"""Leaks in sets that you may know: near duplicates in each and across its own split, and the accuracy that they feign.

    python benchmarks/known_sets.py --archives DIR [--num-splits 30] [--json FILE]

DIR holds archives as the services serve them (kaggle/*.zip, roboflow/*.zip) and weights/mobilenet_v2-imagenet.pth. Each
set is read with the classes that it names, merged and curated by itself, with the parameters of presets/vehicles.yaml.

- files: images that have a label. exact copies: those of them that have the pixels of an earlier one.
- near-duplicate pairs: of images with different pixels.
- pairs across the set's split: of files, exact or near duplicates, that lie in different ones of its folders train,
  valid and test; none where it has no two of them.
- label conflicts: images that carry another class than a near duplicate of theirs, or than an exact copy.
- random split: top-1 accuracy of a linear probe on MobileNetV2's features where each file is assigned on its own, what
  many a notebook claims; group-aware split: the same where near duplicates stay together. Means and standard deviations
  over split seeds, of those that put every class in every split; none where a set is too small for that.

Nothing is required. About ten minutes on two idle cores.
"""

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import combinations, product
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from extraction import extract_features, weights_of
from figures import Figure, conclude, make_parser, reported
from scratch import WEIGHTS, read_preset, require_files
from tandem.curation import naive_split
from tandem.curation.curate import Curated, CurateInputs, curate
from tandem.curation.duplicates.descriptions import keypoints_reader
from tandem.curation.exclusion import CONFLICT
from tandem.curation.settings import CurateSettings
from tandem.datasets.ingest import ingest, read_source
from tandem.datasets.labels import label_map, normalize_label
from tandem.datasets.merge import Merged, merge
from tandem.datasets.settings import IngestSettings, LabelSettings, MergeSettings
from tandem.errors import LeakageError
from tandem.features.settings import ExtractSettings
from tandem.pipeline.params import section
from tandem.pipeline.settings import RuntimeSettings
from tandem.shards import unpack_shards
from tandem.sources.download import download
from tandem.sources.settings import ArchiveSource, BoxPolicy, Source
from tandem.studies.repeated_splits import repeated_splits
from tandem.tables.decisions import Decisions
from tandem.tables.index import Origin
from tandem.tables.splits import assign_split
from tandem.types import Encoded

ARCHIVES = (
    "kaggle/vehicle-type-recognition.zip",
    "kaggle/car-bike-dataset.zip",
    "kaggle/classificador-veiculos.zip",
    "kaggle/intel-scenes-sample.zip",
    "roboflow/vehicles-openimages.v1.yolov8.zip",
    "roboflow/vehicle-type-recognition.v1.folder.zip",
)
NUM_TRIED = 20  # split seeds until one puts every class in every split
WHOLE_IMAGES = BoxPolicy(use="whole", margin=0.0, min_side_px=1)
SPLIT_FOLDER = re.compile(r"(?:^|[/_])(train|valid|val|test)(?:ing|idation)?/", re.IGNORECASE)

Extract = Callable[[Sequence[Encoded]], np.ndarray]  # files to features (N, D)


@dataclass(frozen=True)
class Row:
    """A set's line of the table; None where there is no such number.

    Accuracies of the probe: means and standard deviations over split seeds.
    """

    name: str
    classes: int
    files: int
    exact_copies: int
    near_duplicate_pairs: int | None = None
    pairs_across_own_split: int | None = None
    label_conflicts: int | None = None
    random_split_accuracy: float | None = None
    random_split_stdev: float | None = None
    group_aware_split_accuracy: float | None = None
    group_aware_split_stdev: float | None = None


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--archives", type=Path, required=True)
    parser.add_argument("--num-splits", type=int, default=30)
    arguments = parser.parse_args()
    archives, params = require_files(arguments.archives, WEIGHTS, *ARCHIVES), read_preset("vehicles")
    extract = partial(
        extract_features,
        weights=weights_of(archives / WEIGHTS),
        settings=section(params, "extract", ExtractSettings),
        runtime=section(params, "runtime", RuntimeSettings),
    )
    rows = []
    for name in ARCHIVES:
        with tempfile.TemporaryDirectory(prefix="tandem-sets-") as work:
            rows.append(examine(archives / name, Path(work), extract, params, num_splits=arguments.num_splits))
    print_rows(rows)
    conclude([each for row in rows for each in row_figures(row)], arguments, details={"sets": list(map(asdict, rows))})


def examine(archive: Path, work: Path, extract: Extract, params: Mapping[str, Any], *, num_splits: int) -> Row:
    """The line of one archive, read and merged below `work`. params: of a preset."""
    merged = read_set(archive, work, params)
    images = merged.stored.packed(work)
    features = extract(images)
    num_copies = merged.num_byte_duplicates + merged.num_pixel_duplicates
    row = Row(archive.stem, len(merged.class_names), merged.num_files, num_copies)
    settings = section(params, "curate", CurateSettings)
    curated = curate_by_some_seed(merged, features, images, settings)
    if curated is None:
        return row
    random, group_aware = accuracies(merged, curated, features, settings, num_splits=num_splits)
    return replace(
        row,
        near_duplicate_pairs=len(curated.near_duplicates),
        pairs_across_own_split=num_pairs_across_own_split(merged.index.origins, curated.near_duplicates.pairs.rows),
        label_conflicts=num_label_conflicts(merged, curated),
        random_split_accuracy=fmean(random),
        random_split_stdev=stdev(random),
        group_aware_split_accuracy=fmean(group_aware),
        group_aware_split_stdev=stdev(group_aware),
    )


def read_set(archive: Path, work: Path, params: Mapping[str, Any]) -> Merged:
    """The archive's images, by the classes that it names itself."""
    source = Source(kind="archive", format="auto", archive=ArchiveSource(str(archive)), boxes=WHOLE_IMAGES)
    download("set", source, folder=work)
    unpack_shards(work / "files/set", work / "unpacked")
    read = read_source(source, files=work / "unpacked")
    found = {each.label for each in read.annotations if each.label}
    names = {normalize_label(label): label for label in sorted(found, reverse=True)}
    labels = LabelSettings(classes=dict.fromkeys(sorted(names.values()), ()), ignore=(), by_source={})
    folder, workers = work / "set", section(params, "runtime", RuntimeSettings).workers
    folder.mkdir()
    ingested = ingest("set", read, section(params, "ingest", IngestSettings), folder=folder, workers=workers)
    return merge({"set": ingested}, label_map(labels), section(params, "merge", MergeSettings))


def curate_by_some_seed(
    merged: Merged, features: np.ndarray, images: Sequence[Encoded], settings: CurateSettings
) -> Curated | None:
    """By the first seed that puts every class in every split; None where there is none."""
    inputs = CurateInputs(merged.index, merged.class_names, features, merged.hashes, merged.stored, Decisions())
    for seed in range(NUM_TRIED):
        try:
            with keypoints_reader(images, merged.stored.sha256, max_gb=0) as keypoints_of:
                return curate(inputs, replace(settings, seed=seed), keypoints_of=keypoints_of, max_gb=0)
        except LeakageError:
            continue
    return None


def accuracies(
    merged: Merged, curated: Curated, features: np.ndarray, settings: CurateSettings, *, num_splits: int
) -> tuple[list[float], list[float]]:
    """Top-1 accuracies of the probe on random and on group-aware splits, one a seed."""
    fractions = settings.fractions.by_split()
    splits = repeated_splits(curated.samples, fractions=fractions, first_seed=0, num_splits=num_splits)
    random, group_aware = list[float](), list[float]()
    for seed, samples in splits.items():
        assign = partial(assign_split, fractions=fractions, seed=seed)
        by_split = naive_split.accuracy_by_split(merged.index, samples, features, assign)
        random.append(by_split["random_split"]["top1_accuracy"])
        group_aware.append(by_split["group_aware_split"]["top1_accuracy"])
    return random, group_aware


def num_pairs_across_own_split(origins: Sequence[Sequence[Origin]], near_duplicates: np.ndarray) -> int | None:
    """Pairs of files in different splits of the set's own; None where it has only one.

    near_duplicates: (P, 2) rows of the index. Files of one image are exact copies of one another.
    """
    splits = [[own_split(origin.path) for origin in of_image] for of_image in origins]
    if len({split for of_image in splits for split in of_image if split}) < 2:
        return None
    copies = (pair for of_image in splits for pair in combinations(of_image, 2))
    near = (pair for one, other in near_duplicates.tolist() for pair in product(splits[one], splits[other]))
    return sum(one != other for pairs in (copies, near) for one, other in pairs if one and other)


def own_split(path: str) -> str:
    """train, val or test by the first folder that says so, such as Train/ or seg_test/; "" where none does."""
    found = SPLIT_FOLDER.search(path)
    return {"valid": "val"}.get(name := found[1].lower(), name) if found else ""


def num_label_conflicts(merged: Merged, curated: Curated) -> int:
    """Images left out since an exact copy or a near duplicate of theirs has another class."""
    among_copies = sum(each.reason == "conflict" for each in merged.excluded)
    among_near = sum(reason.startswith(CONFLICT) for reason in curated.samples.exclusion_reasons.tolist())
    return among_copies + among_near


def row_figures(row: Row) -> Iterator[Figure]:
    for field, value in asdict(row).items():
        if field != "name" and value is not None:
            form = ".3f" if isinstance(value, float) else "d"
            yield reported(f"{row.name}: {field.replace('_', ' ')}", value, form)


def print_rows(rows: Sequence[Row]) -> None:
    """The table, a line a set."""
    columns = list(asdict(rows[0]))[1:]
    print(f"{'':<40}" + "".join(f"{column.replace('_', ' '):>28}" for column in columns))
    for row in rows:
        values = list(asdict(row).values())[1:]
        texts = [
            "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value) for value in values
        ]
        print(f"{row.name:<40}" + "".join(f"{text:>28}" for text in texts))
    print()


if __name__ == "__main__":
    main()
