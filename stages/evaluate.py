"""Score every model on test, once.

Reads data/train, data/ensemble, data/curate, data/merge; writes metrics/evaluate.json; of the selected ensemble
metrics/confusion.csv, metrics/reliability.csv, metrics/risk_coverage.csv; of all models metrics/curves.csv.
"""

from pathlib import Path

from tandem.evaluation import report as evaluation
from tandem.files import read_json, write_json, write_table
from tandem.pipeline import run
from tandem.pipeline.params import read_params
from tandem.tables import logits
from tandem.tables.index import load_index
from tandem.tables.samples import load_samples


def main() -> None:
    params, samples = read_params(), load_samples(Path("data/curate"))
    ensemble, settings = (
        read_json(Path("data/ensemble/selected.json")),
        evaluation.Settings.from_params(params["evaluate"]),
    )
    folders = {name: Path("data/train") / name for name in params["backbones"]}
    folders |= {kind: Path("data/ensemble") / kind for kind in ensemble["kinds"]}
    paths = {name: folder / "logits.npz" for name, folder in folders.items()}
    values = logits.load_logits_of(paths, ids=samples.ids, class_names=samples.class_names)
    own = values[ensemble["selected"]]
    sides = load_index(Path("data/merge/index.csv")).min_sides
    chosen = {"selected": ensemble["selected"], "singles": list(params["backbones"])}
    report = evaluation.report(values, samples, **chosen, split="test", min_sides=sides, settings=settings)
    write_json(Path("metrics/evaluate.json"), report)
    write_table(Path("metrics/confusion.csv"), evaluation.predictions(own, samples, split="test"))
    write_table(Path("metrics/reliability.csv"), evaluation.reliability_table(own, samples, split="test"))
    write_table(Path("metrics/risk_coverage.csv"), evaluation.risk_coverage_table(own, samples, split="test"))
    curves = evaluation.curves({name: folder / "curves.csv" for name, folder in folders.items()})
    write_table(Path("metrics/curves.csv"), curves)


if __name__ == "__main__":
    run.run(main)
