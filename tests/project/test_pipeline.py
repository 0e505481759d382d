"""What reruns and what does not, and errors, as a user meets them: the real dvc in scratch clones.

One clone runs the whole pipeline once; each test works in a copy of it, so none depends on another. Together they take
some three minutes on two cores.
"""

import hashlib
import re
from collections import Counter

import pytest
import torch
from torchvision import models

from rerun_costs import read_counts
from scratch_project import (
    AFTER_CURATION,
    AFTER_TRAINING,
    ALL,
    CONVERTS,
    CURATES,
    DOWNLOADS,
    EXTRACTS,
    FINETUNES,
    INGESTS,
    OTHER,
    TRAINS,
    Clone,
    build_wheel,
    make_own_project,
    read_csv,
    read_json,
    wait_until_left,
)
from tandem.projects.template import template_files

pytestmark = pytest.mark.slow
NUM_IMAGES = 49  # of another content each


def partial_files(clone):
    return [path for path in clone.root.rglob("*.partial") if ".git" not in path.parts]


def split_sizes(clone):
    return Counter(row["split"] for row in read_csv(clone.root / "data/curate/samples.csv"))


# --- the first run


def test_first_run_runs_every_stage_once(first):
    _, run, _ = first
    assert run.ran == ALL
    assert run.text.count("Running stage") == len(ALL)


def test_every_stage_says_in_one_line_what_it_did_and_how_long_it_took(first):
    for stage in ALL:
        assert re.search(rf"^{stage}: .*\d.*, \d+\.\d s$", first[1].text, re.MULTILINE), stage


def test_the_first_run_ends_with_the_scores_in_sight(first):
    clone, run, _ = first
    end = run.text[run.text.index("\ntest: ") :]
    models = read_json(clone.root / "metrics" / "evaluate.json")["models"]
    assert {*models, "exported"} <= {line.split(" ")[0] for line in end.splitlines()}
    assert "top-1 accuracy  macro F1  log loss    ECE" in end
    assert len(end.splitlines()) <= len(models) + 10


def test_git_sees_nothing_new_but_the_lock_and_the_summary(first):
    assert first[2] == ["A  dvc.lock", "?? metrics/summary.json"]


def test_planted_duplicates_labels_and_corrupt_files_are_in_the_metrics(first):
    merge, curate = (read_json(first[0].root / "metrics" / name) for name in ("merge.json", "curate.json"))
    assert merge["byte_duplicates"] == 1
    assert merge["excluded"] == {"ignored_label": 1, "not_an_image": 1}
    assert curate["near_duplicate_pairs"] == curate["duplicates_excluded"] == 1


def test_second_run_runs_nothing(clone):
    again = clone.repro()
    assert again.ran | again.restored == set()
    assert "Data and pipelines are up to date." in again.text
    assert clone.git("status", "--porcelain") == ""


# --- a change reruns what it must, and nothing else


def test_a_split_fraction_reruns_from_curation_on(clone):
    before = split_sizes(clone)
    clone.change("curate.fractions", {"train": 0.4, "val": 0.35, "test": 0.25})
    assert clone.repro("curate").ran == {"check", "curate"}
    assert clone.outdated() == AFTER_CURATION
    assert split_sizes(clone)["val"] > before["val"]


def test_a_threshold_that_finds_the_same_pairs_reruns_curation_alone(clone):
    clone.change("curate.candidates.max_hash_distance", 23)
    assert clone.repro().ran == {"check", "curate"}


def test_an_alias_that_changes_no_label_reruns_the_merge_alone(clone):
    clone.change("labels.classes.disc", ["disco", "wheel"])
    assert clone.repro().ran == {"check", "merge"}


def test_the_first_run_decodes_images_and_passes_each_through_each_backbone_once(first):
    counts = read_counts(first[0].root.with_name("counts.csv"))
    assert counts["ingest", "decode"] > 0
    assert counts["curate", "decode"] > 0  # what is stored of candidates for near duplicates
    assert counts["extract", "decode"] == NUM_IMAGES  # once for all backbones
    assert counts["extract", "pass"] == len(EXTRACTS) * NUM_IMAGES


