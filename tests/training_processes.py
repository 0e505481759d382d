"""What tests let processes do that train together: this file is the script of each of them."""

import os
import signal
import sys
from pathlib import Path

import torch
from torch import distributed, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from tandem.pipeline.run import run
from tandem.cluster.group import launched_rank
from tandem.finetune.parallel.gradients import BatchGradient
from tandem.finetune.parallel.processes import Processes, open_processes

CPU = torch.device("cpu")


def compare(processes: Processes, folder: Path) -> None:
    """What was handed over, and a gradient of ours beside that of DistributedDataParallel, as a file."""
    number = processes.number
    vector = torch.arange(4.0) + 10 * number
    received, whole = processes.exchange(vector), torch.where(torch.arange(4) // 2 == number, vector, 0)
    processes.gather(whole)
    first = processes.from_first("made", lambda: f"by {number}")
    handed = processes.all((received.tolist(), whole.tolist(), list(processes.own("abcde")), first))

    torch.default_generator.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(64, 2)).train()
    pixels, targets = torch.rand(8, 3, 6, 6), torch.arange(8) % 2
    half = slice(4 * number, 4 * number + 4)

    def loss(pixels: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return functional.cross_entropy(net(pixels), targets), torch.zeros(())

    gradient = BatchGradient(loss, list(net.parameters()), [net], processes=processes, device=CPU)
    gradient.sum_up([pixels[half], targets[half]], num_images=8, count=2, seeds=[0, 1])
    gradient.finish()
    ours = [parameter.grad.clone() for parameter in net.parameters()]
    for parameter in net.parameters():
        parameter.grad = None
    parallel = DistributedDataParallel(net)
    functional.cross_entropy(parallel(pixels[half]), targets[half]).backward()
    theirs = [parameter.grad for parameter in net.parameters()]
    torch.save({"handed": handed, "ours": ours, "theirs": theirs}, folder / f"{number}.pt")


def main(what: str, folder: str) -> None:
    with open_processes(launched_rank(), CPU, max_count=1 if what == "crowd" else 2) as processes:
        if what == "compare":
            compare(processes, Path(folder))
        if what == "lose" and processes.number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        processes.all(None)
        assert distributed.is_initialized()


if __name__ == "__main__":
    run(main, *sys.argv[1:])
