"""What a scratch clone has trained: its models as graphs, and what was scored of them."""

import tarfile

import numpy as np
from scipy.special import softmax

from scratch_project import read_csv
from tandem.images.transforms import load_transformed
from tandem.inference.classifier import classifier_model
from tandem.inference.exported import PIXELS, PROBABILITIES
from tandem.inference.runtime import start_session
from tandem.pipeline import trained
from tandem.tables.logits import load_logits


def trained_models(clone):
    params = clone.params()
    return trained.trained_models(params, sorted(params["labels"]["classes"]), clone.root / "data")


def held_out_files(clone):
    """Id -> a file of each image in validation or test: a stack is scored by other logits on train."""
    split_of = {row["id"]: row["split"] for row in read_csv(clone.root / "data/curate/samples.csv")}
    index = read_csv(clone.root / "data/merge/index.csv")
    images = clone.root / "images"
    for shard in clone.root.glob("data/ingest/*/*.tar"):
        with tarfile.open(shard) as tar:
            tar.extractall(images, filter="data")
    return {row["id"]: images / row["file"] for row in index if split_of[row["id"]] in ("val", "test")}


def scored_probs(models, model, ids):
    """(n, C) as evaluate scores them."""
    logits = load_logits(models.folder_of(model) / "logits.npz")
    values = dict(zip(logits.ids, softmax(logits.values.astype(np.float64), axis=-1), strict=True))
    return np.stack([values[id_] for id_ in ids])


def largest_difference(models, model, files):
    """Between the probs of the model's graph, from files, and those that were scored."""
    settings = models.extract
    transform = {"size_px": settings.size_px, "resize": settings.resize, "interpolation": settings.interpolation}
    pixels = np.concatenate([load_transformed(path.read_bytes(), **transform) for path in files.values()])
    session = start_session(classifier_model(model, models).SerializeToString())
    [probs] = session.run([PROBABILITIES], {PIXELS: pixels})
    return np.abs(probs - scored_probs(models, model, files)).max()
