"""Processes on the nodes of a real Ray cluster that do one work together, whatever happens to them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from finetune_jobs import finetune_job, striped_images
from ray_nodes import Nodes
from ray_works import DifferentSteps, Steps
from tandem.cluster.executor import open_executor
from tandem.cluster.local import LocalExecutor
from tandem.cluster.work import Executor
from tandem.errors import ClusterError, DataError
from tandem.files import list_files
from tandem.finetune.finetune import finetune
from tandem.seeding import single_threaded
from tandem.training.loggers import Epoch

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def cluster(two_nodes: Nodes) -> Iterator[Executor]:
    with open_executor(two_nodes.address) as executor:
        yield executor


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in list_files(folder)}


def test_each_node_has_one_process_and_no_more_of_them_than_can_take_part(cluster: Executor, tmp_path: Path) -> None:
    steps, reported = Steps(tmp_path), list[int]()
    assert cluster.run_group(steps, reported.append) == [2] * 4
    assert reported == [1, 2, 3, 4]
    (tmp_path / "one").mkdir()
    assert cluster.run_group(Steps(tmp_path / "one", max_processes=1), reported.append) == [1] * 4


def test_here_it_is_one_process(tmp_path: Path) -> None:
    reported = list[int]()
    assert LocalExecutor().run_group(Steps(tmp_path), reported.append) == [1] * 4
    assert reported == [1, 2, 3, 4]


def test_a_process_that_is_killed_costs_no_step_and_no_report_comes_twice(
    cluster: Executor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reported = list[int]()
    assert cluster.run_group(Steps(tmp_path, ends_at=3), reported.append) == [2] * 4
    assert reported == [1, 2, 3, 4]
    assert "warning: steps: a process on node 127.0.0." in capsys.readouterr().err


def test_what_a_process_raises_ends_all_and_is_raised_here_as_it_was(cluster: Executor, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="step 2 cannot be taken"):
        cluster.run_group(Steps(tmp_path, fails_at=2), lambda _: None)


def test_nodes_that_would_not_compute_the_same_are_refused(cluster: Executor, tmp_path: Path) -> None:
    with pytest.raises(
        ClusterError, match=r"node 127\.0\.0\.\d and node 127\.0\.0\.\d of the Ray cluster differ in lib"
    ):
        cluster.run_group(DifferentSteps(tmp_path), lambda _: None)


def test_a_work_that_always_ends_its_process_ends_with_a_sentence(
    cluster: Executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tandem.cluster.ray_group._MAX_LOST", 1)  # a dozen would take a minute
    with pytest.raises(ClusterError, match="steps on the Ray cluster ended 2 times without getting on, the last time "):
        cluster.run_group(Steps(tmp_path, ends_at=1, always_ends=True), lambda _: None)


def test_a_fine_tune_by_three_nodes_of_which_one_is_killed_is_the_same_bytes_as_by_one_process(
    cluster: Executor,
    two_nodes: Nodes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # in all processes
    images, third, epochs = striped_images(tmp_path), two_nodes.add(), list[int]()
    changes = {"epochs": 6, "patience": 6, "keep": "last", "num_micro_batches": 4, "mix": "cutmix"}
    with single_threaded():
        job = finetune_job(images, tmp_path, layers=5, **changes)
        alone = finetune(job, tmp_path / "here", checkpoints_dir=tmp_path / "one")

    def kill(epoch: Epoch) -> None:
        epochs.append(epoch.epoch)
        if epoch.epoch == 1:
            two_nodes.kill(third)

    there = tmp_path / "there"
    assert finetune(job, there, checkpoints_dir=tmp_path / "many", on_epoch=kill, executor=cluster) == alone
    assert "the nodes that are there go on from the last epoch" in capsys.readouterr().err
    assert epochs == list(range(7))
    assert contents(there) == contents(tmp_path / "here")
    assert list((tmp_path / "many").iterdir()) == []
