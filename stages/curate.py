"""Near duplicates, groups, splits and the leakage check.

Reads data/merge, data/extract/<curate.backbone>, data/review/decisions.csv; writes data/curate, metrics/curate.json
and, as scratch that can be rebuilt at any time, FiftyOne's database.
"""

from pathlib import Path

import numpy as np

from tandem.curation.curate import curate, curate_summary, save_curated
from tandem.curation.duplicates.alignment import keypoints_reader
from tandem.curation.leak_check import check_leakage
from tandem.curation.settings import CurateSettings
from tandem.files import read_json, write_json
from tandem.pipeline import run
from tandem.pipeline.params import read_params, section
from tandem.review.dataset import build_review_dataset
from tandem.tables.decisions import load_decisions, require_classes
from tandem.tables.features import load_features
from tandem.tables.index import load_index
from tandem.tables.samples import SPLITS


def main() -> None:
    settings = section(read_params(), "curate", CurateSettings)
    index = load_index(Path("data/merge/index.csv"))
    hashes = np.load("data/merge/hashes.npy")
    class_names = read_json(Path("data/merge/classes.json"))
    features = load_features(Path("data/extract") / settings.backbone, ids=index.ids).x
    decisions = load_decisions(Path("data/review/decisions.csv"))
    require_classes(decisions, class_names)

    curated = curate(
        index,
        features=features,
        hashes=hashes,
        # the keypoints that the reader keeps are freed with it
        keypoints_of=keypoints_reader(index.paths(Path("data/merge/images"))),
        class_names=class_names,
        settings=settings,
        decisions=decisions,
    )
    similarities = check_leakage(
        index.ids,
        {name: curated.samples.split(name).rows for name in SPLITS},
        features=features,
        hashes=hashes,
        min_similarity=settings.candidates.min_similarity,
        max_hash_distance=settings.candidates.max_hash_distance,
        verified=curated.rejected.row_pairs,
    )
    brain = build_review_dataset(
        index,
        curated.samples,
        features=features,
        images_dir=Path("data/merge/images"),
        database_dir=Path(".fiftyone/db"),
        max_distance=1 - settings.candidates.min_similarity,
    )

    save_curated(curated, Path("data/curate"))
    write_json(Path("metrics/curate.json"), curate_summary(curated, similarities, brain.counts()))


if __name__ == "__main__":
    run.run(main)
