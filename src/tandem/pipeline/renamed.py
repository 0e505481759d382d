"""Parameters under other names, of earlier versions and of other tools, so that a check can state their names here."""

import re
from collections.abc import Mapping
from typing import Any

# path of a key, its sections under their new names, "*" for any -> the key's new name
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
# keys that were moved to another section
MOVED: Mapping[str, str] = {"merge.min_side_px": "ingest.min_side_px", "merge.max_pixels": "ingest.max_pixels"}
# path of a key that is no parameter any more, under the new names -> why
REMOVED: Mapping[str, str] = {
    "label_errors.folds": "each group is left out on its own",
    "label_errors.seed": "nothing is drawn",
}
# path under the new names -> value -> its new name
VALUES: Mapping[str, Mapping[str, str]] = {
    "curate.duplicates": {"one": "keep_one", "together": "keep_together"},
}


# What keys and formats are called elsewhere, without "_" and "-" -> here
_USUAL_KEYS: Mapping[str, str] = {
    "learningrate": "lr",
    "lrs": "lr",
    "bs": "batch_size",
    "batch": "batch_size",
    "numepochs": "epochs",
    "nepochs": "epochs",
    "maxepochs": "epochs",
    "imagesize": "size_px",
    "imgsize": "size_px",
    "imgsz": "size_px",
    "inputsize": "size_px",
    "resolution": "size_px",
    "wd": "weight_decay",
    "l2": "weight_decay",
    "randomstate": "seed",
    "randomseed": "seed",
    "earlystopping": "patience",
    "lrscheduler": "scheduler",
    "schedule": "scheduler",
    "droprate": "dropout",
    "classifier": "head",
    "numworkers": "workers",
    "nworkers": "workers",
    "numfolds": "folds",
    "nfolds": "folds",
    "kfold": "folds",
    "model": "architecture",
    "arch": "architecture",
    "checkpoint": "weights",
    "pretrained": "weights",
    "ckpt": "weights",
    "sha": "sha256",
    "checksum": "sha256",
    "type": "kind",
    "folder": "path",
    "file": "path",
    "validation": "val",
    "names": "classes",
    "models": "backbones",
    "datasets": "sources",
    "data": "sources",
}
_USUAL_FORMATS: Mapping[str, str] = {
    "imagefolder": "class_folders",
    "folder": "class_folders",
    "folders": "class_folders",
    "directory": "class_folders",
    "imagenet": "class_folders",
    "classification": "class_folders",
    "imageclassificationdirectorytree": "class_folders",
    "ultralytics": "yolo",
    "darknet": "yolo",
    "cocojson": "coco",
    "cocodetectiondataset": "coco",
}


def usual_name(key: str) -> str | None:
    """What a key of another tool, such as learning_rate, is called here."""
    return _USUAL_KEYS.get(_bare(key))


def usual_format(name: str) -> str | None:
    """What a format of another tool, such as ImageFolder or yolov8, is called here."""
    return _USUAL_FORMATS.get(_bare(name), "yolo" if re.fullmatch(r"yolov?\d+.*", _bare(name)) else None)


def _bare(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).casefold()


def with_new_names(params: Mapping[Any, Any]) -> tuple[dict[Any, Any], dict[tuple[str, ...], str]]:
    """The parameters under their new names; path in the file -> what to rename, where a key or value is called so."""
    lines: dict[tuple[str, ...], str] = {}
    renamed = _section(params, (), (), lines)
    for old, new in MOVED.items():
        (section, key), (new_section, new_key) = old.split("."), new.split(".")
        if isinstance(renamed.get(section), dict) and key in renamed[section]:
            lines[section, key] = f"{old} is {new} now; move it to the section {new_section}"
            renamed[new_section] = {new_key: renamed[section].pop(key), **(renamed.get(new_section) or {})}
    return renamed, lines


def _section(
    section: Mapping[Any, Any], old_path: tuple[str, ...], new_path: tuple[str, ...], lines: dict[tuple[str, ...], str]
) -> dict[Any, Any]:
    """One section under its new names. old_path, new_path: its keys as the file has them, and as they are now."""
    renamed: dict[Any, Any] = {}
    for key, value in section.items():
        new_key = _new_key(*new_path, str(key)) or key
        old, new = (*old_path, str(key)), (*new_path, str(new_key))
        if ".".join(new) in REMOVED:
            lines[old] = f"{'.'.join(old)} is no parameter any more, since {REMOVED['.'.join(new)]}; remove it"
            continue
        if new_key != key and new_key in section:
            lines[old] = f"{'.'.join(old)} is called {'.'.join(new)} now, which is there as well; remove it"
            continue
        new_value = VALUES.get(".".join(new), {}).get(value) if isinstance(value, str) else None
        if new_key != key or new_value:
            lines[old] = _line(".".join(old), ".".join(new), value, new_value)
        renamed[new_key] = _section(value, old, new, lines) if isinstance(value, Mapping) else new_value or value
    return renamed


def _new_key(*path: str) -> str | None:
    """The new name of the last key of a path; None where it has never had another one."""
    patterns = ((old.split("."), name) for old, name in KEYS.items())
    return next((name for pattern, name in patterns if _fits(pattern, path)), None)


def _fits(pattern: list[str], path: tuple[str, ...]) -> bool:
    return len(pattern) == len(path) and all(one in ("*", key) for one, key in zip(pattern, path, strict=True))


def _line(old: str, new: str, value: Any, new_value: str | None) -> str:
    if new_value is None:
        return f"{old} is called {new} now; rename it"
    if old == new:
        return f"{old} is {value!r}, which is called {new_value!r} now; rename it"
    return f"{old} is called {new} now, and its value {value!r} is called {new_value!r}; rename them"
