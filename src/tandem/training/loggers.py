"""Training curves, written an epoch at a time for TensorBoard or DVCLive; where none is asked for, nothing happens."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from tandem.errors import ParamsError
from tandem.types import LoggerName


@dataclass(frozen=True)
class Epoch:
    """One line of a training curve. Losses in nats, accuracies in [0, 1]; train's are means over its batches."""

    epoch: int
    lr: float
    train_loss: float
    train_top1_accuracy: float
    val_loss: float
    val_top1_accuracy: float


EpochLogger = Callable[[Epoch], None]
LoggerFactory = Callable[[str], EpochLogger]


def ignore_epoch(_epoch: Epoch) -> None:
    """Do nothing with an epoch."""


def no_logger(_name: str) -> EpochLogger:
    """Write nothing of a training."""
    return ignore_epoch


def require_logger(logger: LoggerName) -> None:
    """Raise ParamsError where the package of that name is not installed."""
    if logger != "none" and find_spec(logger) is None:
        raise ParamsError(
            f"runtime.logger is {logger!r}, and the package {logger} is not installed; install it "
            f"(pip install {logger}), or set it to none"
        )


@contextmanager
def open_logger(logger: LoggerName, folder: Path) -> Iterator[LoggerFactory]:
    """Yield a function: name of a training -> what writes its epochs to folder/name, which is emptied before.

    The package is imported, and the folder emptied, at the first epoch: what is not trained by epochs does not wait
    for it, and a process that only helps another one to train leaves the other's files alone.
    """
    require_logger(logger)
    with ExitStack() as stack:

        def open_writer(name: str) -> EpochLogger:
            shutil.rmtree(folder / name, ignore_errors=True)
            return stack.enter_context(_WRITERS[logger](folder / name))

        def logger_of(name: str) -> EpochLogger:
            writer = cache(lambda: open_writer(name))
            return lambda epoch: writer()(epoch)

        yield no_logger if logger == "none" else logger_of


@contextmanager
def _tensorboard(folder: Path) -> Iterator[EpochLogger]:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(folder) as writer:

        def write(epoch: Epoch) -> None:
            for name, value in _values(epoch).items():
                writer.add_scalar(name, value, epoch.epoch)
            writer.flush()

        yield write


@contextmanager
def _dvclive(folder: Path) -> Iterator[EpochLogger]:
    os.environ["DVC_STUDIO_OFFLINE"] = "true"  # else it sends the curve wherever a token of DVC Studio is configured
    from dvclive.live import Live

    # DVC itself keeps the experiments, and dvc.yaml is not to be changed
    with Live(str(folder), save_dvc_exp=False, dvcyaml=None) as live:

        def write(epoch: Epoch) -> None:
            live.step = epoch.epoch
            for name, value in _values(epoch).items():
                live.log_metric(name, value)
            live.next_step()

        yield write


def _values(epoch: Epoch) -> dict[str, float]:
    return {name: value for name, value in asdict(epoch).items() if name != "epoch"}


_WRITERS = {"tensorboard": _tensorboard, "dvclive": _dvclive}
