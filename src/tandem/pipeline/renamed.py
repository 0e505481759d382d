"""Parameters that have other names than in earlier versions, so that `tandem check` can name the new one."""

from collections.abc import Mapping

# dotted path, "*" for any key -> the last part of the new path, or the whole of it where that is dotted
KEYS: Mapping[str, str] = {
    "sources.*.sample.manner": "style",
    "merge.max_broken_share": "max_corrupt_fraction",
    "extract.views": "tta_views",
    "curate.candidates.similarity": "min_similarity",
    "curate.candidates.hash_bits": "max_hash_distance",
    "curate.candidates.neighbours": "num_neighbors",
    "curate.correlation": "min_correlation",
    "curate.hint": "same_stem",
    "curate.same_stem.similarity": "min_similarity",
    "curate.same_stem.hash_bits": "max_hash_distance",
    "curate.copies": "duplicates",
    "suspect": "label_errors",
    "label_errors.neighbours": "num_neighbors",
    "label_errors.share": "fraction",
    "finetune.probe_first": "lp_ft",
    "finetune.augment.scale": "min_scale",
    "finetune.augment.colour": "color_jitter",
    "finetune.augment.rand_operations": "rand_augment_ops",
    "study.seeds": "num_seeds",
    "evaluate.draws": "num_resamples",
    "evaluate.seeds": "num_splits",
    "runtime.log": "logger",
}
# dotted path -> value -> its new name
VALUES: Mapping[str, Mapping[str, str]] = {
    "curate.duplicates": {"one": "keep_one", "together": "keep_together"},
}


def new_name(path: str) -> str | None:
    """The new name of the key at a dotted path, None where it has never had another one."""
    parts = path.split(".")
    return next((name for old, name in KEYS.items() if _is_like(old.split("."), parts)), None)


def _is_like(pattern: list[str], parts: list[str]) -> bool:
    return len(pattern) == len(parts) and all(one in ("*", other) for one, other in zip(pattern, parts, strict=True))
