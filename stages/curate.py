"""Copies, groups, splits and the leakage check. Reads data/merge, data/extract/<curate.backbone>, data/review/decisions.csv;
writes data/curate, metrics/curate.json and, as scratch that can be rebuilt at any time, FiftyOne's database.
"""

from pathlib import Path

import numpy as np

from tandem.curation import curate as curation
from tandem.curation import leak_check
from tandem.curation.duplicates import alignment, threshold
from tandem.files import read_json, write_json
from tandem.pipeline import run
from tandem.pipeline.params import read_params
from tandem.review import dataset as reviewing
from tandem.tables import decisions
from tandem.tables.features import load_features
from tandem.tables.index import load_index


def main() -> None:
    params = read_params()["curate"]
    merge, settings = Path("data/merge"), curation.Settings.from_params(params)
    index, hashes = load_index(merge / "index.csv"), np.load(merge / "hashes.npy")
    x = load_features(Path("data/extract") / params["backbone"], ids=index.ids).x
    class_names = read_json(merge / "classes.json")
    decided = decisions.load_decisions(Path("data/review/decisions.csv"))
    decisions.require_classes(decided, class_names)
    images = [merge / "images" / record.file for record in index.records]
    given = {"class_names": class_names, "settings": settings, "decisions": decided}
    # the sketches that the reader keeps go with it
    curated = curation.curate(index, x=x, hashes=hashes, keypoints_of=alignment.keypoints_reader(images), **given)
    split, near = curated.samples.rows_by_split(), vars(settings.candidates.nearness)
    nearest = leak_check.check_leakage(
        index.ids, split, features=x, hashes=hashes, different=curated.different.row_pairs, **near
    )
    dataset = {"images_dir": merge / "images", "database_dir": Path(".fiftyone/db")}
    brain = reviewing.build_review_dataset(
        index, curated.samples, features=x, max_distance=1 - near["similarity"], **dataset
    )
    curation.save_curated(curated, Path("data/curate"))
    across = {"highest": float(nearest.max(initial=-1)), "images": threshold.histogram(nearest)}
    write_json(Path("metrics/curate.json"), curated.counts | {"nearest_across_splits": across, "brain": brain.counts()})


if __name__ == "__main__":
    run.run(main)