def test_an_alias_that_moves_images_to_another_class_decodes_none_and_passes_none_through_a_frozen_backbone(clone):
    clone.change("labels.classes", {"disc": ["disco", "barras"], "bars": [], "corner": ["canto"]})
    again = clone.counting(path := clone.root.with_suffix(".csv")).repro("curate", f"convert@{CURATES}")
    assert again.ran == {"check", "merge", "curate", f"finetune@{CURATES}", f"convert@{CURATES}"}
    assert f"convert@{CURATES}: features of " in again.text
    assert read_counts(path) == {}


def test_a_class_renamed_and_one_ignored_label_more_decode_no_image_and_pass_none_through_a_backbone(clone):
    labels = {"classes": {"disk": ["disc", "disco"], "bars": ["barras"], "corner": []}, "ignore": ["blot", "canto"]}
    clone.change("labels", {**clone.params()["labels"], **labels})
    again = clone.counting(path := clone.root.with_suffix(".csv")).repro("curate", *EXTRACTS)
    assert again.ran == {"check", "merge", "curate", *EXTRACTS}
    assert again.text.count(" images, 0 of them new, ") == 2
    assert read_counts(path) == {}
    assert {row["label"] for row in read_csv(clone.root / "data/curate/samples.csv")} == {"disk", "bars", "corner"}


def test_another_lr_decodes_no_image_and_passes_none_through_a_backbone(clone):
    clone.change("train.lr", 0.01)
    again = clone.counting(path := clone.root.with_suffix(".csv")).repro()
    assert {f"train@{CURATES}", "ensemble", "export", "evaluate"} <= again.ran
    assert read_counts(path) == {}


def test_an_unfrozen_backbone_is_fine_tuned_and_the_other_one_is_not(first):
    summary = {name: read_json(first[0].root / f"metrics/finetune/{name}.json") for name in (CURATES, OTHER)}
    assert summary[CURATES] == {"trainable_backbone_layers": 0}
    assert (summary[OTHER]["trainable_backbone_layers"], summary[OTHER]["kept_epoch"]) == (5, 1)


def test_a_parameter_of_a_fine_tune_reruns_no_model_of_a_frozen_backbone(clone):
    clone.change("finetune.lr", 0.01)
    assert clone.repro(*TRAINS).ran == {"check", f"train@{OTHER}"} | FINETUNES


def test_scores_on_other_splits_are_asked_for_without_any_other_work(clone):
    clone.change("evaluate.num_splits", 2)
    again = clone.repro()
    assert again.ran == {"check", "repeated_splits", "evaluate"}
    assert "\nselected on each of 2 splits: top-1 accuracy " in again.text
    summary = read_json(clone.root / "metrics" / "repeated_splits.json")
    assert len(summary["seeds"]) == 2
    assert set(summary["models"]) >= {CURATES, "mean", "stack"}
    rows = read_csv(clone.root / "metrics" / "repeated_splits.csv")
    assert {row["seed"] for row in rows} == set(map(str, summary["seeds"]))


def test_a_knob_that_changes_no_result_reruns_no_work(clone):
    before = clone.lock()
    clone.change(
        "runtime",
        {
            "workers": 2,
            "batch_size": 5,
            "device": "cpu",
            "logger": "dvclive",
            "feature_cache_gb": 0,
            "cluster": None,
            "shards": None,
        },
    )
    assert clone.repro().ran == {"check"}
    assert clone.lock() == before


def test_a_change_of_code_reruns_the_stages_that_run_it(clone):
    for module in ("evaluation/selective.py", "datasets/formats/yolo.py", "cli/main.py"):
        path = clone.root / "src" / "tandem" / module
        path.write_text(path.read_text() + "\n# another comment\n")
    assert clone.repro().ran == {"check", *INGESTS, "repeated_splits", "export", "evaluate"}


