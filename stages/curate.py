"""Copies, groups, splits and the gate. Reads data/merge, data/extract/<curate.backbone>, data/review/decisions.csv;
writes data/curate, metrics/curate.json and, as scratch that can be rebuilt at any time, FiftyOne's database.
"""

from pathlib import Path

import numpy as np

from tandem import alignment, curation, decisions, gate, reviewing, running
from tandem.features import load_features
from tandem.files import read_json, write_json
from tandem.params import read_params
from tandem.records import load_index


def main() -> None:
    params = read_params()["curate"]
    merge, settings = Path("data/merge"), curation.Settings.from_params(params)
    index, hashes = load_index(merge / "index.csv"), np.load(merge / "hashes.npy")
    x = load_features(Path("data/extract") / params["backbone"], ids=index.ids).x
    class_names = read_json(merge / "classes.json")
    decided = decisions.load_decisions(Path("data/review/decisions.csv"))
    decisions.require_classes(decided, class_names)
    sketch_of = alignment.reader([merge / "images" / record.file for record in index.records])
    given = {"sketch_of": sketch_of, "class_names": class_names, "settings": settings, "decisions": decided}
    curated = curation.curate(index, x=x, hashes=hashes, **given)
    near, different = vars(settings.candidates.nearness), set(map(tuple, curated.different.pairs.rows.tolist()))
    split = {"ids": index.ids, "rows": curated.samples.rows_by_split()}
    nearest = gate.require_no_leak(**split, features=x, hashes=hashes, different=different, **near)
    dataset = {"images_dir": merge / "images", "database_dir": Path(".fiftyone/db")}
    brain = reviewing.build(index, curated.samples, features=x, max_distance=1 - near["similarity"], **dataset)
    curation.save(curated, Path("data/curate"))
    counts = curated.counts | {"highest_similarity_across_splits": float(nearest.max(initial=-1))}
    write_json(Path("metrics/curate.json"), counts | {"brain": brain.counts()})


if __name__ == "__main__":
    running.run(main)
