"""Settings and tables that tests share: valid ones, of which a test states only what it is about."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tandem.curation.settings import (
    BurstSettings,
    CandidateSettings,
    CurateSettings,
    LabelErrorSettings,
    SimilarityThresholds,
    SplitFractions,
)
from tandem.datasets.settings import IngestSettings, LabelSettings, LabelsOfSource, MergeSettings
from tandem.evaluation.settings import EvaluateSettings
from tandem.features.settings import BackboneSettings, ExtractSettings
from tandem.finetune.settings import AugmentSettings, FinetuneSettings
from tandem.sources.settings import (
    ArchiveSource,
    BoxPolicy,
    KaggleSource,
    RoboflowSource,
    SampleSource,
    Source,
)
from tandem.studies.settings import StudySettings
from tandem.tables.samples import SPLITS, Sample, Samples
from tandem.training.settings import EnsembleSettings, TrainSettings

CLASSES = ("car", "motorcycle", "truck")
RANDOM_WEIGHTS = BackboneSettings(weights="random")
WHOLE_IMAGES = BoxPolicy(use="whole", margin=0.0, min_side_px=8)
_SOURCE_KINDS: Mapping[str, Any] = {
    "sample": SampleSource,
    "archive": ArchiveSource,
    "kaggle": KaggleSource,
    "roboflow": RoboflowSource,
}

_TRAIN = TrainSettings(
    trainable_backbone_layers=0,
    head="linear",
    lr=0.01,
    batch_size=8,
    epochs=3,
    patience=1000,
    weight_decay=0.0,
    dropout=0.0,
    scheduler="none",
    balance="none",
    folds=3,
    seed=0,
)
_ENSEMBLE = EnsembleSettings(kind="best", student="best", dropout=0.5, width=16)
_STUDY = StudySettings(lr=(0.01,), batch_size=(8,), num_seeds=1)
_EVALUATE = EvaluateSettings(num_resamples=100, max_error=0.1, set_coverage=0.9, num_splits=0, seed=0)
_EXTRACT = ExtractSettings(
    size_px=32, resize="squash", interpolation="bilinear", tta_views=1, engine="reference", seed=0
)
_AUGMENT = AugmentSettings(min_scale=0.5, flip=True, color_jitter=0.2, rand_augment_ops=0)
_FINETUNE = FinetuneSettings(
    lr=0.001,
    layer_decay=0.7,
    batch_size=8,
    num_micro_batches=1,
    epochs=2,
    keep="best",
    patience=5,
    warmup_epochs=1,
    weight_decay=0.05,
    label_smoothing=0.1,
    ema_decay=0.9,
    clip_norm=1.0,
    wise_alpha=1.0,
    lp_ft=True,
    mix="none",
    augment=_AUGMENT,
    size_px=32,
    precision="float32",
    seed=0,
)
_CURATE = CurateSettings(
    backbone="mobilenet_v2",
    candidates=CandidateSettings(min_similarity=0.99, max_hash_distance=20, num_neighbors=5),
    min_correlation=0.96,
    same_stem=SimilarityThresholds(min_similarity=0.9, max_hash_distance=60),
    bursts=BurstSettings(by_name=True, within_seconds=None),
    duplicates="keep_one",
    fractions=SplitFractions(train=0.7, val=0.15, test=0.15),
    seed=0,
)
_LABEL_ERRORS = LabelErrorSettings(num_neighbors=5, fraction=0.1)
_INGEST = IngestSettings(min_side_px=8, max_pixels=1_000_000, max_side_px=None)


def train_settings(**changes: Any) -> TrainSettings:
    """A few epochs of a linear head, without dropout, decay, schedule or balance."""
    return replace(_TRAIN, **changes)


def ensemble_settings(**changes: Any) -> EnsembleSettings:
    """The kind `best`, and a narrow feature ensemble."""
    return replace(_ENSEMBLE, **changes)


def study_settings(**changes: Any) -> StudySettings:
    """One pair, one seed."""
    return replace(_STUDY, **changes)


def evaluate_settings(**changes: Any) -> EvaluateSettings:
    """A hundred resamples, no repeated splits."""
    return replace(_EVALUATE, **changes)


def extract_settings(**changes: Any) -> ExtractSettings:
    """Images of 32 px, one view, float32 by torch."""
    return replace(_EXTRACT, **changes)


def augment_settings(**changes: Any) -> AugmentSettings:
    """Crops, flips and color jitter, no RandAugment."""
    return replace(_AUGMENT, **changes)


def finetune_settings(**changes: Any) -> FinetuneSettings:
    """Two epochs at 32 px in float32."""
    return replace(_FINETUNE, **changes)


def curate_settings(**changes: Any) -> CurateSettings:
    """Strict thresholds, one image kept of a set of near duplicates."""
    return replace(_CURATE, **changes)


def label_error_settings(**changes: Any) -> LabelErrorSettings:
    """Five neighbors, a tenth of each class."""
    return replace(_LABEL_ERRORS, **changes)


def ingest_settings(**changes: Any) -> IngestSettings:
    """Small images are taken, and stored as large as they are."""
    return replace(_INGEST, **changes)


def merge_settings(*, max_corrupt_fraction: float = 1.0) -> MergeSettings:
    """Any number of corrupt files is taken."""
    return MergeSettings(max_corrupt_fraction)


def label_settings(
    classes: Mapping[str, Sequence[str]],
    *,
    ignore: Sequence[str] = (),
    by_source: Mapping[str, Mapping[str, Any]] | None = None,
) -> LabelSettings:
    """classes: class -> aliases. by_source: source -> {"classes": class -> aliases, "ignore": labels}, optional."""
    return LabelSettings(
        classes={name: tuple(aliases) for name, aliases in classes.items()},
        ignore=tuple(ignore),
        by_source={
            name: LabelsOfSource(
                classes={own: tuple(aliases) for own, aliases in entry.get("classes", {}).items()},
                ignore=tuple(entry.get("ignore", ())),
            )
            for name, entry in (by_source or {}).items()
        },
    )


def source(kind: str, *, format: str = "auto", boxes: BoxPolicy | None = None, **described: Any) -> Source:
    """A source of this kind; described: the keys of its kind, such as path of an archive."""
    return source_of(_SOURCE_KINDS[kind](**described), format=format, boxes=boxes)


def source_of(description: Any, *, format: str = "auto", boxes: BoxPolicy | None = None) -> Source:
    """A source that is described by settings of its kind, such as a RoboflowSource, which has a format of its own."""
    kind = next(name for name, described in _SOURCE_KINDS.items() if isinstance(description, described))
    return Source(kind=kind, format=format, boxes=boxes, **{kind: description})


def samples_of(
    targets: Sequence[int],
    splits: Sequence[str],
    *,
    groups: Sequence[str] | None = None,
    class_names: Sequence[str] = CLASSES,
) -> Samples:
    """Samples with ids "000", "001", ..., each in a group of its own unless groups says otherwise."""
    ids = [f"{number:03}" for number in range(len(targets))]
    rows = zip(ids, targets, splits, groups or ids, strict=True)
    return Samples.of(
        class_names, [Sample(id_, class_names[target], "drawn", group, split) for id_, target, split, group in rows]
    )


def split_samples(targets: np.ndarray) -> Samples:
    """Samples of these targets (N,), of ten images six in train, two in val, two in test."""
    splits = [SPLITS[(0, 0, 0, 0, 0, 0, 1, 1, 2, 2)[row % 10]] for row in range(len(targets))]
    return samples_of(targets.tolist(), splits)


def blobs(num_images: int = 300, *, spread: float = 3.0, dim: int = 6) -> tuple[np.ndarray, Samples]:
    """(N, D) float32 features of three overlapping classes, and their samples; see split_samples."""
    rng = np.random.default_rng(0)
    targets = np.arange(num_images) % 3
    features = rng.uniform(-4, 4, size=(3, dim))[targets] + spread * rng.normal(size=(num_images, dim))
    order = rng.permutation(num_images)
    return features[order].astype(np.float32), split_samples(targets[order])
