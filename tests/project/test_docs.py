"""Every command, path and link of README and docs, held against the code; what is cheap is run."""

import ast
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dockerfile import COMMAND, value_of
from pages import (
    CHANGELOG,
    PAGES,
    PARAMS,
    ROOT,
    STAGES,
    anchors,
    block_commands,
    code_spans,
    commands,
    fences,
    leaves,
    outputs,
    prose,
    rel,
    script,
    text_of,
    yaml,
)
from planted_images import png, write_images
from tandem.tables.stored import load_stored

PLACEHOLDERS = {"DIR", "FILE", "FOLDER"}
# What the shell or another program does: nothing of ours can break it.
NOT_OURS = {"cd", "git", "pip", "pre-commit", "python3", "ray", "source", "tensorboard", "torchrun", "uv"}
# Commands of ours that pages only mention, and the file that runs them, by words of that file.
MENTIONED = {
    "make docs": ("tests/project/test_site.py", "SITE.build("),
    "make TORCH=cpu setup": ("tests/project/test_install.py", 'INSTALL.arguments("cpu")'),
    "make TORCH=cuda setup": ("tests/project/test_install.py", '"asked": "cuda"'),
    "make lock": ("Makefile", "lock: "),
    "make PYTHON=python3.12 run": (".ci/run", "make run"),
    "python benchmarks/": ("Makefile", "python benchmarks/$(name).py"),
    "python docs/near_duplicates_figure.py": ("tests/project/test_docs.py", "def test_the_figure"),
    "python docs/lists.py": ("tests/project/test_docs_lists.py", "python docs/lists.py"),
    "python docs/params_schema.py": ("tests/project/test_params_schema.py", "python docs/params_schema.py"),
    "python docs/tables.py": ("tests/project/test_readme.py", "def test_the_tables"),
    "tandem --install-completion": ("tests/cli/test_output.py", '"--install-completion"'),
    "tandem diff": ("tests/cli/test_diff.py", '"diff"'),
    "tandem doctor": ("tests/cli/test_doctor.py", '"doctor"'),
    "tandem schema": ("tests/cli/test_output.py", '"schema"'),
    "tandem setup": ("Makefile", "tandem setup"),
}
# Run here, as they stand.
CHEAP = (
    "tandem --help",
    "tandem check",
    "tandem sources check",
    "tandem sources check --offline",
    "dvc params diff",
    "dvc metrics diff",
)
SHOWN = [page for page in PAGES if page != CHANGELOG]  # which names commands and files of earlier versions
ALL = sorted({(rel(page), tuple(words)) for page in SHOWN for words in commands(page)})
IN_BLOCKS = tuple({" ".join(words[:2]) for page in SHOWN for words in block_commands(page)})
each_command = pytest.mark.parametrize(("page", "words"), ALL, ids=[f"{page}: {' '.join(w)}" for page, w in ALL])
each_page = pytest.mark.parametrize("page", SHOWN, ids=rel)


# --- commands


@each_command
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of typer, about click
def test_a_command_can_be_given_as_it_stands(page, words):
    check = {
        "docker": check_docker,
        "dvc": check_dvc,
        "make": check_make,
        "python": check_python,
        "tandem": check_tandem,
    }
    program, *arguments = words
    if program in check:
        check[program](ROOT / page, arguments)
    else:
        assert program in NOT_OURS


