"""The tables of the docs, held against what they describe: parameters, ensembles, the twelve changes, the renames."""

import json
import re
from collections.abc import Mapping
from dataclasses import is_dataclass
from types import NoneType, UnionType
from typing import Literal, Union, get_args, get_origin, get_type_hints

import pytest

from pages import BODIES, CHANGELOG, CONTRIBUTING, PAGES, ROOT, fences, leaves, outputs, rel, text_of, yaml
from tandem.datasets.formats.registry import AUTO, FORMATS
from tandem.pipeline.schema import Params
from tandem.tables.decisions import ACTIONS
from tandem.tables.samples import SPLITS

PARAMETERS, ENSEMBLES = ROOT / "docs/parameters.md", ROOT / "docs/ensembles.md"
PLACEHOLDERS = {
    "sources": "<name>",
    "backbones": "<name>",
    "by_source": "<name>",
    "classes": "<class>",
    "licenses": "<name>",
}


def words(cell):
    return set(re.findall(r"`([\w.]+)`", cell))


def keys_of(section, prefix=""):
    """Dotted keys of a settings class, those of the sections in it too -> their types."""
    for name, kind in get_type_hints(section).items():
        if name.startswith("__"):
            continue
        choices = [kind] if get_origin(kind) not in (Union, UnionType) else get_args(kind)
        kind = next(choice for choice in choices if choice is not NoneType)
        key = f"{prefix}{name}"
        if get_origin(kind) is Mapping:
            key, kind = f"{key}.{PLACEHOLDERS[name]}", get_args(kind)[1]
        if is_dataclass(kind):
            yield from keys_of(kind, f"{key}.")
        else:
            yield key, kind


def general(key):
    """A key of params.yaml with what a user names replaced by what the page calls it."""
    key = re.sub(r"^(sources|backbones|labels\.by_source|report\.licenses)\.[^.]+", r"\1.<name>", key)
    return re.sub(r"^(labels(?:\.by_source\.<name>)?\.classes)\.[^.]+", r"\1.<class>", key)


# --- parameters

ROWS = {
    key: cells.split(" | ")
    for key, cells in re.findall(r"^\| `([\w<>]+(?:\.[\w<>]+)+)` \| (.*) \|$", text_of(PARAMETERS), re.MULTILINE)
}
SOURCE_KINDS = {key.split(".")[2] for key in ROWS if re.match(r"sources\.<name>\.(?!boxes)\w+\.", key)}
FOLLOWERS = re.findall(r"^\| `(\w+)` \| ([^|]+) \|$", text_of(PARAMETERS), re.MULTILINE)
each_row = pytest.mark.parametrize("key", ROWS)


def test_the_page_has_every_parameter_of_the_settings_and_no_other():
    assert sorted(ROWS) == sorted(key for key, _ in keys_of(Params))


@each_row
def test_a_parameter_has_a_meaning_a_range_and_an_effect(key):
    meaning, allowed, affects, reruns = ROWS[key]
    assert all((meaning, allowed, affects, reruns))
    kind = dict(keys_of(Params))[key]
    choices = {True: "true", False: "false"} if kind is bool else {value: value for value in get_args(kind)}
    if kind is bool or get_origin(kind) is Literal:
        assert set(choices.values()) <= words(allowed)


@each_row
def test_a_parameter_reruns_the_stages_that_track_it(key):
    stages = {stage for stage in BODIES for each in tracked(stage) if f"{key}.".startswith(f"{each}.")}
    assert words(ROWS[key][-1]) == stages


def tracked(stage):
    """The keys and sections that a stage tracks, templates filled in."""
    for key in BODIES[stage].get("params", []):
        key = key.replace("${key}", "<name>")
        yield from [key.replace("${item.kind}", kind) for kind in SOURCE_KINDS] if "${" in key else [key]


@pytest.mark.parametrize(("stage", "cell"), FOLLOWERS, ids=[stage for stage, _ in FOLLOWERS])
def test_the_page_says_which_stages_read_the_outputs_of_a_stage(stage, cell):
    assert words(cell) == {other for other in BODIES if reads(other, outputs(stage))}


def test_kinds_and_formats_that_the_code_registers_are_listed():
    assert words(ROWS["sources.<name>.kind"][1]) == set(SOURCE_KINDS)
    assert words(ROWS["sources.<name>.format"][1]) == {AUTO, *FORMATS}


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
        assert {general(key) for key in keys} <= set(ROWS)


# --- ensembles


def test_every_kind_of_ensemble_is_defined_in_the_order_of_selection():
    from tandem.training.ensembles import KINDS

    page, kinds = text_of(ENSEMBLES), list(KINDS)
    assert words(ROWS["ensemble.kind"][1]) == {"best", *kinds}
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
        named = re.findall(r"`[\w./]+/[\w.]+\.(?:py|md)`|`\w+\.(?:toml|yaml|py)`|the module that", files)
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
        assert new <= set(ROWS)
        assert not old & set(ROWS)


# --- reviewing and experiments


def test_every_view_that_the_page_names_is_saved_by_the_review():
    table = text_of(ROOT / "docs/reviewing.md").partition("| view |")[2].partition("\n\n")[0]
    code = "".join(text_of(path) for path in (ROOT / "src/tandem/review").glob("*.py"))
    named = [name for line in table.splitlines()[2:] for name in re.findall(r"`(\w+)[`<]", line.split(" | ")[0])]
    views = [name for name in named if name not in SPLITS]  # each split is a view
    assert len(views) > 8
    assert [view for view in views if not re.search(rf'"{view}|\b{view}=', code)] == []


def test_every_decision_that_can_be_made_is_explained():
    page = text_of(ROOT / "docs/reviewing.md").partition("| action |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(ACTIONS)


def test_every_number_of_the_summary_is_explained():
    path = ROOT / "metrics/summary.json"
    if not path.is_file():
        pytest.skip("the pipeline has not run here")
    table = text_of(ROOT / "docs/experiments.md").partition("| number in")[2].partition("\n\n")[0]
    explained = [name for line in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", line.split(" | ")[0])]
    assert explained == list(json.loads(text_of(path)))
