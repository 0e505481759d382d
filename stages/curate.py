"""Duplicates, groups and leak-free splits; the FiftyOne dataset is built from them.

Reads data/merge, the features of curate.backbone; writes data/curate, metrics/curate.json and FiftyOne's database
(.fiftyone, scratch: it is rebuilt from the files at any time).
"""

from pathlib import Path

import numpy as np

from tandem import curation, gate, reviewing, running
from tandem.features import load_features
from tandem.files import whole_folder, write_json
from tandem.params import read_params
from tandem.records import load_index
from tandem.samples import SPLITS, save_samples


def main() -> None:
    params = read_params()
    settings = curation.Settings.from_params(params["curate"])
    index = load_index(Path("data/merge/index.csv"))
    hashes = np.load("data/merge/hashes.npy")
    features = load_features(Path("data/extract") / params["curate"]["backbone"])
    features.require_ids(index.ids)
    curated = curation.curate(
        index, x=features.x, hashes=hashes, class_names=list(params["labels"]["classes"]), settings=settings
    )
