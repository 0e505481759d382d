"""The numbers of each stage are those of a direct call on the right split, the right features and the right groups.

The real scripts run in a folder of planted tables: backbones whose extracted and fine-tuned features differ, models
that are better on one split and worse on another, groups of several images.
"""

import csv
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics
from scipy import special

from factories import samples_of
from planted_project import plant_tables, stage
from tandem.curation.label_errors.listing import label_error_summary, list_issues
from tandem.curation.label_errors.scores import find_label_issues
from tandem.curation.settings import CurateSettings, LabelErrorSettings
from tandem.evaluation.bootstrap import paired_difference, score_intervals
from tandem.evaluation.conformal import ood_threshold
from tandem.evaluation.scores import predictions_on
from tandem.evaluation.settings import EvaluateSettings
from tandem.evaluation.summary import results_text
from tandem.files import read_csv, read_json, write_csv, write_json
from tandem.ood.detector import fit_detectors, load_detector, load_ood_scores
from tandem.ood.settings import OodSettings
from tandem.ood.summary import ood_summary
from tandem.pipeline.params import read_params, section
from tandem.studies.grid import study, study_summary
from tandem.studies.repeated_splits import repeat_splits, repeated_splits_summary
from tandem.studies.settings import StudySettings
from tandem.tables.index import load_index
from tandem.tables.logits import Logits, load_logits, load_logits_of, save_logits, save_model_library
from tandem.tables.samples import SPLITS, Samples
from tandem.training.ensembles import KINDS, EnsembleInputs, combine_all
from tandem.training.heads import head_summary
from tandem.training.out_of_fold import train_with_folds
from tandem.training.selection import ensemble_summary, select_model
from tandem.training.settings import EnsembleSettings, TrainSettings
from tandem.training.task import head_task

BACKBONES = ("resnet50", "mobilenet_v2")
NUM_IMAGES = 120


