"""Pictures whose label is likely wrong, listed for a person. Reads data/extract, data/curate, data/merge/index.csv;
writes metrics/suspect.json and metrics/suspect.csv.
"""

from pathlib import Path

from tandem import running, suspects
from tandem.features import load_features
from tandem.files import write_csv, write_json
from tandem.params import read_params
from tandem.records import load_index
from tandem.samples import load_samples


def main() -> None:
    params = read_params()
    settings = suspects.Settings(**params["suspect"])
    samples = load_samples(Path("data/curate"))
    records = load_index(Path("data/merge/index.csv")).records
    features = [load_features(Path("data/extract") / name, ids=samples.ids).x for name in params["backbones"]]
    found = suspects.suspect(features, samples, settings=settings)
    rows = suspects.listed(found, samples, records, share=settings.share)
    write_json(Path("metrics/suspect.json"), suspects.summary(found, samples, rows))
    write_csv(Path("metrics/suspect.csv"), suspects.COLUMNS, rows)


if __name__ == "__main__":
    running.run(main)
