"""A feature row for each view of an image, by a frozen backbone. Reads data/merge; writes data/extract/<backbone>."""

import sys
from pathlib import Path

from tandem.features import extract as extraction
from tandem.features.backbones import backbone as backbones
from tandem.features.engines import engine as engines
from tandem.pipeline import run
from tandem.pipeline.params import read_params
from tandem.tables.features import write_features
from tandem.tables.index import load_index


def main(name: str) -> None:
    params = read_params()
    own, runtime = params["extract"], params["runtime"]
    transform = {key: own[key] for key in ("size_px", "resize", "views")}
    weights = {"sha256": None, **params["backbones"][name]}
    backbone = backbones.load_backbone(name, **weights, seed=own["seed"], size_px=own["size_px"])
    batch = {"batch_size": runtime["batch_size"]}
    engine = engines.start_engine(
        backbone, engine=own["engine"], size_px=own["size_px"], device=runtime["device"], **batch
    )
    index = load_index(Path("data/merge/index.csv"))
    images = [Path("data/merge/images") / record.file for record in index.records]
    made = {"backbone": name, "weights": weights["weights"], "weights_sha256": backbone.digest, "engine": engine.name}
    write_features(
        Path("data/extract") / name,
        ids=index.ids,
        dim=backbone.dim,
        views=own["views"],
        batches=extraction.extract(images, engine=engine, name=name, workers=runtime["workers"], **batch, **transform),
        meta={**made, **transform},
    )


if __name__ == "__main__":
    run.run(main, *sys.argv[1:])
