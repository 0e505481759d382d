"""How many wrong labels are found: those seen by eye among real photographs, and those planted in the sample.

    python benchmarks/wrong_labels.py --archives DIR [--json FILE]

DIR holds the vehicles archives (kaggle/*.zip, roboflow/*.zip) and weights/mobilenet_v2-imagenet.pth. The preset
`vehicles` and the sample are curated in scratch clones; suspects are sought as the stage does it, among photographs by
MobileNetV2 alone, since DIR holds no other weights.

Prints required beside reached and exits 1 when a figure falls short.
"""

import argparse
import math
import tempfile
import time
from pathlib import Path

import numpy as np

import real_photos
from figures import Figure, conclude
from tandem.curation import label_errors
from tandem.files import read_csv, read_json
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
SAMPLE = {"snapshots": "kaggle", "exports": "roboflow"}  # source -> how the truth names it


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archives", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    archives = real_photos.whole(arguments.archives, real_photos.WEIGHTS, *real_photos.VEHICLES.values())
    with tempfile.TemporaryDirectory(prefix="tandem-labels-") as work:
        figures = [*photographs(archives, Path(work) / "vehicles"), *sample(Path(work) / "sample")]
    conclude(figures, arguments.json)


def photographs(archives: Path, clone: Path) -> list[Figure]:
    """Rank within its class of each of WRONG that is used, and the share among the first of their class."""
    real_photos.prepare(clone, "vehicles", archives, real_photos.VEHICLES)
    real_photos.repro(clone, "curate")
    settings = label_errors.Settings(**real_photos.read_params(clone)["suspect"])
    samples, records = load_samples(clone / "data/curate"), load_index(clone / "data/merge/index.csv").records
    x = load_features(clone / "data/extract/mobilenet_v2", ids=samples.ids).x
    started = time.perf_counter()
    found = label_errors.find_label_issues([x], samples, settings=settings)
    seconds = time.perf_counter() - started
    labels = np.array([samples.samples[row].label for row in found.rows])
    figures, hits = [], 0
    ranks = {
        f"{origin.source}/{origin.path}": n
        for n, row in enumerate(found.rows.tolist())
        for origin in records[row].origins
    }
    places = {
        part: n for part in WRONG for name, n in ranks.items() if name.startswith("vehicle_types/") and part in name
    }
    for part, n in places.items():
        rank, size = int(found.rank[n]), int((labels == labels[n]).sum())
        hits += rank <= math.ceil(FIRST * size)
        figures.append(Figure(f"photographs: {part} rank of {size} {labels[n]}", None, f"{rank}", rank, True))
    needed = math.ceil(len(places) / 2)
    what = "photographs: wrong labels among the first 5 % of their class"
    figures.append(Figure(what, f">= {needed}", f"{hits} of {len(places)}", hits, hits >= needed))
    return [*figures, Figure(f"photographs: seconds for {len(labels)}", None, f"{seconds:.1f}", seconds, True)]


def sample(clone: Path) -> list[Figure]:
    """Share of the planted wrong labels that are used among the first of the list, twice as many as they are."""
    real_photos.prepare(clone, "sample", Path(), {})
    real_photos.repro(clone, "suspect")
    planted = set()
    for source, name in SAMPLE.items():
        truth = read_json(clone / f"data/download/files/{source}/truth.json")["mislabelled"]
        planted |= {path.replace(f"{name}/", f"{source}/", 1) for path in truth}
    samples, records = load_samples(clone / "data/curate"), load_index(clone / "data/merge/index.csv").records
    used = {
        record.id
        for record, kept in zip(records, samples.samples, strict=True)
        if kept.split and any(f"{origin.source}/{origin.path}" in planted for origin in record.origins)
    }
    first = [row["id"] for row in read_csv(clone / "metrics/suspect.csv")][: 2 * len(used)]
    recall = len(used.intersection(first)) / len(used)
    what = f"sample: recall of {len(used)} planted wrong labels, first {2 * len(used)}"
    return [Figure(what, ">= 0.9", f"{recall:.2f}", recall, recall >= 0.9)]


if __name__ == "__main__":
    main()
