"""Which backbones a model of the results table reads: of the others an exported file holds nothing."""

from collections.abc import Sequence
from pathlib import Path

from tandem.files import read_json


def backbones_read_by(model: str, backbones: Sequence[str], ensemble_dir: Path) -> list[str]:
    """Those of all backbones, in their order. ensemble_dir: what training.ensembles.save_ensembles wrote.

    A student reads one, and a weighted mean those of its models: heads by the name of their backbone, and ensembles of
    all backbones.
    """
    if model in backbones:
        return [model]
    folder = ensemble_dir / model
    if (folder / "student.json").is_file():
        return [read_json(folder / "student.json", keys=("backbone",))["backbone"]]
    if not (folder / "mean.json").is_file():
        return list(backbones)
    kinds = {name.partition(" ")[0] for name in read_json(folder / "mean.json", keys=("weights",))["weights"]}
    return [name for name in backbones if name in kinds or not kinds <= set(backbones)]
