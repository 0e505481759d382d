"""The lists of benchmarks in the Makefile, against the files in benchmarks/."""

import re
import subprocess

import pytest

from scratch_project import ROOT

TEXT = (ROOT / "Makefile").read_text(encoding="utf-8")
OTHER_MACHINE = {"gpu"}  # needs a GPU and a folder of images: docs/benchmarks.md has its command
TARGETS = {"bench": "BENCHMARKS", "bench-photos": "ON_ARCHIVES", "bench-long": "LONG"}


def listed(variable):
    [found] = re.findall(rf"^{variable} := ((?:.*\\\n)*.*)$", TEXT, re.MULTILINE)
    return found.replace("\\\n", " ").split()


def commands():
    """Files of benchmarks/ that are run, and not only imported."""
    files = (path for path in (ROOT / "benchmarks").glob("*.py") if "make_parser(__doc__)" in path.read_text("utf-8"))
    return {path.stem for path in files}


def test_every_benchmark_is_run_by_a_target():
    by_name = set(re.findall(r"python benchmarks/(\w+)\.py", TEXT)) - {"figures"}  # faults and mutants
    lists = {name for variable in TARGETS.values() for name in listed(variable)}
    assert lists | by_name | OTHER_MACHINE == commands()
    assert not lists & by_name


def test_what_reads_archives_and_nothing_else_is_given_them():
    sources = {name: (ROOT / f"benchmarks/{name}.py").read_text("utf-8") for name in commands()}
    reading = {name for name, text in sources.items() if '"--archives"' in text}
    assert set(listed("ON_ARCHIVES")) == reading - {"rerun"}  # which runs on generated images too


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_runs_its_list_names_the_machine_first_and_fails_at_the_end(target):
    command = ["make", "--dry-run", "--assume-old=setup", target, "ARCHIVES=DIR"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    run = re.findall(r"python benchmarks/(\w+)\.py([^;|\\]*)", shown)
    names = [name for name, _ in run]
    assert names == ["figures", *listed(TARGETS[target])]
    assert 'test -z "$short"' in shown
    given = dict(run)
    assert all(("--archives DIR" in given[name]) == (target == "bench-photos") for name in names[1:])
    assert ("--curate-to" in given.get("growth", "")) == (target == "bench")
    assert ("--images 300 --rounds 1" in given.get("cluster", "")) == (target == "bench")


def test_photographs_have_to_be_named():
    done = subprocess.run(
        ["make", "--assume-old=setup", "bench-photos"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0
    assert "error: name the folder of the archives: make bench-photos ARCHIVES=DIR" in done.stdout
