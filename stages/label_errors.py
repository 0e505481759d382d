"""Label issues: images whose label is likely wrong, listed for a person.

Reads data/extract, or data/ingest where label_errors has a size of its own, data/curate and
data/merge. Writes metrics/label_errors.json and metrics/label_errors.csv.
"""

from pathlib import Path

from _start import run
from tandem.curation.label_errors.listing import ISSUE_COLUMNS, label_error_summary, list_issues
from tandem.curation.label_errors.scores import find_label_issues
from tandem.curation.settings import LabelErrorSettings
from tandem.features.embedding import Compute
from tandem.features.own_size import FeatureSource, features_at
from tandem.features.settings import BackboneSettings, ExtractSettings
from tandem.files import write_csv, write_json
from tandem.pipeline.params import read_params, section, sections
from tandem.pipeline.settings import RuntimeSettings
from tandem.tables.index import load_index
from tandem.tables.samples import load_samples


def main() -> str:
    params = read_params()
    settings = section(params, "label_errors", LabelErrorSettings)
    runtime = section(params, "runtime", RuntimeSettings)
    samples = load_samples(Path("data/curate"))
    index = load_index(Path("data/merge/index.csv"))
    source = FeatureSource(
        Path("data/extract"), stored=Path("data/merge/stored.csv"), packed=Path("data/ingest")
    )

    features = features_at(
        settings.size_px,
        source,
        backbones=sections(params, "backbones", BackboneSettings),
        settings=section(params, "extract", ExtractSettings),
        ids=samples.ids,
        compute=Compute(runtime.device, runtime.batch_size, runtime.workers),
        max_gb=runtime.feature_cache_gb,
    )
    issues = find_label_issues(features, samples, settings=settings)
    listed = list_issues(issues, samples, index, fraction=settings.fraction)

    write_csv(Path("metrics/label_errors.csv"), listed, columns=ISSUE_COLUMNS)
    summary = label_error_summary(issues, samples, listed)
    write_json(Path("metrics/label_errors.json"), summary)
    return f"{summary['label_issues']} label issues, {summary['listed']} images listed for review"


if __name__ == "__main__":
    run(main)
