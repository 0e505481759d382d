"""The features of every image, by a frozen backbone.

Reads data/merge; writes data/extract/<backbone>.
"""

import sys
from pathlib import Path

from _start import run
from tandem.features.backbones.backbone import load_backbone
from tandem.features.engines.engine import start_engine
from tandem.features.extract import extract, extraction_meta
from tandem.features.settings import BackboneSettings, ExtractSettings
from tandem.pipeline.params import read_params, section
from tandem.pipeline.settings import RuntimeSettings
from tandem.tables.features import write_features
from tandem.tables.index import load_index


def main(name: str) -> str:
    params = read_params()
    weights = section(params, f"backbones.{name}", BackboneSettings)
    settings = section(params, "extract", ExtractSettings)
    runtime = section(params, "runtime", RuntimeSettings)
    index = load_index(Path("data/merge/index.csv"))

    backbone = load_backbone(name, weights, seed=settings.seed, size_px=settings.size_px)
    engine = start_engine(
        backbone,
        engine=settings.engine,
        size_px=settings.size_px,
        batch_size=runtime.batch_size,
        device=runtime.device,
    )
    features = extract(
        index.paths(Path("data/merge/images")),
        engine=engine,
        settings=settings,
        batch_size=runtime.batch_size,
        workers=runtime.workers,
        name=name,
    )

    write_features(
        Path("data/extract") / name,
        ids=index.ids,
        dim=backbone.dim,
        num_tta_views=settings.tta_views,
        batches=features,
        meta=extraction_meta(backbone, weights, settings, engine=engine),
    )
    return f"{len(index.ids)} images, {backbone.dim} features each, by {engine.name}"


if __name__ == "__main__":
    run(main, *sys.argv[1:])
