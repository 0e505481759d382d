"""Each backbone that was trained on, frozen or fine-tuned, as an ONNX graph.

Reads data/finetune/<backbone>, data/{ingest,merge,curate}. Writes data/convert/<backbone>:
the graph, and the features of the test images by it and, to compare, by torch in fp32.
"""

import sys
from pathlib import Path

from _start import run
from tandem.features.settings import BackboneSettings, ExtractSettings
from tandem.inference.convert import convert, trained_backbone
from tandem.pipeline.params import read_params, section
from tandem.pipeline.settings import RuntimeSettings
from tandem.tables.samples import load_samples
from tandem.tables.stored import load_stored


def main(name: str) -> str:
    params = read_params()
    weights = section(params, f"backbones.{name}", BackboneSettings)
    settings = section(params, "extract", ExtractSettings)
    runtime = section(params, "runtime", RuntimeSettings)
    test = load_samples(Path("data/curate")).test
    stored = load_stored(Path("data/merge/stored.csv"))
    images = stored.packed(Path("data/ingest"))
    backbone = trained_backbone(name, weights, settings, folder=Path("data/finetune") / name)

    converted = convert(
        backbone,
        [images[row] for row in test.rows],
        Path("data/convert") / name,
        ids=[stored.sha256[row] for row in test.rows],
        settings=settings,
        device=runtime.device,
        batch_size=runtime.batch_size,
        workers=runtime.workers,
        max_gb=runtime.feature_cache_gb,
    )
    return converted.in_words()


if __name__ == "__main__":
    run(main, *sys.argv[1:])
