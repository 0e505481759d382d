"""Label issues: images whose label is likely wrong, listed for a person.

Reads data/extract, data/curate, data/merge/index.csv. Writes metrics/label_errors.json and
metrics/label_errors.csv.
"""

from pathlib import Path

from _start import run
from tandem.curation.label_errors.listing import ISSUE_COLUMNS, label_error_summary, list_issues
from tandem.curation.label_errors.scores import find_label_issues
from tandem.curation.settings import LabelErrorSettings
from tandem.files import write_csv, write_json
from tandem.pipeline.params import read_params, section
from tandem.tables.features import load_features_of
from tandem.tables.index import load_index
from tandem.tables.samples import load_samples


def main() -> str:
    params = read_params()
    settings = section(params, "label_errors", LabelErrorSettings)
    samples = load_samples(Path("data/curate"))
    index = load_index(Path("data/merge/index.csv"))
    features = load_features_of(Path("data/extract"), params["backbones"], ids=samples.ids)

    issues = find_label_issues(features, samples, settings=settings)
    listed = list_issues(issues, samples, index, fraction=settings.fraction)

    write_csv(Path("metrics/label_errors.csv"), listed, columns=ISSUE_COLUMNS)
    summary = label_error_summary(issues, samples, listed)
    write_json(Path("metrics/label_errors.json"), summary)
    return f"{summary['label_issues']} label issues, {summary['listed']} images listed for review"


if __name__ == "__main__":
    run(main)