def planted_samples() -> Samples:
    """Groups of two images, split by group; of validation there are fewer than of test."""
    rng = np.random.default_rng(0)
    splits = rng.permutation(np.repeat(SPLITS, (31, 14, 15))).repeat(2).tolist()
    groups = [f"g{row // 2:03}" for row in range(NUM_IMAGES)]
    return samples_of((np.arange(NUM_IMAGES) // 2 % 3).tolist(), splits, groups=groups)


SAMPLES = planted_samples()


def features_of(seed: int) -> dict[str, np.ndarray]:
    """Backbone -> (N, 2, D): two TTA views that differ, in which the class is visible through noise."""
    rng = np.random.default_rng(seed)
    signal = np.eye(3)[SAMPLES.targets][:, None]
    return {
        name: np.pad(signal, ((0, 0), (0, 0), (0, dim - 3))) + rng.normal(size=(NUM_IMAGES, 2, dim))
        for name, dim in zip(BACKBONES, (5, 7), strict=True)
    }


EXTRACTED, TUNED = ({name: x.astype(np.float32) for name, x in features_of(seed).items()} for seed in (1, 2))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    plant_tables(folder := tmp_path_factory.mktemp("base"), SAMPLES, extracted=EXTRACTED, tuned=TUNED)
    return folder


@pytest.fixture
def project(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(base, folder := tmp_path / "project")
    monkeypatch.chdir(folder)
    return folder


def settings_of(name: str, kind: type):
    return section(read_params(), name, kind)


def rounded(value):
    """As write_json leaves it."""
    write_json(path := Path("rounded.json"), value)
    return read_json(path)


def trained_directly(name: str):
    task = head_task(TUNED[name], SAMPLES, settings_of("train", TrainSettings), name)
    return train_with_folds(task)


def test_train_fits_the_tuned_features_of_all_views_and_tells_validation(project: Path) -> None:
    stage("train").main("resnet50")
    trained, out_of_fold = trained_directly("resnet50")
    folder = project / "data/train/resnet50"
    assert load_logits(folder / "logits.npz").values.tobytes() == trained.logits.tobytes()
    assert load_logits(folder / "out_of_fold.npz").values.tobytes() == out_of_fold.tobytes()
    assert out_of_fold[SAMPLES.train.rows].tobytes() != trained.logits[SAMPLES.train.rows].tobytes()
    found = read_json(project / "metrics/train/resnet50.json")
    assert found == rounded(head_summary(trained, SAMPLES))
    for name, split in (("val", SAMPLES.val), ("train", SAMPLES.train)):
        probs = special.softmax(trained.logits[split.rows].astype(float), axis=1)
        assert found[f"{name}_loss"] == pytest.approx(sklearn.metrics.log_loss(split.targets, probs), abs=2e-6)


def test_ensemble_combines_what_was_trained_and_stacks_what_no_head_has_seen(project: Path) -> None:
    trained = {name: trained_directly(name) for name in BACKBONES}
    for name, (head, out_of_fold) in trained.items():
        for stem, values in (("logits", head.logits), ("out_of_fold", out_of_fold)):
            save_logits(Logits(SAMPLES.ids, SAMPLES.class_names, values), project / f"data/train/{name}/{stem}.npz")
    library = {"other": np.random.default_rng(0).normal(size=(NUM_IMAGES, 3)).astype(np.float32)}
    named = {"ids": SAMPLES.ids, "class_names": SAMPLES.class_names}
    save_model_library(library, **named, path=project / "data/study/library.npz")
    stage("ensemble").main()

    settings, train = settings_of("ensemble", EnsembleSettings), settings_of("train", TrainSettings)
    logits, out_of_fold = ({name: both[at] for name, both in trained.items()} for at in (0, 1))
    inputs = EnsembleInputs(
        SAMPLES, TUNED, {name: head.logits for name, head in logits.items()}, out_of_fold, library, train, settings
    )
    direct = combine_all(inputs)
    found = load_logits_of({kind: project / "data/ensemble" / kind for kind in KINDS}, **named)
    assert {kind: values.tobytes() for kind, values in found.items()} == {
        kind: ensemble.logits.tobytes() for kind, ensemble in direct.items()
    }
    selected = select_model(settings.kind, direct, SAMPLES.val, singles=BACKBONES)
    assert read_json(project / "data/ensemble/selected.json") == {"selected": selected, "kinds": list(KINDS)}
    summary = ensemble_summary(direct, SAMPLES.val, selected=selected)
    assert read_json(project / "metrics/ensemble.json") == rounded(summary)


@pytest.mark.parametrize("kind", ["mean", "stack", "feature"])
def test_the_ensemble_that_is_asked_for_is_selected(kind: str, project: Path) -> None:
    text = (project / "params.yaml").read_text(encoding="utf-8")
    assert "  kind: best " in text
    (project / "params.yaml").write_text(text.replace("  kind: best ", f"  kind: {kind} "), encoding="utf-8")
    for name in BACKBONES:
        head, out_of_fold = trained_directly(name)
        for stem, values in (("logits", head.logits), ("out_of_fold", out_of_fold)):
            save_logits(Logits(SAMPLES.ids, SAMPLES.class_names, values), project / f"data/train/{name}/{stem}.npz")
    named = {"ids": SAMPLES.ids, "class_names": SAMPLES.class_names}
    save_model_library({"other": np.zeros((NUM_IMAGES, 3))}, **named, path=project / "data/study/library.npz")
    stage("ensemble").main()
    assert read_json(project / "data/ensemble/selected.json")["selected"] == kind


def model(*, val: float, test: float, seed: int = 0) -> np.ndarray:
    """(N, 3) logits that are right on these fractions of validation and test; right on all of train."""
    rng, logits = np.random.default_rng(seed), np.zeros((NUM_IMAGES, 3), dtype=np.float32)
    logits[np.arange(NUM_IMAGES), SAMPLES.targets] = rng.uniform(1, 3, NUM_IMAGES)
    for split, fraction in ((SAMPLES.val, val), (SAMPLES.test, test)):
        wrong = split.rows[round(fraction * len(split)) :]
        logits[wrong] = np.roll(logits[wrong], 1, axis=1)
    return logits


@pytest.fixture
def evaluated(project: Path, capsys: pytest.CaptureFixture) -> Path:
    models = {
        "train/resnet50": model(val=0.9, test=0.4),
        "train/mobilenet_v2": model(val=0.5, test=0.9, seed=1),
        "ensemble/mean": model(val=1.0, test=0.6, seed=2),
        "ensemble/stack": model(val=0.7, test=0.8, seed=3),
        "ensemble/student": model(val=0.8, test=0.7, seed=4),
    }
    for name, values in models.items():
        save_logits(Logits(SAMPLES.ids, SAMPLES.class_names, values), project / f"data/{name}/logits.npz")
    write_json(project / "data/ensemble/selected.json", {"selected": "mean", "kinds": ["mean", "stack", "student"]})
    exported = Logits(SAMPLES.test.ids, SAMPLES.class_names, model(val=0, test=0.3)[SAMPLES.test.rows])
    save_logits(exported, project / "data/export/logits.npz")
    write_json(project / "metrics/curate.json", {"near_duplicate_pairs": 7, "images": 130})
    write_json(project / "metrics/label_errors.json", {"label_issues": 5})
    write_json(project / "metrics/repeated_splits.json", {"seeds": []})
    write_csv(project / "data/train/resnet50/curves.csv", [{"epoch": 1, "val_loss": 0.5}])
    stage("evaluate").main()
    (project / "printed.txt").write_text(capsys.readouterr().out)
    return project


def test_evaluate_scores_test_and_compares_with_the_model_that_is_best_on_validation(evaluated: Path) -> None:
    found = read_json(evaluated / "metrics/evaluate.json")
    accuracy = {name: scores["top1_accuracy"] for name, scores in found["models"].items()}
    expected = {"resnet50": 0.4, "mobilenet_v2": 0.9, "mean": 0.6, "stack": 0.8, "student": 0.7}
    assert accuracy == pytest.approx(expected, abs=1e-6)
    assert found["selected"]["model"] == "mean"
    assert found["selected_minus_best_single"]["single"] == "resnet50"
    assert found["selected_minus_best_single"]["top1_accuracy"]["value"] == pytest.approx(0.6 - 0.4)
    assert found["student_minus_selected"]["top1_accuracy"]["value"] == pytest.approx(0.7 - 0.6)
    assert found["exported"]["top1_accuracy"] == pytest.approx(0.3, abs=1e-6)
    assert (found["images"], found["groups"]) == (30, 15)
    sizes = {"0-127": 100, "128-255": 200, "256-511": 300}
    sides = load_index(Path("data/merge/index.csv")).min_sides[SAMPLES.test.rows]
    right = predictions_on(SAMPLES.test, load_logits(Path("data/ensemble/mean/logits.npz")).values).is_right
    for name, side in sizes.items():
        assert found["by_min_side"][name] == rounded(
            {"top1_accuracy": float(right[sides == side].mean()), "images": int((sides == side).sum())}
        )


def test_the_intervals_of_evaluate_are_over_groups_of_images(evaluated: Path) -> None:
    found, settings = read_json(evaluated / "metrics/evaluate.json"), settings_of("evaluate", EvaluateSettings)
    predictions = predictions_on(SAMPLES.test, load_logits(Path("data/ensemble/mean/logits.npz")).values)
    given = {"num_resamples": settings.num_resamples, "seed": settings.seed}
    by_group, by_image = (
        score_intervals(predictions, groups, **given)["top1_accuracy"]
        for groups in (SAMPLES.test.groups, np.array(SAMPLES.test.ids))
    )
    interval = found["models"]["mean"]["interval"]["top1_accuracy"]
    assert interval == rounded({"low": by_group.low, "high": by_group.high})
    assert interval != rounded({"low": by_image.low, "high": by_image.high})
    single = predictions_on(SAMPLES.test, load_logits(Path("data/train/resnet50/logits.npz")).values)
    compared, apart = (
        paired_difference(predictions, single, groups, **given)["log_loss"]
        for groups in (SAMPLES.test.groups, np.array(SAMPLES.test.ids))
    )
    assert found["selected_minus_best_single"]["log_loss"] == rounded(asdict(compared))
    assert compared != apart


def test_the_tables_and_the_summary_of_evaluate_are_of_the_selected_model_on_test(evaluated: Path) -> None:
    confusion = read_csv(evaluated / "metrics/confusion.csv")
    assert [row["id"] for row in confusion] == list(SAMPLES.test.ids)
    assert np.mean([row["actual"] == row["predicted"] for row in confusion]) == pytest.approx(0.6)
    rows = read_csv(evaluated / "metrics/models.csv")
    expected = {"resnet50": 0.4, "mobilenet_v2": 0.9, "mean (selected)": 0.6, "stack": 0.8, "student": 0.7}
    expected |= {"exported file": 0.3}
    assert {row["model"]: float(row["top1_accuracy"]) for row in rows} == pytest.approx(expected, abs=1e-6)
    summary = read_json(evaluated / "metrics/summary.json")
    assert (summary["selected_model"], summary["top1_accuracy"]) == ("mean", pytest.approx(0.6))
    assert (summary["near_duplicate_pairs"], summary["images"], summary["label_issues"]) == (7, 130, 5)
    text = results_text(read_json(evaluated / "metrics/evaluate.json"), {"seeds": []})
    assert text in (evaluated / "printed.txt").read_text()


def test_ood_is_of_the_tuned_features_of_the_backbones_that_the_selected_model_reads(project: Path) -> None:
    text = (project / "params.yaml").read_text(encoding="utf-8")
    assert "false_alarm_rate: 0.05 " in text  # which so few groups of validation cannot promise
    changed = text.replace("false_alarm_rate: 0.05 ", "false_alarm_rate: 0.1 ")
    (project / "params.yaml").write_text(changed, encoding="utf-8")
    write_json(project / "data/ensemble/selected.json", {"selected": "mean", "kinds": ["mean"]})
    write_json(project / "data/ensemble/mean/mean.json", {"weights": {"resnet50": 1.0}, "temperature": 1.0})
    stage("ood").main()
    detectors = fit_detectors(TUNED, SAMPLES.train)
    distances = {name: detector.distances(TUNED[name]) for name, detector in detectors.items()}
    found = read_json(project / "metrics/ood.json")
    settings, evaluate = settings_of("ood", OodSettings), settings_of("evaluate", EvaluateSettings)
    given = {"model": "mean", "read_by_model": ["resnet50"], "settings": settings, "evaluate": evaluate}
    assert found == rounded(ood_summary(distances, SAMPLES, **given))
    for name, detector in detectors.items():
        path = project / f"data/ood/{name}.npz"
        assert load_detector(path).means.tobytes() == detector.means.tobytes()
        assert load_ood_scores([path], ids=SAMPLES.ids).tolist() == distances[name].min(axis=1).tolist()
    scores, val = distances["resnet50"].min(axis=1), SAMPLES.val
    threshold = ood_threshold(scores[val.rows], val.groups, false_alarm_rate=settings.false_alarm_rate)
    assert found["threshold"] == pytest.approx(threshold, abs=1e-5)


def test_study_trains_on_the_tuned_features_and_is_scored_on_validation(project: Path) -> None:
    stage("study").main()
    train, ensemble = settings_of("train", TrainSettings), settings_of("ensemble", EnsembleSettings)
    grid = settings_of("study", StudySettings)
    direct = study(TUNED, SAMPLES, grid=grid, train=train, ensemble=ensemble, workers=1)
    assert read_json(project / "metrics/study.json") == rounded(study_summary(direct.runs))
    with (project / "metrics/study.csv").open() as file:
        rows = list(csv.DictReader(file))
    heads = {name.split(" ")[0]: model.logits for name, model in direct.library.items() if "seed=0" in name}
    for row in rows:
        if row["seed"] == "0" and row["model"] in heads:
            logits = heads[row["model"]]
            right = {split.ids: (logits[split.rows].argmax(axis=1) == split.targets).mean() for split in (SAMPLES.val,)}
            assert float(row["top1_accuracy"]) == pytest.approx(right[SAMPLES.val.ids], abs=1e-6)
    seeds = {row["seed"]: row["log_loss"] for row in rows if row["model"] == "resnet50"}
    assert len(seeds) == len(set(seeds.values())) == 2


def test_repeated_splits_train_on_the_extracted_features_and_score_test(project: Path) -> None:
    stage("repeated_splits").main()
    evaluate, curate = settings_of("evaluate", EvaluateSettings), settings_of("curate", CurateSettings)
    results = repeat_splits(
        EXTRACTED,
        SAMPLES,
        train=settings_of("train", TrainSettings),
        ensemble=settings_of("ensemble", EnsembleSettings),
        fractions=curate.fractions.by_split(),
        first_seed=curate.seed,
        num_splits=evaluate.num_splits,
        workers=1,
    )
    assert read_json(project / "metrics/repeated_splits.json") == rounded(
        repeated_splits_summary(results, settings=evaluate)
    )
    rows = read_csv(project / "metrics/repeated_splits.csv")
    assert len({row["seed"] for row in rows}) == 1
    for result in results:
        for name in ("resnet50", result.selected):
            (row,) = (row for row in rows if (row["seed"], row["model"]) == (str(result.seed), name))
            test = result.samples.test
            right = (result.logits[name][test.rows].argmax(axis=1) == test.targets).mean()
            assert float(row["top1_accuracy"]) == pytest.approx(right, abs=1e-6)


def test_label_errors_are_of_the_extracted_features(project: Path) -> None:
    stage("label_errors").main()
    settings = settings_of("label_errors", LabelErrorSettings)
    issues = find_label_issues(EXTRACTED, SAMPLES, settings=settings)
    listed = list_issues(issues, SAMPLES, load_index(Path("data/merge/index.csv")), fraction=settings.fraction)
    assert read_json(project / "metrics/label_errors.json") == rounded(label_error_summary(issues, SAMPLES, listed))
    assert [row["id"] for row in read_csv(project / "metrics/label_errors.csv")] == [row["id"] for row in listed]
