"""What params.yaml may hold: the committed files pass, and each mistake is described by where, what and what to do.

Covers pipeline.schema, pipeline.problems, tandem.types and the settings of all rooms.
"""

import copy
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tandem.errors import ParamsError
from tandem.pipeline import schema
from tandem.pipeline.params import read_params
from tandem.training import loggers

ROOT = Path(__file__).parents[2]
DELETE = object()

GOOD: dict[str, Any] = {
    "sources": {
        "street": {"kind": "sample", "sample": {"style": "kaggle", "seed": 7}, "format": "auto"},
        "yard": {
            "kind": "archive",
            "archive": {"path": "../yard.zip", "sha256": "a" * 64},
            "format": "yolo",
            "boxes": {"use": "crop", "margin": 0.1, "min_side_px": 32},
        },
        "cars": {"kind": "kaggle", "kaggle": {"dataset": "someone/cars", "version": 3}, "format": "class_folders"},
        "bikes": {
            "kind": "roboflow",
            "roboflow": {"project": "someone/bikes", "version": 1, "format": "coco", "tree_sha256": "b" * 64},
            "format": "coco",
            "boxes": {"use": "whole", "margin": 0, "min_side_px": 1},
        },
    },
    "labels": {
        "classes": {"car": ["carro"], "truck": ["caminhão"]},
        "ignore": ["bus"],
        "by_source": {"yard": {"classes": {"truck": ["machine"]}, "ignore": []}},
    },
    "ingest": {"min_side_px": 32, "max_pixels": 100_000_000, "max_side_px": 640},
    "merge": {"max_corrupt_fraction": 0.03},
    "backbones": {
        "resnet50": {"weights": "IMAGENET1K_V1"},
        "mobilenet_v2": {"weights": "random"},
        "tuned": {"architecture": "mobilenet_v2", "weights": "IMAGENET1K_V1"},
        "resnet18": {"weights": "weights/resnet18.pth", "sha256": "c" * 64},
    },
    "extract": {
        "size_px": 224,
        "resize": "crop",
        "interpolation": "bicubic",
        "tta_views": 2,
        "engine": "auto",
        "seed": 0,
    },
    "curate": {
        "backbone": "resnet50",
        "candidates": {"min_similarity": 0.99, "max_hash_distance": 40, "num_neighbors": 4},
        "min_correlation": 0.96,
        "same_stem": {"min_similarity": 0.95, "max_hash_distance": 80},
        "bursts": {"by_name": True, "within_seconds": 2.0},
        "duplicates": "keep_one",
        "fractions": {"train": 0.7, "val": 0.15, "test": 0.15},
        "seed": 0,
    },
    "label_errors": {"num_neighbors": 20, "fraction": 0.05},
    "finetune": {
        "lr": 0.001,
        "layer_decay": 1,
        "batch_size": 32,
        "num_micro_batches": 1,
        "epochs": 12,
        "keep": "last",
        "patience": 5,
        "warmup_epochs": 0,
        "weight_decay": 0.05,
        "label_smoothing": 0.1,
        "ema_decay": 0.99,
        "clip_norm": 1.0,
        "wise_alpha": 0.5,
        "lp_ft": True,
        "mix": "none",
        "augment": {"min_scale": 0.35, "flip": True, "color_jitter": 0.2, "rand_augment_ops": 2},
        "size_px": 160,
        "precision": "auto",
        "seed": 0,
    },
    "train": {
        "trainable_backbone_layers": {"resnet50": 2, "mobilenet_v2": 5},
        "head": "linear",
        "lr": 0.001,
        "batch_size": 8,
        "epochs": 15,
        "patience": 5,
        "weight_decay": 0,
        "dropout": 0.0,
        "scheduler": "plateau",
        "balance": "sampler",
        "folds": 5,
        "seed": 0,
    },
    "ensemble": {"kind": "best", "student": "best", "dropout": 0.5, "width": 256},
    "study": {"lr": [0.01, 1], "batch_size": [4], "num_seeds": 3},
    "ood": {"false_alarm_rate": 0.05},
    "evaluate": {"num_resamples": 2000, "max_error": 0.05, "set_coverage": 0.95, "num_splits": 3, "seed": 0},
    "runtime": {
        "workers": 2,
        "batch_size": 16,
        "device": "auto",
        "logger": "dvclive",
        "feature_cache_gb": 0.5,
        "cluster": None,
        "shards": None,
    },
    "report": {"title": "Streets", "licenses": {"yard": "CC BY 4.0"}},
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """GOOD with one key set or, with DELETE, taken out."""
    params = copy.deepcopy(GOOD)
    *above, last = path.split(".")
    section = params
    for key in above:
        section = section[key]
    if value is DELETE:
        del section[last]
    else:
        section[last] = value
    return params


def message_about(params: Any) -> str:
    with pytest.raises(ParamsError) as caught:
        schema.check_params(params)
    return str(caught.value)


def test_a_file_with_every_kind_of_entry_passes() -> None:
    schema.check_params(GOOD)


@pytest.mark.parametrize(
    "path", [ROOT / "params.yaml", *sorted((ROOT / "presets").glob("*.yaml"))], ids=lambda path: path.name
)
def test_the_committed_files_pass(path: Path) -> None:
    schema.check_params(read_params(path))


@pytest.mark.parametrize(("text", "value"), [("1e-3", 0.001), ("1E-3", 0.001), ("1", 1), ("0.001", 0.001)])
def test_a_learning_rate_may_be_written_in_any_way(tmp_path: Path, text: str, value: float) -> None:
    (tmp_path / "params.yaml").write_text(f"lr: {text}")
    lr = read_params(tmp_path / "params.yaml")["lr"]
    assert lr == value
    schema.check_params(changed("train.lr", lr))


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        # keys that are not known, or not there
        (
            "train.learning_rate",
            0.1,
            "train: 'learning_rate' is not a parameter here; did you mean 'lr'? allowed: balance, batch_size, dropout, "
            "epochs, folds, head, lr, patience, scheduler, seed, trainable_backbone_layers, weight_decay",
        ),
        ("train.batchsize", 8, "train: 'batchsize' is not a parameter here; did you mean 'batch_size'? allowed: "),
        ("trian", {}, "the file: 'trian' is not a parameter here; did you mean 'train'? allowed: backbones, curate, "),
        (
            "sources.yard.boxes.margins",
            1,
            "sources.yard.boxes: 'margins' is not a parameter here; did you mean 'margin'?",
        ),
        (
            "curate.same_stem.3",
            1,
            "curate.same_stem: '3' is not a parameter here; allowed: max_hash_distance, min_similarity",
        ),
        ("train.lr", DELETE, "train.lr is missing; add it (presets/ hold complete files)"),
        ("merge", DELETE, "merge is missing; add it"),
        ("sources.street.format", DELETE, "sources.street.format is missing; add it"),
        # wrong types
        ("train.lr", "0.001", "train.lr is '0.001'; a number is needed: write 0.001 without quotes"),
        ("train.lr", True, "train.lr is True; a number is needed"),
        ("train.lr", None, "train.lr is empty; a number is needed"),
        ("train.epochs", 2.5, "train.epochs is 2.5; a whole number is needed"),
        ("train.epochs", "15", "train.epochs is '15'; a whole number is needed: write 15 without quotes"),
        ("train", [0.001, 8], "train is [0.001, 8]; a section of keys with values is needed"),
        ("train", None, "train is empty; a section of keys with values is needed"),
        ("sources", [{"kind": "sample"}], "sources is [{'kind': 'sample'}]; a section of keys with values is needed"),
        ("labels.classes.car", "carro", "labels.classes.car is 'carro'; a list is needed: write `car: [carro]`"),
        ("labels.classes.car", None, "labels.classes.car is empty; a list is needed: write `car: []`"),
        ("labels.ignore", [3], "labels.ignore.0 is 3; a text is needed: quote it: '3'"),
        ("study.lr", 0.1, "study.lr is 0.1; a list is needed: write `lr: [0.1]`"),
        # values that cannot be
        ("train.lr", 0, "train.lr is 0; a number from 1e-09 on is needed"),
        (
            "runtime.cluster",
            "10.0.0.2",
            "runtime.cluster: '10.0.0.2' is given; auto, or an address such as 10.0.0.2:6379, is needed",
        ),
        ("runtime.shards", "bucket", "runtime.shards: 'bucket' is given; an address such as s3://bucket/ingest"),
        ("runtime.cluster", 6379, "runtime.cluster is 6379; a text is needed: quote it: '6379'"),
        ("train.lr", float("nan"), "train.lr is nan; a finite number is needed"),
        ("train.weight_decay", -1, "train.weight_decay is -1; a number from 0 on is needed"),
        (
            "train.trainable_backbone_layers",
            6,
            "train.trainable_backbone_layers: 6 is given; a whole number from 0 (frozen) to 5",
        ),
        ("finetune.augment.min_scale", 0.0, "finetune.augment.min_scale is 0.0; a number above 0 is needed"),
        ("finetune.mix", "blend", "finetune.mix is 'blend'; one of none, mixup, cutmix is needed"),
        (
            "train.trainable_backbone_layers",
            {"vgg16": 1},
            "  train.trainable_backbone_layers names 'vgg16'; backbones has resnet50, mobilenet_v2, tuned, resnet18",
        ),
        (
            "train.trainable_backbone_layers",
            2,
            "train.trainable_backbone_layers unfreezes 2 of 5 layers of mobilenet_v2, whose weights are random: take 0 "
            "(frozen) or 5 (trained from scratch), or give it trained weights",
        ),
        (
            "backbones.resnet50.layer",
            "layer3",
            "train.trainable_backbone_layers unfreezes 2 of 5 layers of resnet50, which ends at layer3: take 0 "
            "(frozen), or leave out backbones.resnet50.layer",
        ),
        (
            "backbones.resnet50.pooling",
            "mean",
            "backbones.resnet50.pooling is 'mean'; one of average, max, gem is needed",
        ),
        ("train.dropout", 1.0, "train.dropout is 1.0; a number below 1 is needed"),
        ("train.batch_size", 0, "train.batch_size is 0; a number from 1 on is needed"),
        ("train.scheduler", "step", "train.scheduler is 'step'; one of plateau, cosine, none is needed"),
        ("train.balance", False, "train.balance is False; one of sampler, loss, none is needed: write none"),
        ("train.seed", -1, "train.seed is -1; a number from 0 on is needed"),
        ("merge.max_corrupt_fraction", 3, "merge.max_corrupt_fraction is 3; a number of at most 1 is needed"),
        ("extract.size_px", 16, "extract.size_px is 16; a number from 32 on is needed"),
        ("extract.resize", "pad", "extract.resize is 'pad'; one of squash, crop is needed"),
        (
            "extract.interpolation",
            "lanczos",
            "extract.interpolation is 'lanczos'; one of bilinear, bicubic is needed",
        ),
        (
            "curate.candidates.num_neighbors",
            -1,
            "curate.candidates.num_neighbors is -1; a number from 0 on is needed",
        ),
        ("curate.min_correlation", 0.0, "curate.min_correlation is 0.0; a number above 0 is needed"),
        (
            "curate.candidates.max_hash_distance",
            128,
            "curate.candidates.max_hash_distance is 128; a number of at most 127 is needed",
        ),
        (
            "curate.same_stem.min_similarity",
            1.1,
            "curate.same_stem.min_similarity is 1.1; a number of at most 1 is needed",
        ),
        ("label_errors.num_neighbors", 0, "label_errors.num_neighbors is 0; a number from 1 on is needed"),
        ("curate.fractions.val", 15, "curate.fractions.val is 15; a number below 1 is needed: write 0.15 for 15 %"),
        ("curate.fractions.val", "15 %", "curate.fractions.val is '15 %'; a number is needed: write 0.15"),
        (
            "curate.fractions.val",
            "0,15",
            "curate.fractions.val is '0,15'; a number is needed: write 0.15, with a point",
        ),
        ("merge.max_corrupt_fraction", -3, "merge.max_corrupt_fraction is -3; a number from 0 on is needed"),
        ("label_errors.fraction", 0.6, "label_errors.fraction is 0.6; a number of at most 0.5 is needed"),
        ("curate.duplicates", "all", "curate.duplicates is 'all'; one of keep_one, keep_together is needed"),
        (
            "ensemble.kind",
            "vote",
            "ensemble.kind is 'vote'; one of best, mean, weighted, greedy, stack, logit, feature, student is needed",
        ),
        ("study.batch_size", [8, 0], "study.batch_size.1 is 0; a number from 1 on is needed"),
        ("study.lr", [], "study.lr is []; at least 1 entry is needed"),
        ("runtime.logger", "wandb", "runtime.logger is 'wandb'; one of none, tensorboard, dvclive is needed"),
        ("runtime.device", "gpu", "runtime.device is 'gpu'; one of auto, cpu, cuda, mps is needed: write cuda"),
        ("report.title", " ", "report.title: ' ' is given; a text is needed"),
        ("report.licence", "MIT", "report: 'licence' is not a parameter here; did you mean 'licenses'?"),
        ("report.licenses.field", "MIT", "report.licenses names 'field'; sources has street, yard, cars, bikes"),
        ("labels.classes", {"car": []}, "labels.classes is {'car': []}; at least 2 entries are needed"),
        ("backbones", {}, "backbones is {}; at least 1 entry is needed"),
        (
            "sources.a b",
            GOOD["sources"]["street"],
            "sources: 'a b' is given; a name of at most 100 letters, digits, _ and -, none of them accented, is needed",
        ),
        (
            "sources.street.sample.style",
            "coco",
            "sources.street.sample.style is 'coco'; one of kaggle, roboflow is needed",
        ),
        (
            "sources.yard.archive.sha256",
            "ABC",
            "sources.yard.archive.sha256: 'ABC' is given; what sha256sum prints, 64 digits from 0-9 and a-f, is needed",
        ),
        (
            "sources.cars.kaggle.dataset",
            "cars",
            "sources.cars.kaggle.dataset is 'cars'; write it as owner/slug, the end",
        ),
        (
            "sources.cars.kaggle.dataset",
            "https://www.kaggle.com/datasets/a/b",
            "sources.cars.kaggle.dataset is 'https://www.kaggle.com/datasets/a/b'; write it as owner/slug",
        ),
        (
            "sources.cars.kaggle.version",
            "latest",
            "sources.cars.kaggle.version is 'latest'; a whole number from 1 on is needed, so that the same data comes "
            "again; look it up at https://www.kaggle.com/datasets/someone/cars: the Data Explorer there names it",
        ),
        ("sources.cars.kaggle.version", 0, "sources.cars.kaggle.version is 0; a whole number from 1 on is needed"),
        ("sources.cars.kaggle.version", True, "sources.cars.kaggle.version is True; a whole number from 1 on"),
        (
            "sources.cars.kaggle.version",
            None,
            "sources.cars.kaggle.version is empty; a whole number from 1 on is needed",
        ),
        (
            "sources.bikes.roboflow.version",
            "3",
            "sources.bikes.roboflow.version is '3'; a whole number from 1 on is needed, so that the same data comes "
            "again; look it up at https://universe.roboflow.com/someone/bikes: it ends the address of each version's",
        ),
        (
            "sources.bikes.roboflow.project",
            "bikes",
            "sources.bikes.roboflow.project is 'bikes'; write it as workspace/project, the end of",
        ),
        (
            "sources.bikes.roboflow.format",
            "",
            "sources.bikes.roboflow.format: '' is given; Roboflow's word for a format of its export is needed",
        ),
        (
            "sources.cars.format",
            "kitti",
            "sources.cars.format: there is no format 'kitti'; known are auto, yolo, coco, ",
        ),
        ("sources.yard.boxes.use", "all", "sources.yard.boxes.use is 'all'; one of whole, crop is needed"),
        # keys that do not go together
        (
            "curate.fractions.train",
            0.8,
            "curate.fractions: train, val and test must add up to 1; they add up to 1.1",
        ),
        (
            "curate.fractions.test",
            0.15000001,
            "curate.fractions: train, val and test must add up to 1; they add up to 1.00000001",
        ),
        (
            "sources.street.kind",
            "kaggle",
            "sources.street: kind kaggle needs the key kaggle, and no other kind's; it has ['sample']",
        ),
        (
            "sources.street.archive",
            {"path": "a.zip"},
            "sources.street: kind sample needs the key sample, and no other kind's; it has ['archive', 'sample']",
        ),
        (
            "backbones.resnet18",
            {"weights": "weights/resnet18.pth"},
            "backbones.resnet18: weights 'weights/resnet18.pth' is a file: state its sha256 beside it",
        ),
        ("backbones.resnet18", {"weights": "resnet18.pth"}, "weights 'resnet18.pth' is a file: state its sha256"),
        (
            "backbones.resnet50.sha256",
            "d" * 64,
            "backbones.resnet50: sha256 belongs to a file of weights, and 'IMAGENET1K_V1' is none; leave it out",
        ),
        (
            "curate.backbone",
            "vgg16",
            "  curate.backbone is 'vgg16'; backbones has resnet50, mobilenet_v2, tuned, resnet18",
        ),
        *(
            (
                f"backbones.{name}",
                {"architecture": "resnet18", "weights": "random"},
                f"backbones: '{name}' is what ensembles are called by; take another name",
            )
            for name in ("mean", "student", "best")
        ),
        (
            "ensemble.student",
            "vgg16",
            "  ensemble.student is 'vgg16'; backbones has resnet50, mobilenet_v2, tuned, resnet18",
        ),
        (
            "labels.by_source.field",
            {"classes": {}, "ignore": []},
            "  labels.by_source names 'field'; sources has street, yard, cars, bikes",
        ),
        (
            "labels.classes.truck",
            ["Carro"],
            "  labels: the alias 'Carro' is listed under 'car' and 'truck'; keep it in one",
        ),
        ("labels.ignore", ["CAR"], "  labels: the alias 'CAR' is listed under 'car' and 'ignore'; keep it in one"),
        (
            "labels.by_source.yard.ignore",
            ["Machine"],
            "  labels.by_source.yard: the alias 'Machine' is listed under 'truck' and 'ignore'; keep it in one",
        ),
        (
            "labels.by_source.yard.classes",
            {"lorry": ["x"]},
            "  labels.by_source.yard names class 'lorry'; known: car, truck",
        ),
    ],
)
def test_a_mistake_is_described_by_its_path_with_what_was_found_and_what_is_allowed(
    path: str, value: Any, line: str
) -> None:
    message = message_about(changed(path, value))
    assert message.startswith("params.yaml has 1 mistake(s):\n  ")
    assert line in message
    assert len(message.splitlines()) == 2
    assert "Value error" not in message


