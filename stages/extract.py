"""The features of every image, by a frozen backbone; those computed before come from the store.

Reads data/{ingest,merge}; writes data/extract/<backbone>.
"""

import sys
from pathlib import Path

from _start import run
from tandem.cluster.executor import open_executor
from tandem.features.embedding import Compute
from tandem.features.extract import extraction_meta
from tandem.features.reuse import extract_backbone
from tandem.features.settings import BackboneSettings, ExtractSettings
from tandem.pipeline.params import read_params, section
from tandem.pipeline.settings import RuntimeSettings
from tandem.tables.copied import images_at
from tandem.tables.features import write_features
from tandem.tables.stored import load_stored


def main(name: str) -> str:
    params = read_params()
    weights = section(params, f"backbones.{name}", BackboneSettings)
    settings = section(params, "extract", ExtractSettings)
    runtime = section(params, "runtime", RuntimeSettings)
    others = (other for other in params["backbones"] if other != name)
    stored = load_stored(Path("data/merge/stored.csv"))

    with open_executor(runtime.cluster) as executor:
        features = extract_backbone(
            name,
            weights,
            settings,
            images_at(stored, runtime.shards, folder=Path("data/ingest")),
            ids=stored.sha256,
            compute=Compute(runtime.device, runtime.batch_size, runtime.workers, executor),
            max_gb=runtime.feature_cache_gb,
            others={
                other: section(params, f"backbones.{other}", BackboneSettings) for other in others
            },
        )
        write_features(
            Path("data/extract") / name,
            ids=stored.ids,
            dim=features.dim,
            num_tta_views=settings.tta_views,
            batches=features.batches,
            meta=extraction_meta(
                name, weights, settings, weights_sha256=features.digest, engine=features.engine
            ),
        )
    return features.in_words()


if __name__ == "__main__":
    run(main, *sys.argv[1:])
