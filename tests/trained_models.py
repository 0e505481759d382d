"""What a scratch clone has trained: its models as objects, and what was scored of them."""

import numpy as np
import torch
from scipy.special import softmax

from scratch_project import read_csv
from tandem.features.settings import BackboneSettings, ExtractSettings
from tandem.images.transforms import load_transformed
from tandem.inference.classifier import TrainedModels, load_classifier
from tandem.pipeline.params import section, sections
from tandem.tables.logits import load_logits
from tandem.training.settings import EnsembleSettings, TrainSettings


def trained_models(clone):
    params, data = clone.params(), clone.root / "data"
    return TrainedModels(
        backbones=sections(params, "backbones", BackboneSettings),
        extract=section(params, "extract", ExtractSettings),
        train=section(params, "train", TrainSettings),
        ensemble=section(params, "ensemble", EnsembleSettings),
        class_names=sorted(params["labels"]["classes"]),
        features_dir=data / "finetune",
        train_dir=data / "train",
        study_dir=data / "study",
        ensemble_dir=data / "ensemble",
    )


def held_out_files(clone):
    """Id -> the file of each image in validation or test: a stack is scored by other logits on train."""
    split_of = {row["id"]: row["split"] for row in read_csv(clone.root / "data/curate/samples.csv")}
    index = read_csv(clone.root / "data/merge/index.csv")
    images = clone.root / "data/merge/images"
    return {row["id"]: images / row["file"] for row in index if split_of[row["id"]] in ("val", "test")}


def scored_probs(trained, model, ids):
    """(n, C) as evaluate scores them."""
    logits = load_logits(trained.folder_of(model) / "logits.npz")
    values = dict(zip(logits.ids, softmax(logits.values.astype(np.float64), axis=-1), strict=True))
    return np.stack([values[id_] for id_ in ids])


def largest_difference(trained, model, files):
    """Between the probs of the model as an object and those that were scored."""
    transform = {"size_px": trained.extract.size_px, "resize": trained.extract.resize}
    pixels = np.concatenate([load_transformed(path.read_bytes(), **transform) for path in files.values()])
    with torch.inference_mode():
        probs = load_classifier(model, trained)(torch.from_numpy(pixels)).numpy()
    return np.abs(probs - scored_probs(trained, model, files)).max()