def test_mistakes_of_several_sections_are_listed_at_once() -> None:
    params = changed("train.lr", -1)
    params["ingest"] = {"min_side_px": "32", "max_pixels": 1}
    lines = message_about(params).splitlines()
    assert lines[0] == "params.yaml has 3 mistake(s):"
    assert [line.split(" is ")[0] for line in lines[1:]] == [
        "  ingest.min_side_px",
        "  ingest.max_side_px",
        "  train.lr",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("labels: {classes: {1: [x]}}", "labels.classes has the key 1, which is no string; write it in quotes: '1'"),
        ("true: {}", "the file has the key True, which is no string; write it in quotes: 'True'"),
        (
            "labels: {ignore: [2024-05-06]}",
            "labels.ignore.0 is datetime.date(2024, 5, 6): a string is needed; write it in",
        ),
        ("train: {lr: 2024-05-06 07:08:09}", "train.lr is datetime.datetime(2024, 5, 6, 7, 8, 9): a string is needed"),
    ],
)
def test_what_only_yaml_can_hold_is_to_be_written_in_quotes(tmp_path: Path, text: str, line: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    assert line in message_about(read_params(tmp_path / "params.yaml"))


def test_problems_across_sections_are_listed_at_once() -> None:
    params = changed("curate.backbone", "vgg16")
    params["sources"]["cars"]["format"] = "kitti"
    params["train"]["trainable_backbone_layers"] = {"vgg16": 5}
    assert [line.split()[0] for line in message_about(params).splitlines()[1:]] == [
        "sources.cars.format:",
        "curate.backbone",
        "train.trainable_backbone_layers",
    ]


@pytest.mark.parametrize("kind", ["sample", "archive", "kaggle", "roboflow"])
def test_a_kind_needs_its_key(kind: str) -> None:
    params = changed("sources.street", {"kind": kind, "format": "auto"})
    line = f"sources.street: kind {kind} needs the key {kind}, and no other kind's; it has []"
    assert message_about(params).splitlines()[1:] == [f"  {line}"]


def test_an_unknown_kind_is_named_with_the_known_ones() -> None:
    params = changed("sources.street.kind", "flickr")
    line = "sources.street: kind is 'flickr'; one of these is needed: sample, archive, kaggle, roboflow"
    advice = "files from elsewhere are downloaded by hand, and are a source of `kind: archive`"
    assert message_about(params).splitlines()[1:] == [f"  {line}; {advice}"]


def test_ray_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(
        ParamsError, match=r"runtime\.cluster is 'auto', and Ray is not installed; .*'tandem\[cluster\]'"
    ):
        schema.check_params(changed("runtime.cluster", "auto"))


def test_a_logger_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    assert "the package dvclive is not installed; install it" in message_about(GOOD)


def leaves(value: Any, *above: str) -> Iterator[str]:
    """The path of each section and of each value in it."""
    if above:
        yield ".".join(above)
    for name, item in value.items() if isinstance(value, dict) else ():
        yield from leaves(item, *above, name)


@pytest.mark.parametrize("path", [path for path in leaves(GOOD) if path.count("sources") <= 1])
def test_whatever_stands_at_a_key_is_met_in_our_own_words(path: str) -> None:
    others = (
        None,
        True,
        -1,
        2.5,
        1e308,
        2**64,
        float("inf"),
        "",
        "x" * 5000,
        [],
        {},
        [1],
        ["a"],
        {"a": 1},
        [[]],
        [None],
    )
    for value in others:
        try:
            schema.check_params(changed(path, value))
        except ParamsError as error:
            for line in str(error).splitlines()[1:]:
                assert not re.search("Input should|valid|ctx|Value error|NoneType|JSON", line), line
                assert len(line) < 700
