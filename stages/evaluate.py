"""Score every model on test, once.

Reads data/train, data/ensemble, data/curate; writes metrics/evaluate.json, metrics/confusion.csv of the shipped
ensemble, and metrics/curves.csv, the training curves of all models in one table.
"""

from pathlib import Path

from tandem import evaluation, logits, running
from tandem.files import read_json, write_csv, write_json
from tandem.params import read_params
from tandem.samples import load_samples


def main() -> None:
    samples = load_samples(Path("data/curate"))
    ensemble = read_json(Path("data/ensemble/shipped.json"))
    folders = {name: Path("data/train") / name for name in read_params()["backbones"]}
    folders |= {kind: Path("data/ensemble") / kind for kind in ensemble["kinds"]}
    paths = {name: folder / "logits.npz" for name, folder in folders.items()}
    values = logits.load_all(paths, ids=samples.ids, class_names=samples.class_names)
    shipped = ensemble["shipped"]
    write_json(Path("metrics/evaluate.json"), evaluation.report(values, samples, shipped=shipped, split="test"))
    rows = evaluation.predictions(values[shipped], samples, split="test")
    write_csv(Path("metrics/confusion.csv"), list(rows[0]), rows)
    curves = evaluation.curves({name: folder / "curves.csv" for name, folder in folders.items()})
    write_csv(Path("metrics/curves.csv"), list(curves[0]), curves)


if __name__ == "__main__":
    running.run(main)