# --- a change of params.yaml alone is enough


def test_a_backbone_is_added_and_removed_by_the_parameters_alone(clone):
    before, backbones = clone.metrics(), clone.params()["backbones"]
    new, path = "squeezenet_from_a_file", clone.root.with_name("weights.pth")
    torch.manual_seed(3)
    torch.save(models.get_model(OTHER, weights=None).state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    clone.change(f"backbones.{new}", {"architecture": OTHER, "weights": str(path), "sha256": digest})
    branch = {f"{stage}@{new}" for stage in ("extract", "finetune", "train")}
    assert clone.repro("study", f"train@{new}").ran == {"check", "study"} | branch
    assert clone.outdated() == {f"convert@{new}", "label_errors"} | AFTER_TRAINING
    assert new in {row["model"] for row in read_csv(clone.root / "metrics" / "study.csv")}
    clone.change("backbones", backbones)
    assert clone.repro().ran == {"check"}
    assert clone.metrics() == before
    assert [path for path in clone.root.glob("[dm]*/*/*") if path.stem == new] == []


def test_a_source_is_added_by_the_parameters_alone(first, clone):
    more = {"kind": "archive", "archive": {"path": str(first[0].root.with_name("sources") / "more")}, "format": "auto"}
    clone.change("sources.more", more)
    again = clone.repro("curate")
    assert again.ran == {"check", "download@more", "ingest@more", "merge", f"extract@{CURATES}", "curate"}
    assert f"extract@{CURATES}: 55 images, 6 of them new, " in again.text
    assert read_json(clone.root / "metrics" / "merge.json")["sources"]["more"] == 6
    assert read_json(clone.root / "data" / "download" / "receipts" / "more.json")["source"] == "more"


# --- the results, and of what they are


def test_results_say_of_which_parameters_and_data_they_are(first, clone):
    text = clone.run("tandem", "results").stdout
    root = first[0].root.with_name("sources")
    assert text.startswith("data: 49 images, 48 used, of ")
    assert {f"web (archive, path {root}/web)", f"exports (archive, path {root}/exports.zip)"} == set(
        text.splitlines()[0].partition(" used, of ")[2].split("; ")
    )
    assert "\nparameters: as in params.yaml\n" in text
    clone.change("train.lr", 0.5)
    clone.change("runtime.workers", 2)
    text = clone.run("tandem", "results").stdout
    assert "results of OTHER PARAMETERS" in text
    assert [line for line in text.splitlines() if ", now " in line] == ["  train.lr: 0.001, now 0.5"]
    clone.git("checkout", "params.yaml")
    decisions = clone.root / "data/review/decisions.csv"
    decisions.write_text(decisions.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert "OUT OF DATE: `dvc repro` would run curate again" in clone.run("tandem", "results").stdout


def test_results_after_a_run_that_failed_on_the_way_are_out_of_date(clone):
    stage = clone.root / "stages" / "ensemble.py"
    stage.write_text(stage.read_text(encoding="utf-8").replace("def main()", "1 / 0\n\n\ndef main()"))
    assert clone.repro(check=False).code != 0
    text = clone.run("tandem", "results").stdout
    assert "OUT OF DATE: `dvc repro` would run ensemble, ood, export, evaluate again" in text
    assert "parameters: as in params.yaml" not in text


def test_a_clone_that_has_run_nothing_shows_no_results_as_its_own(first, tmp_path):
    first[0].git("clone", "-q", str(first[0].root), str(tmp_path / "clone"))
    fresh = Clone(tmp_path / "clone", first[0].settings)
    assert (fresh.root / "metrics" / "summary.json").is_file()
    done = fresh.run("tandem", "results", check=False)
    assert done.returncode == 1
    assert "error: nothing has run in this folder yet" in done.stdout


# --- the same inputs and parameters give the same bytes


def test_running_the_stages_again_gives_the_same_bytes_in_a_project_of_the_installed_package(first, work):
    """All but extract and convert, of which tests/features and tests/inference say the same.

    The project is one of `tandem init`, and the package that of the wheel: nothing of the clone is there but its
    parameters and outputs.
    """
    clone, stages = first[0], ALL - EXTRACTS - CONVERTS
    project = make_own_project(work / "own/project", clone, site=build_wheel(work / "wheel"))
    assert [name for name, content in template_files().items() if (project.root / name).read_bytes() != content] == []
    assert not (project.root / "src").exists()
    assert project.repro("--force", "--single-item", *sorted(stages)).ran == stages
    assert (project.lock(), project.metrics()) == (clone.lock(), clone.metrics())
    before, after = clone.stages(), project.stages()
    assert [entry.pop("deps")[1]["path"] for entry in (before["check"], after["check"])] == [
        "src/tandem",
        "requirements.txt",
    ]
    assert after == before
    assert project.repro().ran == set()
    assert project.git("status", "--porcelain").split() == ["M", "dvc.lock"]  # by what its check depends on
    wait_until_left(project.root)


# --- errors


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("train.lr", -1, "train.lr is -1; a "),
        ("train.leaning_rate", 0.1, "'leaning_rate' is not a parameter here"),
        ("curate.backbone", "alexnet", "curate.backbone is 'alexnet'"),
    ],
)
def test_a_wrong_parameter_stops_in_the_check_before_any_work(clone, key, value, message):
    before = tree(clone)
    clone.change(key, value)
    run = clone.repro(check=False)
    assert run.code != 0
    assert run.ran == {"check"}
    assert message in run.text
    assert_clean_failure(clone, run)
    assert tree(clone) == {path for path in before if not path.startswith("data/check/")}


