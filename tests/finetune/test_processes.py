"""What several processes hand to one another, and how they end: real processes, by torchrun's variables."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ray_nodes import free_port
from tandem.cluster.group import Rank
from tandem.errors import ParamsError
from tandem.finetune.parallel.processes import ALONE, open_processes

SCRIPT = Path(__file__).parents[1] / "training_processes.py"


def run_processes(count: int, what: str, folder: Path) -> list[tuple[int, str]]:
    """Exit code and stderr of each."""
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(count)}
    meeting |= {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    processes = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), what, str(folder)],
            env={**os.environ, **meeting, "RANK": str(number), "LOCAL_RANK": str(number)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    said = [process.communicate(timeout=120)[1] for process in processes]
    return [(process.returncode, each) for process, each in zip(processes, said, strict=True)]


def test_one_process_alone_hands_nothing_over() -> None:
    vector = torch.arange(3.0)
    assert torch.equal(ALONE.exchange(vector), vector[None])
    ALONE.gather(vector)
    assert torch.equal(vector, torch.arange(3.0))
    assert (ALONE.all(5), ALONE.from_first("made", lambda: 6), ALONE.own([7, 8])) == ([5], 6, [7, 8])
    with open_processes(Rank(), torch.device("cpu"), max_count=1) as processes:
        assert processes is ALONE


def test_two_processes_have_the_same_gradient_which_is_that_of_distributed_data_parallel(tmp_path: Path) -> None:
    assert [code for code, _ in run_processes(2, "compare", tmp_path)] == [0, 0]
    one, other = (torch.load(tmp_path / f"{number}.pt", weights_only=True) for number in range(2))
    assert one["handed"] == other["handed"]
    assert one["handed"] == [
        ([[0, 1], [10, 11]], [0, 1, 12, 13], ["a", "c", "e"], "by 0"),
        ([[2, 3], [12, 13]], [0, 1, 12, 13], ["b", "d"], "by 0"),
    ]
    assert all(torch.equal(mine, yours) for mine, yours in zip(one["ours"], other["ours"], strict=True))
    for ours, theirs in zip(one["ours"], one["theirs"], strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)


def test_a_process_that_lost_another_one_says_what_to_do(tmp_path: Path) -> None:
    (code, said), (killed, _) = run_processes(2, "lose", tmp_path)
    assert (code, killed) == (1, -9)
    [line] = [line for line in said.splitlines() if line.startswith("error")]
    assert line.startswith("error: another process of the training ended; run it again: it goes on from its last epoch")
    assert "Traceback" not in said


def test_more_processes_than_micro_batches_are_refused_which_is_said_once(tmp_path: Path) -> None:
    ended = run_processes(2, "crowd", tmp_path)
    assert [code for code, _ in ended] == [1, 1]
    [said] = [said for _, said in ended if said]
    assert said.startswith("error: 2 processes are started, and at most 1 can share a batch, which has so many ")


@pytest.mark.parametrize(
    ("device", "said"),
    [("mps", "not on mps; start one, or set runtime.device to cpu"), ("cuda", "where torch finds 0 GPUs")],
)
def test_a_device_that_several_processes_cannot_share_is_refused(device: str, said: str) -> None:
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("torch finds GPUs here")
    with pytest.raises(ParamsError, match=said), open_processes(Rank(1, 2, 1), torch.device(device), max_count=2):
        pass
