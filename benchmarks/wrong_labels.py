"""How many wrong labels are found: those seen by eye among real photographs, and those planted in the sample.

    python benchmarks/wrong_labels.py --archives DIR [--json FILE]

DIR is as for benchmarks/backbones.py. The preset `vehicles` and the sample are curated in scratch clones; label issues
are found as the stage does it, among photographs by MobileNetV2 alone and together with EfficientNet-Lite2, as the
preset has them. benchmarks/planted_noise.py plants more.

Prints required beside reached and exits 1 when a figure falls short.
"""

import json
import math
import tarfile
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from backbones import LITE2, VARIANTS, extracted
from figures import Figure, at_least, conclude, make_parser, reported
from scratch import VEHICLES, WEIGHTS, make_clone, read_params, repro, require_files
from tandem.curation.label_errors.scores import find_label_issues
from tandem.curation.settings import LabelErrorSettings
from tandem.files import read_csv
from tandem.pipeline.params import section
from tandem.tables.features import load_features
from tandem.tables.index import load_index
from tandem.tables.samples import load_samples

# Of vehicle-type-recognition, wrong or like nothing of their class by eye: brand logos, a pickup, two cars; Mini cars,
# minivans (2), hand carts (2), a building.
WRONG = (
    "Train/Car/Image_86.",
    "Train/Car/Image_78.",
    "Test/Car/Image_99.",
    "Train/Truck/Image_26.",
    "Train/Truck/Image_47.",
    "Train/Truck/Image_80.",
    "Train/Truck/Image_85.",
    "Test/Truck/Image_99.",
    "Train/Truck/Image_89.",
)
FIRST = 0.05  # of a class, rounded up
MIN_RECALL = 0.9  # of the planted ones
STYLES = {"snapshots": "kaggle", "exports": "roboflow"}  # the sample's source -> how its truth names it


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--archives", type=Path, required=True)
    arguments = parser.parse_args()
    archives = require_files(arguments.archives, WEIGHTS, LITE2, *VEHICLES.values())
    with tempfile.TemporaryDirectory(prefix="tandem-labels-") as work:
        figures = [*photographs(archives, Path(work) / "vehicles"), *sample(Path(work) / "sample")]
    conclude(figures, arguments)


def photographs(archives: Path, clone: Path) -> list[Figure]:
    """Of MobileNetV2 alone and with EfficientNet-Lite2: those of WRONG that are among the first of their class."""
    make_clone(clone, "vehicles", archives, VEHICLES)
    repro(clone, "curate")
    samples = load_samples(clone / "data/curate")
    one = {"mobilenet_v2": load_features(clone / "data/extract/mobilenet_v2", ids=samples.ids).tta_views}
    both = one | {"lite2": extracted(VARIANTS["Lite2 @352, bicubic, GeM"], clone, archives, read_params(clone))}
    return [*of_photographs("photographs", clone, one), *of_photographs("photographs, and Lite2", clone, both)]


def of_photographs(what: str, clone: Path, features: Mapping[str, np.ndarray]) -> list[Figure]:
    """Rank within its class of each of WRONG that is used, and how many are among the first of their class."""
    settings = section(read_params(clone), "label_errors", LabelErrorSettings)
    samples, index = load_samples(clone / "data/curate"), load_index(clone / "data/merge/index.csv")
    started = time.process_time()
    issues = find_label_issues(features, samples, settings=settings)
    seconds = time.process_time() - started
    labels = samples.labels[issues.rows]
    names = [index.found_in[row] for row in issues.rows.tolist()]
    figures, num_first = [], 0
    for part in WRONG:
        for number in [n for n, own in enumerate(names) if any(_is_of_vehicle_types(name, part) for name in own)]:
            rank, size = int(issues.rank[number]), int((labels == labels[number]).sum())
            num_first += rank <= math.ceil(FIRST * size)
            figures.append(reported(f"{what}: {part} rank of {size} {labels[number]}", rank, "d"))
    needed = math.ceil(len(figures) / 2)
    return [
        *figures,
        at_least(f"{what}: wrong labels among the first 5 % of their class, of {len(figures)}", needed, num_first, "d"),
        reported(f"{what}: seconds of a core for {len(labels)}", seconds, ".1f"),
    ]


def _is_of_vehicle_types(name: str, part: str) -> bool:
    return name.startswith("vehicle_types/") and part in name


def sample(clone: Path) -> list[Figure]:
    """Fraction of the planted wrong labels that are used among the first of the list, twice as many as they are."""
    make_clone(clone, "sample", Path(), {})
    repro(clone, "label_errors")
    planted = set()
    for source, style in STYLES.items():
        with tarfile.open(clone / f"data/download/files/{source}/files-00000.tar") as tar:
            truth = json.load(tar.extractfile("truth.json"))["mislabelled"]  # type: ignore[arg-type]
        planted |= {path.replace(f"{style}/", f"{source}/", 1) for path in truth}
    samples, index = load_samples(clone / "data/curate"), load_index(clone / "data/merge/index.csv")
    used = {
        id_
        for id_, files, split in zip(index.ids, index.found_in, samples.splits.tolist(), strict=True)
        if split and planted.intersection(files)
    }
    first = [row["id"] for row in read_csv(clone / "metrics/label_errors.csv")][: 2 * len(used)]
    recall = len(used.intersection(first)) / len(used)
    return [at_least(f"sample: recall of {len(used)} planted wrong labels, first {2 * len(used)}", MIN_RECALL, recall)]


if __name__ == "__main__":
    main()
