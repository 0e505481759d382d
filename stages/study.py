"""Every model at every pair of learning rate and batch size, scored on validation.

Reads data/extract, data/curate; writes metrics/study.csv.
"""

from dataclasses import asdict, fields
from pathlib import Path

from tandem import features, running, studying
from tandem.files import write_csv
from tandem.params import read_params
from tandem.samples import load_samples


def main() -> None:
    params = read_params()
    samples = load_samples(Path("data/curate"))
    runs = studying.study(
        features.load_all(Path("data/extract"), params["backbones"], ids=samples.ids),
        samples=samples,
        lrs=params["study"]["lr"],
        batch_sizes=params["study"]["batch_size"],
        ensemble_dropout=params["ensemble"]["dropout"],
        **{key: value for key, value in params["train"].items() if key not in ("lr", "batch_size")},
    )
    write_csv(Path("metrics/study.csv"), [field.name for field in fields(studying.Run)], map(asdict, runs))


if __name__ == "__main__":
    running.run(main)
