"""One index of all sources' images. Reads data/download/files; writes data/merge and metrics/merge.json."""

from pathlib import Path

import numpy as np

from tandem.datasets import labels
from tandem.datasets import merge as merging
from tandem.files import atomic_dir, write_json
from tandem.pipeline import run
from tandem.pipeline.params import read_params
from tandem.tables.index import save_excluded, save_index


def main() -> None:
    params = read_params()
    with atomic_dir(Path("data/merge")) as folder:
        (folder / "images").mkdir()
        merged = merging.merge(
            merging.read_sources(params["sources"], downloads=Path("data/download/files")),
            labels=labels.label_map(**params["labels"]),
            images_dir=folder / "images",
            workers=params["runtime"]["workers"],
            **params["merge"],
        )
        save_index(merged.index, folder / "index.csv")
        save_excluded(merged.dropped, folder / "dropped.csv")
        write_json(folder / "classes.json", list(params["labels"]["classes"]))
        np.save(folder / "hashes.npy", merged.hashes)
    write_json(Path("metrics/merge.json"), merging.merge_summary(merged))


if __name__ == "__main__":
    run.run(main)
