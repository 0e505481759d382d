"""One feature row a picture, by one frozen backbone. Reads data/merge; writes data/extract/<backbone>."""

import sys
from pathlib import Path

from tandem import backbones, extraction, running
from tandem.features import write_features
from tandem.params import read_params
from tandem.records import load_index


def main(name: str) -> None:
    params = read_params()
    transform = {key: params["extract"][key] for key in ("size_px", "resize")}
    weights = {"sha256": None, **params["backbones"][name]}
    backbone = backbones.load(name, **weights, seed=params["extract"]["seed"], size_px=transform["size_px"])
    index = load_index(Path("data/merge/index.csv"))
    images = Path("data/merge/images")
    write_features(
        Path("data/extract") / name,
        ids=index.ids,
        dim=backbone.dim,
        batches=extraction.extract(
            [images / record.file for record in index.records], backbone=backbone, **transform, **params["runtime"]
        ),
        meta={"backbone": name, "weights": weights["weights"], "weights_sha256": backbone.digest, **transform},
    )


if __name__ == "__main__":
    running.run(main, *sys.argv[1:])
