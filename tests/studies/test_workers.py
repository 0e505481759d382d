"""Processes that train for a study: their results in order, and none that outlives it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from operator import add, mul, truediv
from pathlib import Path

import numpy as np
import psutil
import pytest
import threadpoolctl

from tandem.studies.workers import run_jobs

TESTS = Path(__file__).parents[1]


def process_of(_shared: object) -> int:
    time.sleep(0.2)
    return os.getpid()


def num_threads(_shared: np.ndarray) -> list[int]:
    return [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_jobs(workers: int) -> None:
    with run_jobs([partial(add, 1), partial(mul, 3), partial(add, 5)], 10, workers=workers) as results:
        assert list(results) == [11, 30, 15]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_job_is_raised_here(workers: int) -> None:
    jobs = [partial(add, 1), partial(truediv, 1)]
    with pytest.raises(ZeroDivisionError), run_jobs(jobs, 0, workers=workers) as results:
        list(results)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_job_computes_on_one_core(workers: int) -> None:
    with run_jobs([num_threads], np.zeros(3), workers=workers) as results:
        assert set(*results) == {1}


def test_one_worker_is_this_process_and_several_are_others() -> None:
    with run_jobs([process_of] * 2, None, workers=1) as results:
        assert list(results) == [os.getpid()] * 2
    with run_jobs([process_of] * 4, None, workers=2) as results:
        others = set(results)
    assert os.getpid() not in others
    assert not any(map(psutil.pid_exists, others))


# --- the end of a study


LONG_STUDY = """
from factories import blobs, ensemble_settings, study_settings, train_settings
from tandem.pipeline import run
from tandem.studies.grid import study

def main():
    features, samples = blobs(600, dim=400)
    train = train_settings(epochs=10_000, patience=10_000, dropout=0.2, balance="sampler")
    grid = study_settings(lr=(0.1, 0.01), batch_size=(4,), num_seeds=2)
    study({"one": features}, samples, grid=grid, train=train, ensemble=ensemble_settings(width=256), workers=2)

if __name__ == "__main__":
    run.run(main)
"""


@contextmanager
def long_study(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    """A study of hours in a process of its own, and the processes that train for it."""
    script = tmp_path / "long.py"
    script.write_text(LONG_STUDY)
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as started:
        try:
            yield started, eventually(lambda: [each for each in trainers(started) if each.cpu_times().user > 3], 2)
        finally:
            for each in trainers(started):
                each.kill()
            started.kill()


def trainers(started: subprocess.Popen[str]) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        children = psutil.Process(started.pid).children()
        return [each for each in children if "spawn_main" in " ".join(each.cmdline())]
    return []


def eventually(found: Callable[[], list[psutil.Process]], count: int) -> list[psutil.Process]:
    for _ in range(600):
        with suppress(psutil.NoSuchProcess):
            if len(now := found()) == count:
                return now
        time.sleep(0.1)
    raise AssertionError(f"never {count} processes")


@pytest.mark.slow
@pytest.mark.parametrize(("end", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_no_process_outlives_a_study_that_is_ended(tmp_path: Path, end: signal.Signals, code: int) -> None:
    with long_study(tmp_path) as (started, processes):
        started.send_signal(end)
        assert started.wait(30) == code
        eventually(lambda: [each for each in processes if each.is_running() and each.status() != "zombie"], 0)
        assert started.stdout is not None
        output = started.stdout.read()
    go_on = "interrupted; `dvc repro` goes on from here: stages that are finished are not repeated\n"
    assert output == go_on or end == signal.SIGKILL  # of which Python's own tracker says what it takes away


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_study_with_a_message(tmp_path: Path) -> None:
    with long_study(tmp_path) as (started, processes):
        processes[0].kill()
        output, _ = started.communicate(timeout=30)
        assert started.returncode == 1
        assert output == (
            "error: a process that trains was ended before its work was done, perhaps for want of memory; "
            "set runtime.workers to 1, which trains in one process alone\n"
        )
