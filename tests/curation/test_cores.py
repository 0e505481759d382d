"""Functions of several items at a time, each on one core."""

import subprocess
import sys
import threading

import faiss
import pytest

from tandem.curation.duplicates.by_features.cores import by_all_cores, on_one_core


@pytest.fixture
def three_cores():
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(3)
    yield
    faiss.omp_set_num_threads(before)


@pytest.mark.usefixtures("three_cores")
def test_results_come_in_order_of_as_many_threads_as_faiss_would_take() -> None:
    meeting = threading.Barrier(3)

    def meet(item: int) -> tuple[int, int]:
        meeting.wait(timeout=30)  # which returns only once three are here
        return item**2, faiss.omp_get_max_threads()

    assert list(by_all_cores(meet, range(12))) == [(item**2, 1) for item in range(12)]
    assert faiss.omp_get_max_threads() == 3


@pytest.mark.usefixtures("three_cores")
def test_no_more_items_are_taken_than_wait_for_an_earlier_one() -> None:
    taken = []
    results = by_all_cores(lambda item: item, (taken.append(item) or item for item in range(1000)))
    assert [next(results), next(results)] == [0, 1]
    assert len(taken) <= 9
    results.close()


@pytest.mark.usefixtures("three_cores")
def test_an_error_is_raised_and_the_cores_are_free_again() -> None:
    with pytest.raises(ZeroDivisionError):
        list(by_all_cores(lambda item: 1 // (5 - item), range(1000)))
    assert faiss.omp_get_max_threads() == 3


def test_on_one_core_nothing_of_faiss_or_numpy_takes_several() -> None:
    from threadpoolctl import threadpool_info

    with on_one_core():
        assert {each["num_threads"] for each in threadpool_info() if "openblas" in each["filepath"]} <= {1}
        assert faiss.omp_get_max_threads() == 1


SEARCH = """
import sys, numpy as np
from hashlib import sha256
from tandem.curation.duplicates.by_features.search import similar_and_nearest
rng = np.random.default_rng(0)
x = (rng.normal(size=(3000, 40)) @ rng.normal(size=(40, 1031)) + 0.5 * rng.normal(size=(3000, 1031))).astype("f4")
x[2500:] = x[:500] + 0.5 * x[500:1000]
pairs, nearest = similar_and_nearest(x, min_similarity=0.8, k=4, exact_to=0)
parts = (pairs.first, pairs.second, pairs.similarity, nearest)
print(len(pairs) > 100, sha256(b"".join(part.tobytes() for part in parts)).hexdigest())
"""


def test_what_the_index_finds_does_not_depend_on_the_number_of_cores() -> None:
    said = set()
    for cores in (1, 2, 3):
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        environment = {"PATH": "/usr/bin:/bin"} | dict.fromkeys(names, str(cores))
        command = [sys.executable, "-c", SEARCH]
        said.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    (only,) = said
    assert only.startswith("True ")
