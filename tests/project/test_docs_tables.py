"""The tables of the docs, held against what they describe: parameters, ensembles, the twelve changes, the renames."""

import re

import pytest

from pages import BODIES, CHANGELOG, CONTRIBUTING, PAGES, ROOT, fences, leaves, outputs, rel, text_of, yaml
from tandem.sources.download import KINDS as SOURCE_KINDS
from tandem.training.ensembles import KINDS as ENSEMBLE_KINDS

PARAMETERS, ENSEMBLES = ROOT / "docs/parameters.md", ROOT / "docs/ensembles.md"
OPTIONAL = {  # keys that no preset has
    "sources.<name>.archive.path",
    "sources.<name>.archive.sha256",
    "sources.<name>.kaggle.sha256",
    "sources.<name>.roboflow.tree_sha256",
    "backbones.<name>.sha256",
    "backbones.<name>.architecture",
}


def words(cell):
    return set(re.findall(r"`(\w+)`", cell))


def general(key):
    """A key of params.yaml with what a user names replaced by what the page calls it."""
    key = re.sub(r"^(sources|backbones|labels\.by_source)\.[^.]+", r"\1.<name>", key)
    return re.sub(r"^(labels(?:\.by_source\.<name>)?\.classes)\.[^.]+", r"\1.<class>", key)


# --- parameters

ROWS = re.findall(r"^\| `([\w<>]+(?:\.[\w<>]+)+)` \|.*\| ([^|]+) \|$", text_of(PARAMETERS), re.MULTILINE)
STATED = {key: words(cell) for key, cell in ROWS}
FOLLOWERS = re.findall(r"^\| `(\w+)` \| ([^|]+) \|$", text_of(PARAMETERS), re.MULTILINE)


def tracked(stage):
    """The keys and sections that a stage tracks, templates filled in."""
    for key in BODIES[stage].get("params", []):
        key = key.replace("${key}", "<name>")
        yield from [key.replace("${item.kind}", kind) for kind in SOURCE_KINDS] if "${" in key else [key]


def test_the_page_has_every_parameter_once_and_no_other():
    files = [ROOT / "params.yaml", *(ROOT / "presets").glob("*.yaml")]
    known = {general(key) for path in files for key in leaves(yaml(text_of(path)))} - {"labels.by_source"}
    assert sorted(key for key, _ in ROWS) == sorted(known | OPTIONAL)


@pytest.mark.parametrize("key", STATED)
def test_a_parameter_reruns_the_stages_that_track_it(key):
    stages = {stage for stage in BODIES for each in tracked(stage) if f"{key}.".startswith(f"{each}.")}
    assert STATED[key] == stages


@pytest.mark.parametrize(("stage", "cell"), FOLLOWERS, ids=[stage for stage, _ in FOLLOWERS])
def test_the_page_says_which_stages_read_the_outputs_of_a_stage(stage, cell):
    assert words(cell) == {other for other in BODIES if reads(other, outputs(stage))}


def test_every_stage_that_another_one_reads_has_its_row():
    assert {stage for stage, _ in FOLLOWERS} == {
        stage for stage in BODIES if stage != "check" and any(reads(other, outputs(stage)) for other in BODIES)
    }


def reads(stage, written):
    """Whether a dependency of the stage holds, or lies in, one of these paths; templates end a path."""
    written, read = ([f"{path.partition('/${')[0]}/" for path in paths] for paths in (written, BODIES[stage]["deps"]))
    return any(one.startswith(other) or other.startswith(one) for one in written for other in read)


@pytest.mark.parametrize("page", PAGES, ids=rel)
def test_keys_in_examples_of_parameters_exist(page):
    for block in fences(page, "yaml"):
        keys = {re.sub(r"^(train\.trainable_backbone_layers)\..*", r"\1", key) for key in leaves(yaml(block))}
        assert {general(key) for key in keys} <= set(STATED)


# --- ensembles


def test_every_kind_of_ensemble_is_defined_in_the_order_of_selection():
    page, kinds = text_of(ENSEMBLES), list(ENSEMBLE_KINDS)
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == kinds
    assert re.findall(r"^\*\*`(\w+)`\*\*", page, re.MULTILINE) == kinds
    order = re.search(r"In the order ((?:`\w+`, )+`\w+`)", re.sub(r"\s+", " ", page))[1]
    assert re.findall(r"`(\w+)`", order) == kinds


# --- contributing


def test_each_of_the_twelve_changes_touches_at_most_four_files():
    table = text_of(CONTRIBUTING).partition("| change | files |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (\w.+?) \| (.+) \|$", table, re.MULTILINE)
    assert len(rows) == 12
    for change, files in rows:
        named = re.findall(r"`[\w./]+/[\w.]+\.(?:py|md)`|`\w+\.(?:toml|yaml|py)`|the module that|the presets", files)
        assert 1 <= len(set(named)) <= 4, change


# --- the workflow and the hooks


def test_the_workflow_runs_what_ci_runs():
    steps = yaml(text_of(ROOT / ".github/workflows/ci.yml"))["jobs"]["run"]["steps"]
    assert ".ci/run" in [step.get("run") for step in steps]
    assert all(f"\nmake {target}\n" in text_of(ROOT / ".ci/run") for target in ("run", "check", "test"))


def test_pre_commit_runs_the_checks_of_make_check():
    hooks = yaml(text_of(ROOT / ".pre-commit-config.yaml"))["repos"][0]["hooks"]
    recipe = text_of(ROOT / "Makefile").partition("\ncheck: setup\n")[2].partition("\n\n")[0]
    ours = [tuple(hook["entry"].removeprefix(".venv/bin/").split()) for hook in hooks]
    theirs = [tuple(line.split()) for line in recipe.splitlines()]
    assert [words[0] for words in ours] == [words[0] for words in theirs]
    assert [words[1] for words in ours if words[0] == "ruff"] == [words[1] for words in theirs if words[0] == "ruff"]


# --- the changelog


def test_the_changelog_names_keys_that_exist_for_old_ones_that_do_not():
    table = text_of(CHANGELOG).partition("`params.yaml`:\n")[2].partition("\n\nStages:")[0]
    rows = re.findall(r"^\| (`.+`) \| (`.+`) \|$", table, re.MULTILINE)
    assert len(rows) > 15
    for row in rows:
        old, new = (set(re.findall(r"[a-z_]+(?:\.[\w<>]+)+", cell)) for cell in row)
        assert new
        assert new <= set(STATED)
        assert not old & set(STATED)
