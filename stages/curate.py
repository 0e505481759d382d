"""Near duplicates, groups, splits and the leakage check.

Reads data/{ingest,merge}, data/extract/<curate.backbone>, data/review/decisions.csv. Writes
data/curate, metrics/curate.json and, as scratch that can be rebuilt, FiftyOne's database.
"""

from pathlib import Path

from _start import run
from tandem.cluster.executor import open_executor
from tandem.curation.curate import curate_images, load_curate_inputs, save_curated
from tandem.curation.disputed import thumbnails_reader
from tandem.curation.leak_check import check_leakage
from tandem.curation.settings import CurateSettings
from tandem.curation.summary import curate_summary, curated_in_words
from tandem.files import write_json
from tandem.pipeline.params import read_params, section
from tandem.pipeline.settings import RuntimeSettings
from tandem.review.dataset import build_review_dataset

MERGE, EXTRACT = Path("data/merge"), Path("data/extract")


def main() -> str:
    params = read_params()
    settings = section(params, "curate", CurateSettings)
    decisions = Path("data/review/decisions.csv")
    inputs = load_curate_inputs(MERGE, EXTRACT / settings.backbone, decisions_path=decisions)
    images = inputs.stored.packed(Path("data/ingest"))
    sha256, runtime = inputs.stored.sha256, section(params, "runtime", RuntimeSettings)
    max_gb = runtime.feature_cache_gb
    with open_executor(runtime.cluster) as executor:
        curated = curate_images(inputs, settings, images, max_gb=max_gb, executor=executor)
    leaks = check_leakage(
        inputs.index,
        curated.samples.rows_by_split(),
        features=inputs.features,
        hashes=inputs.hashes,
        linked=curated.links.rows,
        rejected=curated.rejected.pairs.rows,
        decisions=inputs.decisions,
        thumbnails_of=thumbnails_reader(images, sha256, max_gb=max_gb),
        settings=settings,
    )
    brain = build_review_dataset(
        inputs.index,
        curated.samples,
        features=inputs.features,
        images_dir=Path(".fiftyone/images"),
        database_dir=Path(".fiftyone/db"),
        max_distance=1 - settings.candidates.min_similarity,
    ).counts()
    summary = curate_summary(inputs, curated, settings, leaks=leaks, brain=brain)
    save_curated(curated, leaks.disputed, Path("data/curate"))
    write_json(Path("metrics/curate.json"), summary)
    return curated_in_words(curated)


if __name__ == "__main__":
    run(main)
