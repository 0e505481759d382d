"""Score every model on test, once. The last stage: it prints the results.

Reads data/{train,ensemble,export,curate}, data/merge/index.csv and the metrics of curate,
label_errors and repeated_splits. Writes metrics/{summary,evaluate}.json; of all models
metrics/{models,curves}.csv; of the selected one metrics/{confusion,reliability,risk_coverage}.csv.
"""

from pathlib import Path

from _start import run
from tandem.evaluation.report import model_folders, report, save_tables, training_curves
from tandem.evaluation.scores import predictions_on
from tandem.evaluation.settings import EvaluateSettings
from tandem.evaluation.summary import model_rows, results_text, run_summary
from tandem.files import read_json, write_csv, write_json
from tandem.pipeline.outputs import require_outputs
from tandem.pipeline.params import read_params, section
from tandem.tables.index import load_index
from tandem.tables.logits import load_logits_in, load_logits_of
from tandem.tables.samples import load_samples

METRICS = Path("metrics")


def main() -> str:
    require_outputs(may_be_missing=True)
    params = read_params()
    samples = load_samples(Path("data/curate"))
    ensembles = read_json(Path("data/ensemble/selected.json"), keys=("selected", "kinds"))
    folders = model_folders(
        {Path("data/train"): params["backbones"], Path("data/ensemble"): ensembles["kinds"]}
    )
    test, names = samples.test, samples.class_names
    logits = load_logits_of(folders, ids=samples.ids, class_names=names)

    scores = report(
        logits,
        samples,
        selected=ensembles["selected"],
        singles=list(params["backbones"]),
        student="student",
        exported=load_logits_in(Path("data/export"), ids=test.ids, class_names=names),
        min_sides=load_index(Path("data/merge/index.csv")).min_sides,
        settings=section(params, "evaluate", EvaluateSettings),
    )
    predictions = predictions_on(test, logits[ensembles["selected"]])

    curation, issues = (read_json(METRICS / name) for name in ("curate.json", "label_errors.json"))
    summary = run_summary(scores, curation=curation, label_errors=issues)
    write_json(METRICS / "summary.json", summary)
    write_json(METRICS / "evaluate.json", scores)
    write_csv(METRICS / "models.csv", model_rows(scores))
    write_csv(METRICS / "curves.csv", training_curves(folders))
    save_tables(predictions, test.ids, names, METRICS)
    print(results_text(scores, read_json(METRICS / "repeated_splits.json")))
    return f"{len(logits)} models on {len(test)} images"


if __name__ == "__main__":
    run(main)
