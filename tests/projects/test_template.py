"""The files of a project: tandem's own, each where it lies in the repository."""

import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tandem.errors import DataError
from tandem.projects.template import WORKFLOW, preset, preset_names, readme, repository, template_files

ROOT = Path(__file__).resolve().parents[2]
FILES = template_files()
ONLY_IN_PROJECTS = {WORKFLOW}
# What git has and is of tandem alone.
NOT_IN_PROJECTS = (
    ".ci/", ".github/", "benchmarks/", "docs/", "src/", "tests/", ".dockerignore", ".editorconfig",
    ".pre-commit-config.yaml", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "Dockerfile", "LICENSE", "Makefile",
    "README.md", "dvc.lock", "metrics/summary.json", "params.yaml", "pyproject.toml", "requirements.lock",
    "stages/ruff.toml",
)  # fmt: skip


def yaml(text):
    return YAML(typ="safe", pure=True).load(text)


def test_each_file_is_that_of_the_repository_but_for_what_the_stage_check_depends_on():
    assert repository() == ROOT
    same = {name for name in FILES if (ROOT / name).is_file() and FILES[name] == (ROOT / name).read_bytes()}
    assert set(FILES) - same == {"dvc.yaml", *ONLY_IN_PROJECTS}
    ours = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    assert FILES["dvc.yaml"].decode() == ours.replace("      - src/tandem\n", "      - requirements.txt\n")
    assert yaml(FILES["dvc.yaml"])["stages"]["check"]["deps"] == ["stages", "requirements.txt", "params.yaml"]


def test_each_file_that_git_has_is_of_projects_or_of_tandem_alone():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split(
        "\n"
    )
    ours = {name for name in listed if name and (ROOT / name).is_file() and not name.startswith(NOT_IN_PROJECTS)}
    assert ours | {"presets/sample.yaml"} == set(FILES) - ONLY_IN_PROJECTS


def test_a_preset_that_there_is_not_is_told_with_those_there_are():
    assert preset_names(FILES) == ["sample", "scenes", "vehicles"]
    assert preset("scenes", FILES) == (ROOT / "presets/scenes.yaml").read_text(encoding="utf-8")
    with pytest.raises(DataError, match="there is no preset 'flowers'; there are sample, scenes, vehicles: `--preset"):
        preset("flowers", FILES)


def test_the_readme_is_of_the_project_and_shorter_than_a_screen():
    text = readme("flowers").decode()
    assert text.startswith("# flowers\n")
    assert "NAME" not in text
    assert len(text.splitlines()) <= 40


def test_the_workflow_runs_checks_tests_and_compares():
    (job,) = yaml(FILES[WORKFLOW])["jobs"].values()
    commands = "\n".join(step.get("run", "") for step in job["steps"])
    asked = [
        "tandem check\n",
        "dvc repro\n",
        "tandem check --outputs",
        "pytest tests",
        "dvc metrics diff --md",
        "gh pr comment",
    ]
    assert [commands.index(command) for command in asked] == sorted(commands.index(command) for command in asked)
    assert "${{" not in commands  # what a branch is called is no part of a command
