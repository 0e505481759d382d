"""Score every model on test, once.

Reads data/train, data/ensemble, data/curate; writes metrics/evaluate.json and, of the shipped ensemble,
metrics/confusion.csv.
"""

from pathlib import Path

from tandem import evaluation, logits, running
from tandem.files import read_json, write_csv, write_json
from tandem.params import read_params
from tandem.samples import load_samples


def main() -> None:
    params = read_params()
    samples = load_samples(Path("data/curate"))
    ensemble = read_json(Path("data/ensemble/shipped.json"))
    paths = {name: Path(f"data/train/{name}/logits.npz") for name in params["backbones"]}
    paths |= {kind: Path(f"data/ensemble/{kind}/logits.npz") for kind in ensemble["kinds"]}
    values = logits.load_all(paths, ids=samples.ids, class_names=samples.class_names)
    shipped = ensemble["shipped"]
    write_json(Path("metrics/evaluate.json"), evaluation.report(values, samples, shipped=shipped, split="test"))
    rows = evaluation.predictions(values[shipped], samples, split="test")
    write_csv(Path("metrics/confusion.csv"), list(rows[0]), rows)


if __name__ == "__main__":
    running.run(main)
