"""Images whose label is likely wrong, listed for a person. Reads data/extract, data/curate, data/merge/index.csv;
writes metrics/suspect.json and metrics/suspect.csv.
"""

from pathlib import Path

from tandem.curation import label_errors
from tandem.files import write_csv, write_json
from tandem.pipeline import run
from tandem.pipeline.params import read_params
from tandem.tables.features import load_features
from tandem.tables.index import load_index
from tandem.tables.samples import load_samples


def main() -> None:
    params = read_params()
    settings = label_errors.Settings(**params["suspect"])
    samples = load_samples(Path("data/curate"))
    records = load_index(Path("data/merge/index.csv")).records
    features = [load_features(Path("data/extract") / name, ids=samples.ids).x for name in params["backbones"]]
    found = label_errors.find_label_issues(features, samples, settings=settings)
    rows = label_errors.list_issues(found, samples, records, share=settings.share)
    write_json(Path("metrics/suspect.json"), label_errors.label_error_summary(found, samples, rows))
    write_csv(Path("metrics/suspect.csv"), label_errors.ISSUE_COLUMNS, rows)


if __name__ == "__main__":
    run.run(main)
