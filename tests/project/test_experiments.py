"""Other training parameters: what reruns, and how experiments compare; the real dvc in scratch clones."""

import json
import re
import sys

import pytest

from scratch_project import AFTER_TRAINING, TRAINS, Run, copied
from terminal import output_on_a_terminal

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(first, work):
    """A clone where two training parameters were changed and taken back; the two runs, and the metrics of the first."""
    with copied(first[0], work, "trained") as copy:
        copy.change("train.lr", 0.01)
        copy.change("train.batch_size", 4)
        there, metrics = copy.repro(), copy.metrics()
        copy.git("checkout", "params.yaml")
        yield copy, there, metrics, copy.repro()


def test_training_parameters_rerun_training_and_what_reads_it_alone(first, trained):
    _, there, metrics, _ = trained
    assert there.ran == {"check"} | TRAINS | AFTER_TRAINING
    assert metrics["metrics/evaluate.json"] != first[0].metrics()["metrics/evaluate.json"]


def test_taking_parameters_back_runs_the_check_alone_and_restores_every_number(first, trained):
    clone, _, _, back = trained
    assert back.ran == {"check"}
    assert back.restored == TRAINS | AFTER_TRAINING
    assert clone.metrics() == first[0].metrics()
    assert clone.git("status", "--porcelain") == ""


def test_an_experiment_shows_in_every_comparison(trained, work):
    with copied(trained[0], work, "experiment") as clone:
        settings = ("-S", "train.lr=0.01", "-S", "train.batch_size=4")
        run = Run.of(clone.run(sys.executable, "-m", "dvc", "exp", "run", "--name", "small", *settings))
        assert run.ran | run.restored == {"check"} | TRAINS | AFTER_TRAINING
        assert clone.metrics() == trained[2]
        params = json.loads(clone.dvc("params", "diff", "--json"))["params.yaml"]
        assert {key: (change["old"], change["new"]) for key, change in params.items()} == {
            "train.lr": (0.001, 0.01),
            "train.batch_size": (8, 4),
        }
        metrics = clone.dvc("metrics", "diff")
        assert "metrics/summary.json  log_loss " in metrics
        assert len(metrics.splitlines()) <= 20
        [row] = [row for row in clone.experiments() if row["Experiment"] == "small"]
        assert (float(row["train.lr"]), int(row["train.batch_size"])) == (0.01, 4)
        on_terminal = shown_by_exp_show(clone, columns=160)
        assert max(map(len, on_terminal)) <= 160
        assert {"log_loss", "train.lr", "train.batch_size"} <= set(on_terminal[1].split())
        assert not {"train.epochs", "images"} & set(on_terminal[1].split())
        assert any("[small]" in line for line in on_terminal)
        lines = clone.run("tandem", "compare").stdout.splitlines()
        assert max(map(len, lines)) <= 160
        assert {"log_loss", "train.lr", "train.batch_size"} <= set(lines[1].split())
        assert not {"train.epochs", "images"} & set(lines[1].split())
        assert any("[small]" in line for line in lines)
        clone.dvc("plots", "diff", "-o", "page")
        assert "metrics/models.csv" in (clone.root / "page" / "index.html").read_text(encoding="utf-8")


def shown_by_exp_show(clone, *, columns):
    """The lines, without colors, of `dvc exp show`, as docs/experiments.md has it, on a terminal of so many columns."""
    options = ("--only-changed", "--drop", "data|metrics|params|.*_(low|high)", "--no-pager")
    command = [sys.executable, "-m", "dvc", "exp", "show", *options]
    text = output_on_a_terminal(columns=columns, args=command, cwd=clone.root, env=clone.environment())
    return re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", text).strip().splitlines()
