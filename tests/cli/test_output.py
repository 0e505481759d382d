"""`--json` of all commands: one whole object on stdout or nothing, and errors on stderr."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import COMMANDS, IGNORED, call, options_of_command
from pages import json_keys
from tandem.cli.output import params_schema_text, print_json
from tandem.errors import DataError, ParamsError
from tandem.pipeline.problems import problems_in

pytestmark = pytest.mark.filterwarnings(IGNORED)
ROOT = Path(__file__).resolve().parents[2]
# Commands without --json, and why.
WITHOUT_JSON = {
    "serve": "it answers over HTTP until Ctrl-C",
    "review": "it is a session of a person, whose result is a file in git",
    "schema": "what it prints is JSON",
}
ARGUMENTS = {"predict": ["nothing.png"], "diff": ["HEAD"]}  # of a command that needs some


WITH_JSON = [name for name in COMMANDS if name not in WITHOUT_JSON]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_json_or_a_reason_why_not(name):
    options = options_of_command(name)
    if name in WITHOUT_JSON:
        assert "--json" not in options, f"take `{name}` out of WITHOUT_JSON: it has --json now"
    else:
        assert "--json" in options, (
            f"`tandem {name}` prints facts and has no --json: add the argument `as_json: AsJson = False` and print by "
            "print_json, both of tandem.cli.output, and name its keys in docs/commands.md; or, if it prints no facts, "
            "say why in WITHOUT_JSON here"
        )


def test_no_reason_is_left_of_a_command_that_is_gone():
    assert set(WITHOUT_JSON) <= set(COMMANDS)


@pytest.mark.parametrize("name", [name for name in WITH_JSON if name != "doctor"])  # which answers everywhere
def test_a_command_that_cannot_answer_leaves_stdout_empty_or_whole(name, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    code, printed, said = call(capfd, *name.split(), "--json", *ARGUMENTS.get(name, []))
    if printed:
        assert isinstance(json.loads(printed), dict)
    if code:
        assert said
        assert "Traceback" not in said
    else:
        assert printed


@pytest.mark.parametrize("name", ["check", "sources check", "setup"])
def test_a_command_prints_one_object_whose_keys_its_page_names(name, tmp_path, monkeypatch, capsys):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    code, printed, said = call(capsys, *name.split(), "--json")
    assert code == 0, said
    assert set(json.loads(printed)) == json_keys(f"tandem {name}")


@pytest.mark.parametrize("name", [name for name in WITH_JSON if name != "predict"])  # whose lines predicting.md has
def test_the_keys_of_an_object_stand_in_the_page_of_commands(name):
    assert json_keys(f"tandem {name}"), (
        f"docs/commands.md needs the row: | `tandem {name}` | {{`key`, ...}} what it says |"
    )


def test_what_check_finds_is_an_object_and_an_error(tmp_path, monkeypatch, capsys):
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    text = text.replace("batch_size: 8\n", "batch_size: 0\n", 1).replace("num_neighbors: 20", "num_neighbors: 0")
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    code, printed, said = call(capsys, "check", "--json")
    found = json.loads(printed)
    assert code == 1
    assert found["is_valid"] is False
    assert ["num_neighbors is 0" in found["problems"][0], "batch_size is 0" in found["problems"][1]] == [True, True]
    assert said.startswith("error: params.yaml has 2 mistake(s):")


def test_problems_are_the_lines_that_an_error_lists():
    assert problems_in(ParamsError("params.yaml has 2 mistake(s):\n  line 3: a\n  line 5: b")) == [
        "line 3: a",
        "line 5: b",
    ]
    assert problems_in(DataError("1 outputs are missing:\n  data/x\nDVC says why")) == ["data/x"]
    assert problems_in(DataError("dvc.lock cannot be read")) == ["dvc.lock cannot be read"]


def test_numbers_that_are_not_finite_are_null(capsys):
    print_json({"a": [float("nan"), 1.5], "b": {"c": float("inf")}, "d": "ñ"})
    assert json.loads(capsys.readouterr().out) == {"a": [None, 1.5], "b": {"c": None}, "d": "ñ"}


def test_the_schema_is_printed_as_it_is_committed(capsys):
    assert call(capsys, "schema")[:2] == (0, (ROOT / "params.schema.json").read_text(encoding="utf-8"))


def test_an_installation_without_a_schema_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr("tandem.__file__", str(tmp_path / "site/tandem/__init__.py"))
    with pytest.raises(DataError, match=r"the tandem in .*/site/tandem lacks params.schema.json; install it again"):
        params_schema_text()


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not here")
def test_completion_is_installed_for_a_shell_and_completes_commands(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    code, said, _ = call(capsys, "--install-completion", "bash")
    assert code == 0
    assert "bash completion installed in" in said
    assert "_TANDEM_COMPLETE=complete_bash" in next(tmp_path.rglob("tandem.sh")).read_text(encoding="utf-8")
    monkeypatch.setenv("_TANDEM_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "tandem re")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert {"results", "review"} <= set(call(capsys)[1].split())


def test_the_help_of_a_command_explains_its_arguments(tmp_path):
    """With some versions of click, typer's arguments lose theirs."""
    command = [sys.executable, "-c", "from tandem.cli.main import app; app()", "backbones", "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120)
    assert "PROVIDER/ARCHITECTURE/WEIGHTS" in done.stdout
