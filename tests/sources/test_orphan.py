"""A stage that dvc started ends when dvc is killed; one that a person started goes on when the shell is gone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# "started", then how it ended: by Ctrl-C's way, or because it was told to
STAGE = """
import os, sys, time
from pathlib import Path
from tandem.sources.orphan import ended_with_dvc
log = Path(sys.argv[1])
try:
    with ended_with_dvc(os.environ):
        log.write_text("started")
        while not log.with_suffix(".stop").exists():
            time.sleep(0.05)
    log.write_text("stopped")
except KeyboardInterrupt:
    log.write_text("ended in order")
"""
# as dvc: a stage is run by a shell, which waits for it
DVC = """
import subprocess, sys
subprocess.run(["/bin/sh", "-c", '"$0" -c "$1" "$2"; true', *sys.argv[1:]])
"""


def wait_for(log: Path, *texts: str) -> str:
    deadline = time.monotonic() + 30
    while not (log.exists() and log.read_text() in texts):
        assert time.monotonic() < deadline, f"never one of {texts}"
        time.sleep(0.05)
    return log.read_text()


@pytest.mark.parametrize(("by_dvc", "end"), [(True, "ended in order"), (False, "stopped")])
def test_a_stage_ends_with_the_dvc_that_started_it_and_with_nothing_else(
    tmp_path: Path, by_dvc: bool, end: str
) -> None:
    log = tmp_path / "log"
    kept = {name: value for name, value in os.environ.items() if name != "DVC_STAGE"}
    environ = kept | ({"DVC_STAGE": "download@yard"} if by_dvc else {})
    with subprocess.Popen([sys.executable, "-c", DVC, sys.executable, STAGE, log], env=environ) as dvc:
        wait_for(log, "started")
        dvc.send_signal(signal.SIGKILL)
    if not by_dvc:
        time.sleep(1.2)  # twice as long as it takes a stage to notice
        log.with_suffix(".stop").touch()
    assert wait_for(log, "ended in order", "stopped") == end


def test_a_stage_whose_dvc_lives_is_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "log"
    environ = {**os.environ, "DVC_STAGE": "download@yard"}
    with subprocess.Popen([sys.executable, "-c", DVC, sys.executable, STAGE, log], env=environ):
        wait_for(log, "started")
        time.sleep(1.2)
        log.with_suffix(".stop").touch()
        assert wait_for(log, "ended in order", "stopped") == "stopped"
