"""The models trained again on other splits of the same groups: what one split's scores say.

Reads data/extract and data/curate. Writes metrics/repeated_splits.csv and .json. Of the frozen
backbones alone: a fine-tuned one has seen labels of images that are test images of another split.
"""

from pathlib import Path

from _start import run
from tandem.curation.settings import CurateSettings
from tandem.evaluation.settings import EvaluateSettings
from tandem.files import write_json
from tandem.pipeline.params import read_params, section
from tandem.pipeline.settings import RuntimeSettings
from tandem.studies.repeated_splits import repeat_splits, repeated_splits_summary, save_scores
from tandem.tables.features import load_features_of
from tandem.tables.samples import load_samples
from tandem.training.settings import EnsembleSettings, TrainSettings


def main() -> str:
    params = read_params()
    train = section(params, "train", TrainSettings)
    evaluate = section(params, "evaluate", EvaluateSettings)
    curate = section(params, "curate", CurateSettings)
    samples = load_samples(Path("data/curate"))
    frozen = train.frozen(params["backbones"])
    features = load_features_of(Path("data/extract"), frozen, ids=samples.ids)

    results = repeat_splits(
        features,
        samples,
        train=train,
        ensemble=section(params, "ensemble", EnsembleSettings),
        fractions=curate.fractions.by_split(),
        first_seed=curate.seed,
        num_splits=evaluate.num_splits,
        workers=section(params, "runtime", RuntimeSettings).workers,
    )

    save_scores(results, Path("metrics/repeated_splits.csv"))
    summary = repeated_splits_summary(results, settings=evaluate)
    write_json(Path("metrics/repeated_splits.json"), summary)
    return f"{len(results)} splits, {len(features)} backbones"


if __name__ == "__main__":
    run(main)
