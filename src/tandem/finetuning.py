"""Features of a backbone for the models: its frozen ones as they are, or those of a fine-tuned copy of it.

Without a thawed layer nothing is computed and no torch is loaded.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tandem.files import whole_folder
from tandem.images import Resize
from tandem.samples import Samples


@dataclass(frozen=True)
class Job:
    """What is fine-tuned. num_layers: thawed ones, 0 to 5. images: one path a picture, in the order of samples.

    extracted: the folder of the frozen features. weights: of the backbone: weights, sha256. settings: of the section
    `finetune`. balance, folds: of `train`. runtime: workers, batch_size, device.
    """

    name: str
    num_layers: int
    samples: Samples
    images: Sequence[Path]
    extracted: Path
    weights: Mapping[str, Any]
    size_px: int
    resize: Resize
    weights_seed: int
    settings: Mapping[str, Any]
    balance: str
    folds: int
    runtime: Mapping[str, Any]

    @classmethod
    def from_params(
        cls, name: str, params: Mapping[str, Any], samples: Samples, *, images: Sequence[Path], extracted: Path
    ) -> "Job":
        """The job of one backbone, by the whole of the parameters."""
        train, transform = params["train"], params["extract"]
        return cls(
            name=name,
            num_layers=num_layers(train["trainable_backbone_layers"], name),
            samples=samples,
            images=images,
            extracted=extracted,
            weights={"sha256": None, **params["backbones"][name]},
            size_px=transform["size_px"],
            resize=transform["resize"],
            weights_seed=transform["seed"],
            settings=params["finetune"],
            balance=train["balance"],
            folds=train["folds"],
            runtime=params["runtime"],
        )


def num_layers(trainable: int | Mapping[str, int], name: str) -> int:
    """How many layers of a backbone are thawed: the same number for all, or by name, where a missing one is frozen."""
    if isinstance(trainable, int):
        return trainable
    return trainable[name] if name in trainable else 0


def finetune(job: Job, folder: Path, *, recovery: Path) -> dict[str, float]:
    """Write `folder` (rows.npy, ids.txt, meta.json; trunk.pt, head.pt and curves.csv if tuned); what there is to tell.

    recovery: where the state of a training lies that was killed, and its scratch.
    """
    if job.num_layers == 0:
        with whole_folder(folder) as temporary:
            shutil.copytree(job.extracted, temporary, dirs_exist_ok=True, copy_function=shutil.copyfile)
        return {"trainable_backbone_layers": 0}
    from tandem import tuning  # torch costs seconds, and a frozen backbone needs none of it

    return {"trainable_backbone_layers": job.num_layers, **tuning.tune(job, folder, recovery_dir=recovery)}