@each_command
def test_a_command_of_ours_is_run_by_a_test(page, words):
    """By tests/project/test_docs_run.py, which runs all blocks of the pages; a mention has its program and command."""
    line = " ".join(words)
    if words[0] in (*NOT_OURS, "dvc") or line in CHEAP or line.startswith(IN_BLOCKS):
        return
    starts = [start for start in MENTIONED if line.startswith(start)]
    assert starts, f"nothing runs {line!r}"
    path, needle = MENTIONED[max(starts, key=len)]
    assert needle in (ROOT / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("line", CHEAP)
def test_a_cheap_command_runs(line):
    run(line, ROOT)


def test_a_threshold_is_suggested_from_the_files_of_a_run(tmp_path):
    write_run(tmp_path)
    assert "0.96" in run("tandem duplicates threshold", tmp_path)


def run(line, folder):
    """What a command prints, which must succeed."""
    program, *arguments = line.split()
    start = {"tandem": ["-c", "from tandem.cli.main import app; app()"], "dvc": ["-m", "dvc"]}[program]
    done = subprocess.run([sys.executable, *start, *arguments], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def check_make(page, arguments):
    makefile = text_of(ROOT / "Makefile")
    names = [word.partition("=")[0] for word in arguments]
    assert all(re.search(rf"^{name}(:| \?=)", makefile, re.MULTILINE) for name in names), names


def check_tandem(page, arguments):
    from typer.main import get_command

    from tandem.cli.main import app

    command, words = get_command(app), list(arguments)
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        assert words[0] in command.commands, f"tandem has no command {words[0]!r}"
        command = command.commands[words.pop(0)]
    known = {name for parameter in command.params for name in parameter.opts} | {"--help"}
    assert {word for word in words if word.startswith("-")} <= known


def check_docker(_page, arguments):
    """A container's port and the place of its model are those of the Dockerfile."""
    options = dict(pairwise(arguments))
    if arguments[0] == "run":
        assert options["--publish"].endswith(f":{value_of('EXPOSE')}")
        assert f":{value_of('WORKDIR')}/{dict(pairwise(COMMAND))['--model']}:" in options["--volume"]


def check_dvc(page, arguments):
    from dvc.cli.parser import get_main_parser

    parsed, unknown = get_main_parser().parse_known_args(list(arguments))
    assert unknown == []
    changes = {change.partition("=")[0] for change in getattr(parsed, "set_param", None) or []}
    assert changes <= set(leaves(PARAMS))
    for target in getattr(parsed, "targets", None) or []:
        stage, _, item = target.partition("@")
        section = STAGES[stage].get("foreach", "").strip("${}")
        assert not item or item in {*PARAMS[section], *named_on(page, section)}


def named_on(page, section):
    """The names that the page's own examples of params.yaml have in a section."""
    return {name for block in fences(page, "yaml") for name in yaml(block).get(section, {})}


def check_python(page, arguments):
    script, *words = arguments
    assert {word for word in words if word.startswith("--")} <= options_of(ROOT / script)
    values = [word for word in words if not word.startswith("-")]
    assert all(word in PLACEHOLDERS or re.fullmatch(r"\d+|[\w.-]+\.pth", word) for word in values), values


def options_of(script):
    """The options of a script's argparse, by its source and that of the helpers beside it which it imports."""
    tree = ast.parse(text_of(script))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    helpers = [script.with_name(f"{name}.py") for name in modules & {path.stem for path in script.parent.glob("*.py")}]
    nodes = [node for path in (script, *helpers) for node in ast.walk(ast.parse(text_of(path)))]
    calls = [node for node in nodes if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument"]
    return {call.args[0].value for call in calls if call.args[0].value.startswith("--")}


# --- the figure


def test_the_figure_is_drawn_of_near_duplicates_that_a_random_split_separates(tmp_path, monkeypatch):
    write_run(tmp_path)
    monkeypatch.chdir(tmp_path)
    figure = script("docs/near_duplicates_figure.py")
    pairs = list(figure.leaked_pairs())
    split_of = figure.random_split(figure.load_index(Path("data/merge/index.csv")))
    assert 0 < len(pairs) < 40
    ids = {packed: f"{number:032x}" for number, packed in enumerate(load_stored(STORED).packed(Path("data/ingest")))}
    assert {(split_of[ids[pair.train]], split_of[ids[pair.test]]) for pair in pairs} == {("train", "test")}
    figure.main(tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as drawn:
        assert drawn.width > figure.NUM_COLUMNS * 2 * figure.TILE_PX


def test_the_figure_in_the_readme_is_small():
    assert (ROOT / "docs/images/near_duplicates.png").stat().st_size < 150_000


STORED = Path("data/merge/stored.csv")


def write_run(folder):
    """params.yaml, 80 gray images and 40 pairs of them, as a run leaves them."""
    (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    images = {
        f"{number:032x}": png(Image.fromarray(np.full((40, 60, 3), 3 * number, np.uint8))) for number in range(80)
    }
    write_images(folder, images)
    (folder / "data/curate").mkdir()
    rows, pairs = ["id,label,file,width,height,provenance_keys,origins"], ["first,second,similarity,correlation"]
    for number in range(80):
        id_ = f"{number:032x}"
        rows.append(f'{id_},car,{id_}.png,60,40,[],"[[""web"", ""car/{number}.png"", ""car""]]"')
        if number % 2:
            pairs.append(f"{number - 1:032x},{id_},0.99,0.9{number:02}")
    (folder / "data/merge/index.csv").write_text("\n".join(rows) + "\n")
    (folder / "data/curate/near_duplicates.csv").write_text("\n".join(pairs) + "\n")
    (folder / "data/curate/rejected_pairs.csv").write_text(f"{pairs[0]}\n")


# --- paths and links

OF_THE_PROJECT = re.compile(r"`((?:src|stages|presets|benchmarks|tests|docs|\.ci)/[\w./-]*)`( \*new\*)?")
OF_A_RUN = re.compile(r"(?:data|metrics)/[\w./<>-]+")
# what a stage writes beside its outputs, what a person writes, and names that stand for any
OTHER_PATHS = re.compile(
    r"data/download/(partial/<source>|receipts|files)?/?.*|data/review(/decisions\.csv)?|.*<stage>.*"
)


@each_page
def test_paths_that_a_page_names_exist_unless_they_are_new(page):
    found = OF_THE_PROJECT.findall(prose(page))
    assert [path for path, new in found if (ROOT / path).exists() == bool(new)] == []


@each_page
def test_outputs_that_a_page_names_are_those_of_a_stage(page):
    named = {span for span in code_spans(page) if OF_A_RUN.fullmatch(span) and not OTHER_PATHS.fullmatch(span)}
    written = [out for stage in STAGES for out in outputs(stage)]
    patterns = [re.escape(out).replace(re.escape("${key}"), "[^/]+") for out in written]
    inside = re.compile("|".join(f"{pattern}(/.*)?" for pattern in patterns))
    above = {span for span in named if any(out.startswith(f"{span.rstrip('/')}/") for out in written)}
    assert [span for span in sorted(named - above) if not inside.fullmatch(span)] == []


@pytest.mark.parametrize("page", PAGES, ids=rel)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        assert other.exists(), target
        assert not anchor or anchor in anchors(other), target
