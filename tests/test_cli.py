import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def tandem(folder, *arguments):
    command = [sys.executable, "-c", "from tandem.cli import app; app()", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_check_says_that_good_parameters_are_good(tmp_path):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    done = tandem(tmp_path, "check")
    assert (done.returncode, done.stdout) == (0, "params.yaml is good\n")


def test_check_names_what_is_wrong_without_a_traceback(tmp_path):
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(text.replace("batch_size: 8\n", "batch_size: 0\n", 1), encoding="utf-8")
    done = tandem(tmp_path, "check")
    assert done.returncode == 1
    assert "train.batch_size is 0: Input should be greater than or equal to 1" in done.stderr
    assert "Traceback" not in done.stderr


def test_results_before_any_run_say_what_to_do(tmp_path):
    done = tandem(tmp_path, "results")
    assert done.returncode == 1
    assert "metrics/evaluate.json is missing" in done.stderr
    assert "dvc repro" in done.stderr


def test_help_lists_the_commands(tmp_path):
    done = tandem(tmp_path, "--help")
    assert done.returncode == 0
    assert "check" in done.stdout
    assert "results" in done.stdout
