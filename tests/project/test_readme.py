"""What the README claims, held against the files that it speaks of."""

import re
from pathlib import Path

import pytest

from tandem.evaluation import summary
from tandem.files import read_csv, read_json

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMITTED = ROOT / "dvc.lock"


def test_every_path_that_the_readme_names_in_code_exists_or_is_an_output():
    named = set(re.findall(r"`((?:src|stages|presets|benchmarks|tests|metrics|requirements)[\w./-]*)`", README))
    missing = {name for name in named if not (ROOT / name).exists() and not name.startswith("metrics/")}
    assert named > {"requirements.lock"}
    assert missing == set()


def test_the_readme_s_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"\bmake (\w+)", README)) - {"installs"}
    assert {"run", "test", "check"} <= targets
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets), targets


def test_ci_calls_the_readme_s_commands():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert all(f"\nmake {target}\n" in script for target in ("run", "check", "test"))


@pytest.mark.skipif(not COMMITTED.is_file(), reason="no run of the pipeline is there to compare with")
def test_the_sample_s_table_in_the_readme_is_that_of_the_metrics():
    """As committed; a run on another processor may differ in the last digit, so half a point is allowed."""
    scores = read_json(ROOT / "metrics" / "evaluate.json")
    stated = dict(re.findall(r"^\| (\w+)(?: \(selected\))? \| ([\d.]+) \(", README, re.MULTILINE))
    models = scores["models"]
    assert set(models) <= set(stated)
    assert all(abs(float(stated[name]) - models[name]["top1_accuracy"]) < 0.05 for name in models)
    assert scores["selected"]["model"] in summary.format_results(scores)


@pytest.mark.skipif(not (ROOT / "metrics" / "study.csv").is_file(), reason="the pipeline has not run here")
def test_the_readme_s_study_has_the_pairs_of_the_metrics():
    pairs = {(row["lr"], row["batch_size"]) for row in read_csv(ROOT / "metrics" / "study.csv")}
    assert all(f"| {lr} | {batch_size} |" in README for lr, batch_size in pairs)
