"""Two computations side by side: both results, both errors, and one core for BLAS until both are done."""

import threading

import pytest
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
