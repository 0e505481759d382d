"""The ensembles over all backbones, and which one is selected.

Reads data/finetune, data/train, data/study, data/curate; writes data/ensemble and metrics/ensemble.json.
"""

from pathlib import Path

from tandem.files import write_json
from tandem.pipeline import run
from tandem.pipeline.params import read_params
from tandem.tables import features, logits
from tandem.tables.samples import load_samples
from tandem.training import ensembles as ensembling
from tandem.training import heads, loggers


def main() -> None:
    params = read_params()
    samples = load_samples(Path("data/curate"))
    of = {"ids": samples.ids, "class_names": samples.class_names}
    folders = {name: Path("data/train") / name for name in params["backbones"]}
    members = ensembling.EnsembleInputs(
        features=features.load_features_of(Path("data/finetune"), params["backbones"], ids=samples.ids),
        logits=logits.load_logits_of({name: folder / "logits.npz" for name, folder in folders.items()}, **of),
        out_of_fold=logits.load_logits_of({name: folder / "out_of_fold.npz" for name, folder in folders.items()}, **of),
        library=logits.load_model_library(Path("data/study/library.npz"), **of),
    )
    own = params["ensemble"]
    settings = heads.TrainSettings.from_params({**params["train"], "dropout": own["dropout"]})
    with loggers.open_logger(params["runtime"]["log"], Path(".tandem/log/ensemble")) as track:
        ensembles = ensembling.combine_all(members, samples, settings=settings, width=own["width"], track=track)
    selected = ensembling.select_ensemble(own["kind"], ensembles, samples)
    ensembling.save_ensembles(ensembles, samples, Path("data/ensemble"), selected=selected)
    write_json(Path("metrics/ensemble.json"), ensembling.ensemble_summary(ensembles, samples, selected=selected))


if __name__ == "__main__":
    run.run(main)
