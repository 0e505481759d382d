"""The weights that backbones begin with: in the cache of torch or of the Hugging Face Hub, or to be downloaded."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tandem.doctor.findings import Diagnosis
from tandem.features.backbones.catalog import torchvision_file
from tandem.features.settings import RANDOM, BackboneSettings


@dataclass(frozen=True)
class NamedWeights:
    """Weights that a provider has. path: where they lie, or are put. num_bytes: of the download; 0 where not known."""

    backbone: str
    path: Path
    num_bytes: int
    is_there: bool


def look_for_weights(backbones: Mapping[str, BackboneSettings], environ: Mapping[str, str]) -> list[NamedWeights]:
    """One entry a backbone whose weights have a name; files and random weights are not looked for."""
    found, folder = list[NamedWeights](), checkpoints_dir(environ)
    for name, backbone in backbones.items():
        if backbone.sha256 is not None or backbone.weights == RANDOM:
            continue
        architecture = (backbone.architecture or name).partition(".")[0]
        if backbone.provider == "timm":
            path = hub_dir(environ) / f"models--timm--{architecture}.{backbone.weights}"
            found.append(NamedWeights(name, path, 0, any(path.glob("snapshots/*/*.safetensors"))))
        elif file := torchvision_file(architecture, backbone.weights):
            path = folder / file.url.rsplit("/", 1)[-1]
            found.append(NamedWeights(name, path, file.num_bytes, path.is_file()))
    return found


def checkpoints_dir(environ: Mapping[str, str]) -> Path:
    """Where torch.hub keeps what it downloads (torch.hub.get_dir), without the import of torch."""
    caches = environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = environ.get("TORCH_HOME") or os.path.join(caches, "torch")  # noqa: PTH118
    return Path(os.path.expanduser(home)) / "hub/checkpoints"  # noqa: PTH111


def hub_dir(environ: Mapping[str, str]) -> Path:
    """Where the Hugging Face Hub's client keeps what it downloads (huggingface_hub.constants), without its import."""
    caches = environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = environ.get("HF_HOME") or os.path.join(caches, "huggingface")  # noqa: PTH118
    return Path(os.path.expanduser(environ.get("HF_HUB_CACHE") or os.path.join(home, "hub")))  # noqa: PTH111, PTH118


def judge_weights(found: Sequence[NamedWeights]) -> list[Diagnosis]:
    """What `dvc repro` will download."""
    missing = [each for each in found if not each.is_there]
    if missing:
        names, size = ", ".join(each.backbone for each in missing), sum(each.num_bytes for each in missing)
        of_size = f" ({size / 10**6:.0f} MB)" if all(each.num_bytes for each in missing) else ""
        text = f"those of {names} are downloaded to {_folders(missing)}{of_size}"
        return [Diagnosis("weights", "note", text, "without a network put the files there by hand")]
    kept = f"those of {', '.join(each.backbone for each in found)} are in {_folders(found)}" if found else ""
    return [Diagnosis("weights", "ok", kept or "no backbone needs a download")]


def _folders(weights: Sequence[NamedWeights]) -> str:
    return " and ".join(dict.fromkeys(str(each.path.parent) for each in weights))
