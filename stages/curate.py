"""Near duplicates, groups, splits and the leakage check.

Reads data/merge, data/extract/<curate.backbone>, data/review/decisions.csv. Writes data/curate,
metrics/curate.json and, as scratch that can be rebuilt at any time, FiftyOne's database.
"""

from pathlib import Path

from tandem.pipeline.run import run
from tandem.curation.curate import CurateInputs, curate, save_curated
from tandem.curation.duplicates.alignment import keypoints_reader
from tandem.curation.leak_check import check_leakage
from tandem.curation.settings import CurateSettings
from tandem.curation.summary import curate_summary
from tandem.files import load_array, read_json, write_json
from tandem.pipeline.params import read_params, section
from tandem.review.dataset import build_review_dataset
from tandem.tables.decisions import load_decisions
from tandem.tables.features import load_features
from tandem.tables.index import load_index

MERGE, EXTRACT, CURATE = Path("data/merge"), Path("data/extract"), Path("data/curate")


def main() -> str:
    settings = section(read_params(), "curate", CurateSettings)
    index = load_index(MERGE / "index.csv")
    hashes = load_array(MERGE / "hashes.npy", ndim=3)
    features = load_features(EXTRACT / settings.backbone, ids=index.ids).without_tta
    decisions = load_decisions(Path("data/review/decisions.csv"))

    inputs = CurateInputs(index, read_json(MERGE / "classes.json"), features, hashes, decisions)
    curated = curate(inputs, settings, keypoints_of=keypoints_reader(index.paths(MERGE / "images")))
    similarities = check_leakage(
        index.ids,
        curated.samples.rows_by_split(),
        features=features,
        hashes=hashes,
        min_similarity=settings.candidates.min_similarity,
        max_hash_distance=settings.candidates.max_hash_distance,
        rejected=curated.rejected.row_pairs,
    )
    brain = build_review_dataset(
        index,
        curated.samples,
        features=features,
        images_dir=MERGE / "images",
        database_dir=Path(".fiftyone/db"),
        max_distance=1 - settings.candidates.min_similarity,
    ).counts()
    summary = curate_summary(inputs, curated, settings, similarities=similarities, brain=brain)
    save_curated(curated, CURATE)
    write_json(Path("metrics/curate.json"), summary)
    return f"{summary['near_duplicate_pairs']} near-duplicate pairs, {summary['used']} images used"


if __name__ == "__main__":
    run(main)
