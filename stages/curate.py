"""Duplicates, groups, splits and the gate. Reads data/merge, data/extract/<curate.backbone>; writes data/curate,
metrics/curate.json and, as scratch that can be rebuilt at any time, FiftyOne's database in .fiftyone.
"""

from pathlib import Path

import numpy as np

from tandem import alignment, curation, gate, reviewing, running
from tandem.features import load_features
from tandem.files import read_json, whole_folder, write_json
from tandem.params import read_params
from tandem.records import load_index
from tandem.samples import save_samples


def main() -> None:
    params = read_params()["curate"]
    merge, near = Path("data/merge"), params["duplicate"]
    index, hashes = load_index(merge / "index.csv"), np.load(merge / "hashes.npy")
    x = load_features(Path("data/extract") / params["backbone"], ids=index.ids).x
    settings = curation.Settings.from_params(params)
    class_names = read_json(merge / "classes.json")
    sketch_of = alignment.reader([merge / "images" / record.file for record in index.records])
    looks = {"x": x, "hashes": hashes, "sketch_of": sketch_of}
    curated = curation.curate(index, **looks, class_names=class_names, settings=settings)
    nearest = gate.require_no_leak(index.ids, curated.samples.rows_by_split(), features=x, hashes=hashes, **near)
    dataset = {"images_dir": merge / "images", "database_dir": Path(".fiftyone/db")}
    brain = reviewing.build(index, curated.samples, features=x, max_distance=1 - near["similarity"], **dataset)
    with whole_folder(Path("data/curate")) as folder:
        save_samples(curated.samples, folder)
        curation.save_pairs(curated, folder / "pairs.csv")
    counts = curated.counts | {"highest_similarity_across_splits": nearest}
    write_json(Path("metrics/curate.json"), counts | {"brain": brain.counts()})


if __name__ == "__main__":
    running.run(main)
