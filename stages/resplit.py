"""The models again on other splits of the same groups: how much the scores of one split say.

Reads data/extract, data/curate; writes metrics/resplit.csv and metrics/resplit.json. Of the frozen backbones alone: a
fine-tuned one has seen the labels of images that are test ones of another split.
"""

from dataclasses import asdict
from pathlib import Path

from tandem.evaluation import report
from tandem.files import write_csv, write_json
from tandem.finetune import job
from tandem.pipeline import run
from tandem.pipeline.params import read_params
from tandem.studies import repeated_splits
from tandem.tables import features
from tandem.tables.samples import load_samples


def main() -> None:
    params, samples = read_params(), load_samples(Path("data/curate"))
    own, drawn = params["evaluate"], params["curate"]
    seeds = {"first": drawn["seed"], "seeds": own["seeds"]}
    parts = repeated_splits.repeated_splits(samples, fractions=drawn["fractions"], **seeds)
    names = job.frozen_backbones(params["train"]["trainable_backbone_layers"], params["backbones"])
    x = features.load_features_of(Path("data/extract"), names, ids=samples.ids)
    trained = {"train": params["train"], "ensemble": params["ensemble"]}
    repeats = [repeated_splits.run_split(x, part, seed=seed, **trained) for seed, part in parts.items() if x]
    rows = [asdict(row) for row in repeated_splits.split_scores(repeats)]
    write_csv(Path("metrics/resplit.csv"), repeated_splits.SCORE_COLUMNS, rows)
    told = repeated_splits.repeated_splits_summary(repeats, settings=report.Settings.from_params(own))
    write_json(Path("metrics/resplit.json"), told)


if __name__ == "__main__":
    run.run(main)