def test_what_dvc_itself_cannot_read_is_explained_by_the_command(clone):
    clone.change("sources.web.kind", None)
    run = clone.repro(check=False)
    assert run.code != 0
    assert run.ran == set()
    assert "Traceback" not in run.text
    assert "sources.web.kind is missing" in clone.run("tandem", "check", check=False).stdout


@pytest.mark.parametrize(
    ("key", "value", "stage", "message"),
    [
        ("labels.ignore", [], "merge", "web has label 'blot' (1 image)"),
        (
            "sources.web",
            {"kind": "roboflow", "roboflow": {"project": "a/b", "version": 1, "format": "folder"}, "format": "auto"},
            "download@web",
            "source web (roboflow: project a/b, version 1, format folder): no credentials for Roboflow were found",
        ),
        (
            "sources.web",
            {"kind": "archive", "archive": {"path": "nowhere.zip"}, "format": "auto"},
            "check",
            "nowhere.zip; put it there, or correct the path",
        ),
    ],
    ids=["label without a class", "no credentials", "missing archive"],
)
def test_a_stage_that_cannot_go_on_says_why_and_leaves_nothing_half_written(clone, key, value, stage, message):
    before = tree(clone)
    clone.change(key, value)
    run = clone.repro(check=False)
    assert run.code != 0
    assert stage in run.ran <= {"check", *DOWNLOADS, *INGESTS, "merge"}
    assert run.text.count("\nerror: ") == 1
    assert message in run.text
    assert_clean_failure(clone, run)
    lost = before - tree(clone)
    assert tree(clone) <= before
    assert {
        path
        for path in lost
        if not path.startswith(("data/check/", "data/merge/", "data/ingest/", "data/download/", "metrics/merge.json"))
    } == set()
    clone.git("checkout", "params.yaml")
    assert clone.repro().ran == {"check"}
    assert tree(clone) == before


def assert_clean_failure(clone, run):
    assert "Traceback" not in run.text
    assert partial_files(clone) == []


def tree(clone):
    """All files of data/ and metrics/."""
    found = (path for name in ("data", "metrics") for path in (clone.root / name).rglob("*") if path.is_file())
    return {path.relative_to(clone.root).as_posix() for path in found if path.suffix != ".lock"}


def test_no_database_or_worker_outlives_the_runs(first):
    wait_until_left(first[0].root.parent)
