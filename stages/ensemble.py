"""The ensembles over all backbones, and which one is shipped.

Reads data/extract, data/train, data/curate; writes data/ensemble and metrics/ensemble.json.
"""

from pathlib import Path

from tandem import ensembling, features, logits, running, training
from tandem.files import write_json
from tandem.params import read_params
from tandem.samples import load_samples


def main() -> None:
    params = read_params()
    samples = load_samples(Path("data/curate"))
    heads = {name: Path(f"data/train/{name}/logits.npz") for name in params["backbones"]}
    ensembles = ensembling.combine_all(
        features=features.load_all(Path("data/extract"), params["backbones"], ids=samples.ids),
        logits=logits.load_all(heads, ids=samples.ids, class_names=samples.class_names),
        samples=samples,
        settings=training.Settings(**{**params["train"], "dropout": params["ensemble"]["dropout"]}),
    )
    shipped = ensembling.choose(params["ensemble"]["kind"], ensembles, samples)
    ensembling.save(ensembles, samples, Path("data/ensemble"), shipped=shipped)
    write_json(Path("metrics/ensemble.json"), ensembling.summary(ensembles, samples, shipped=shipped))


if __name__ == "__main__":
    running.run(main)
