"""Two computations side by side: both results, both errors, and one core for BLAS until both are done."""

import subprocess
import sys
import threading

import pytest
import torch  # noqa: F401  # with which the other has a thread, and not a process of its own
from threadpoolctl import threadpool_info, threadpool_limits

from tandem.training.beside import beside


def blas_threads():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_the_block_runs_while_the_other_is_computed():
    in_block, in_thread = threading.Event(), threading.Event()

    def compute():
        in_thread.set()
        return in_block.wait(timeout=60)

    with beside(compute) as result:
        assert in_thread.wait(timeout=60)  # each waits for the other: one after the other they would wait for ever
        in_block.set()
        assert result()
        assert result()  # as often as it is asked for


def test_an_error_of_the_other_is_raised_where_its_result_is_asked_for():
    def compute():
        raise ValueError("not finite")

    with pytest.raises(ValueError, match="not finite"), beside(compute) as result:
        result()


def test_after_an_error_in_the_block_nothing_goes_on():
    go_on, done = threading.Event(), []

    def compute():
        go_on.wait(timeout=60)
        done.append(True)

    with pytest.raises(ValueError, match="of the block"), beside(compute):
        go_on.set()
        raise ValueError("of the block")
    assert done == [True]


def test_one_that_ends_first_does_not_lift_the_limit_of_the_other():
    def compute():
        with threadpool_limits(limits=1):
            return blas_threads()

    before = blas_threads()
    with beside(compute) as result:
        assert result() == {1}
        assert blas_threads() == {1}
    assert blas_threads() == before


IN_PROCESS = """
import os, signal, sys, time
import numpy as np
from threadpoolctl import threadpool_info
from tandem.training.beside import beside

own = os.getpid()
def compute():
    {compute}

with beside(compute) as result:
    {block}
    found = result()
assert result() is found
print(found)
"""


def in_process(compute: str, block: str = "pass") -> subprocess.CompletedProcess[str]:
    """What beside says in a process without torch: that of compute, a line of Python, beside that of a block."""
    code = IN_PROCESS.format(compute=compute, block=block)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


linux = pytest.mark.skipif(sys.platform != "linux", reason="a thread is taken elsewhere")


@linux
def test_without_torch_the_other_has_a_process_of_its_own():
    done = in_process("return os.getppid(), os.getpid()", "print(os.getpid())")
    own, found = done.stdout.splitlines()
    assert found.startswith(f"({own}, ")
    assert not found.endswith(f" {own})")


@linux
def test_more_than_a_pipe_holds_comes_back():
    done = in_process("return np.arange(10**6)", "time.sleep(0.1)")
    assert done.stdout.startswith("[     0      1      2 ...")


@linux
def test_its_own_process_has_one_core_for_blas():
    done = in_process("return {each['num_threads'] for each in threadpool_info() if each['user_api'] == 'blas'}")
    assert done.stdout == "{1}\n"


@linux
def test_an_error_in_a_process_of_its_own_is_raised_where_the_result_is_asked_for():
    done = in_process("raise ValueError('not finite')", "print('block')")
    assert done.stdout == "block\n"
    assert done.stderr.count("ValueError: not finite") == 1  # and nothing by the other process


@linux
def test_what_is_killed_in_a_process_of_its_own_is_computed_here():
    done = in_process("os.getpid() == own or os.kill(os.getpid(), signal.SIGKILL); return 'here'")
    assert done.stdout == "here\n"


@linux
def test_after_an_error_in_the_block_the_other_process_is_gone():
    done = in_process("time.sleep(3600)", "raise ValueError('of the block')")  # it would end by the timeout
    assert done.stderr.endswith("ValueError: of the block\n")


@linux
@pytest.mark.parametrize("compute", ["time.sleep(3600)", "return np.arange(10**6)"], ids=["computes", "sends"])
def test_a_process_of_its_own_ends_when_the_other_is_killed(compute):
    done = in_process(compute, "time.sleep(0.5); os.kill(own, signal.SIGKILL)")  # what is left would hold the streams
    assert done.returncode == -9
