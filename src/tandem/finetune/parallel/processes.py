"""The processes of one training and what they hand to one another, by torch.distributed; one alone loads none of it.

What is handed over is only copied. Sums are the caller's, in an order of its own, so that they are the same bytes
whatever the number of processes: an all-reduce, as in torch's DistributedDataParallel, adds in an order that depends on
their number.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from typing import Any, TypeVar

import psutil  # type: ignore[import-untyped]
import torch

from tandem.cluster.group import Meeting, Rank
from tandem.errors import ParamsError, PeerLostError

_T = TypeVar("_T")
_TIMEOUT = timedelta(minutes=30)  # of one exchange: another process may be as much slower
_PATIENCE = timedelta(days=7)  # while the first process does what the others wait for, such as decoding all images
_INTERFACES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")  # which torch's libraries would guess by the host's name
_LOST = "another process of the training ended; run it again: it goes on from its last epoch"


@dataclass(frozen=True)
class Processes:
    """This one is `number` of `count`. store: torch's, of all of them; None for one alone."""

    number: int = 0
    count: int = 1
    store: Any = None

    @property
    def is_first(self) -> bool:
        """Whether it writes what comes of the training."""
        return self.number == 0

    def own(self, items: Sequence[_T]) -> Sequence[_T]:
        """Of items that all processes have: every `count`-th, from `number` on."""
        return items[self.number :: self.count]

    def all(self, value: _T) -> list[_T]:
        """The value of each process, in order; it is pickled."""
        if self.count == 1:
            return [value]
        from torch import distributed

        values: list[Any] = [None] * self.count
        with _peers_may_end():
            distributed.all_gather_object(values, value)
        return values

    def exchange(self, flat: torch.Tensor) -> torch.Tensor:
        """(count, n / count): this process's part of the vector (n,) of each process, in order. n: divisible."""
        if self.count == 1:
            return flat[None]
        from torch import distributed

        received = torch.empty_like(flat)
        with _peers_may_end():
            distributed.all_to_all_single(received, flat)
        return received.view(self.count, -1)

    def gather(self, flat: torch.Tensor) -> None:
        """Fill a vector (n,) of which each process has its own part, in order."""
        if self.count == 1:
            return
        from torch import distributed

        with _peers_may_end():
            distributed.all_gather_into_tensor(flat, flat.view(self.count, -1)[self.number].clone())

    def from_first(self, name: str, make: Callable[[], _T]) -> _T:
        """What the first process makes, for which the others wait; it is pickled. name: used once."""
        if self.count == 1:
            return make()
        made: Any = None
        with _peers_may_end():
            if not self.is_first:
                self.store.wait([name], _PATIENCE)
        if self.is_first:
            made = make()
            self.store.set(name, "made")
        return self.all(made)[0]


ALONE = Processes()


@contextmanager
def open_processes(rank: Rank, device: torch.device, *, max_count: int) -> Iterator[Processes]:
    """Meet the others, for as long as the block runs. max_count: more are refused (ParamsError), by all of them.

    device: of runtime; of several GPUs each process takes its own. Where an error ends more than one of those that
    torchrun started, the first of them says so, and the others end silently.
    """
    if rank.count == 1:
        yield ALONE
        return
    from torch import distributed

    _require_device(rank, device)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    with _peers_may_end():
        store = _store(rank)
        distributed.init_process_group(backend, store=store, rank=rank.number, world_size=rank.count, timeout=_TIMEOUT)
    try:
        if rank.count > max_count:
            raise ParamsError(
                f"{rank.count} processes are started, and at most {max_count} can share a batch, which has so many "
                "micro-batches; start fewer, or raise finetune.num_micro_batches (and finetune.batch_size to twice "
                "that at least)"
            )
        yield Processes(rank.number, rank.count, store)
    except Exception:
        if rank.meeting is None and not _is_first_to_say(store):
            raise SystemExit(1) from None
        raise  # not after destroy_process_group, which may wait for those that are gone
    distributed.destroy_process_group()


def _store(rank: Rank) -> Any:
    """torch's key-value store: at the meeting, or where torchrun says."""
    from torch import distributed

    if (meeting := rank.meeting) is None:
        return next(distributed.rendezvous("env://"))[0]  # type: ignore[attr-defined]
    _use_interface_of(meeting)
    return distributed.TCPStore(  # type: ignore[attr-defined]
        meeting.host,
        meeting.port,
        rank.count,
        is_master=meeting.listener is not None,
        master_listen_fd=meeting.listener,
        timeout=_TIMEOUT,
    )


def _use_interface_of(meeting: Meeting) -> None:
    address = ip_address(meeting.address)
    for interface, addresses in psutil.net_if_addrs().items():
        found = {each.address for each in addresses}
        if meeting.address in found or (address.is_loopback and "127.0.0.1" in found):
            for variable in _INTERFACES:
                os.environ.setdefault(variable, interface)


def _require_device(rank: Rank, device: torch.device) -> None:
    if device.type == "cuda":
        if rank.local_number >= torch.cuda.device_count():
            raise ParamsError(
                f"{rank.local_number + 1} processes or more are started on a machine where torch finds "
                f"{torch.cuda.device_count()} GPUs; start one a GPU"
            )
        torch.cuda.set_device(rank.local_number)
    elif device.type != "cpu":
        raise ParamsError(
            f"several processes compute on CPUs or on NVIDIA's GPUs, not on {device.type}; start one, or set "
            "runtime.device to cpu"
        )


def _is_first_to_say(store: Any) -> bool:
    try:
        return store.add("errors", 1) == 1
    except RuntimeError:  # the store ended with the process that had it
        return True


@contextmanager
def _peers_may_end() -> Iterator[None]:
    """What torch raises where a connection to another process breaks, in one sentence."""
    try:
        yield
    except RuntimeError as error:  # torch.distributed's errors are such
        raise PeerLostError(f"{_LOST} ({str(error).strip().partition(chr(10))[0][:200]})") from None
