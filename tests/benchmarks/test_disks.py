"""What is counted as survived on a bad disk, and what a machine says that cannot have one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from disks import judged

ROOT = Path(__file__).parents[2]
FAILED = "ERROR: failed to reproduce 'merge': failed to run: python stages/merge.py, exited with 1\n"
SENTENCE = "error: the disk is full at data/merge (No space left on device); free some space and run again\n"


@pytest.mark.parametrize(
    ("code", "text", "failed"),
    [
        (0, "Running stage 'merge':\n", ""),
        (255, SENTENCE + FAILED, "stage"),
        (255, "ERROR: unexpected error - [Errno 30] Read-only file system: '.dvc/tmp/lock'\n", "DVC"),
    ],
)
def test_a_run_survives_that_ends_well_or_with_one_sentence_or_by_dvc(code, text, failed):
    assert judged(code, text) == (failed, "")


@pytest.mark.parametrize(
    ("code", "text", "problem"),
    [
        (255, f"Traceback (most recent call last):\n  ...\n{SENTENCE}{FAILED}", "a traceback: "),
        (255, FAILED, "0 sentences, exit code 255: "),
        (255, SENTENCE + SENTENCE + FAILED, "2 sentences, exit code 255: "),
        (0, SENTENCE + FAILED, "1 sentences, exit code 0: "),
    ],
)
def test_a_traceback_no_sentence_two_or_an_end_with_0_are_faults(code, text, problem):
    assert judged(code, text)[1].startswith(problem)


def test_where_no_disk_can_be_mounted_one_sentence_says_where_it_can(tmp_path):
    environment = {**os.environ, "PATH": str(tmp_path)}
    command = [sys.executable, "benchmarks/disks.py"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: this machine gives a program no mounts of its own (unshare: No such file or directory), and without "
        "them no disk can be made full or read-only; run it on Linux with `unshare` of util-linux 2.38 or newer, in "
        "Docker by `docker run --privileged`\n"
    )
