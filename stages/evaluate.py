"""Score every model on test, once.

Reads data/train, data/ensemble, data/curate, data/merge; writes metrics/evaluate.json; of the selected ensemble
metrics/confusion.csv, metrics/reliability.csv, metrics/risk_coverage.csv; of all models metrics/curves.csv.
"""

from pathlib import Path

from tandem.evaluation.report import (
    confusion_table,
    model_folders,
    reliability_table,
    report,
    risk_coverage_table,
    training_curves,
)
from tandem.evaluation.scores import predictions_on
from tandem.evaluation.settings import EvaluateSettings
from tandem.files import read_json, write_csv, write_json
from tandem.pipeline import run
from tandem.pipeline.params import read_params, section
from tandem.tables.index import load_index
from tandem.tables.logits import load_logits_of
from tandem.tables.samples import load_samples


def main() -> None:
    params = read_params()
    samples = load_samples(Path("data/curate"))
    ensembles = read_json(Path("data/ensemble/selected.json"))
    selected = ensembles["selected"]
    folders = model_folders({Path("data/train"): params["backbones"], Path("data/ensemble"): ensembles["kinds"]})
    logits = load_logits_of(folders, ids=samples.ids, class_names=samples.class_names)

    scores = report(
        logits,
        samples,
        selected=selected,
        singles=list(params["backbones"]),
        min_sides=load_index(Path("data/merge/index.csv")).min_sides,
        settings=section(params, "evaluate", EvaluateSettings),
    )
    test, names = samples.test, samples.class_names
    predictions = predictions_on(test, logits[selected])

    write_json(Path("metrics/evaluate.json"), scores)
    write_csv(Path("metrics/confusion.csv"), confusion_table(predictions, test.ids, names))
    write_csv(Path("metrics/reliability.csv"), reliability_table(predictions))
    write_csv(Path("metrics/risk_coverage.csv"), risk_coverage_table(predictions))
    write_csv(Path("metrics/curves.csv"), training_curves(folders))


if __name__ == "__main__":
    run.run(main)
