"""Values that are computed once for each id: those that were before come from the store, the others go to it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from tqdm import tqdm

from tandem.cache.spill import SpilledArray
from tandem.cache.store import BYTES_A_GB, ResultStore, cache_dir

_A_STEP = 256  # values that are read from the store, or written to it, at once
_T = TypeVar("_T")


@dataclass(frozen=True)
class Stream(Generic[_T]):
    """of: positions in ids -> their values, in order, which may run ahead of what is asked for."""

    of: Callable[[Sequence[int]], Iterator[_T]]


_Compute = Callable[[int], _T] | Stream[_T]


def compute_once(
    ids: Sequence[str],
    compute: _Compute[ArrayLike],
    *,
    recipe: Mapping[str, object],
    shape: tuple[int, ...],
    dtype: str,
    max_gb: float,
    desc: str,
) -> np.ndarray:
    """(N, *shape) of dtype: the value of each id, the same bytes as from an empty store; very many are on disk.

    compute: position in ids -> its value, called in order for those that are not stored; or a Stream of all of them.
    recipe: all that a value depends on, but for what its id stands for. max_gb: of all stores together; 0 keeps and
    finds nothing. desc: for the progress bar.
    """
    is_missing = np.ones(len(ids), np.bool_)
    store = ResultStore(cache_dir(), recipe, max_bytes=int(max_gb * BYTES_A_GB), dtype=dtype)
    with closing(store), closing(SpilledArray(len(ids), shape, dtype)) as values:
        for part in _steps(range(len(ids))):
            stored = store.read([ids[at] for at in part])
            found = [at for at in part if ids[at] in stored]
            values.put(found, [stored[ids[at]] for at in found])
            is_missing[found] = False
        missing = np.flatnonzero(is_missing).tolist()
        if missing:
            store.prepare({"shape": list(shape)}, ids=ids, num_new=len(missing), row_bytes=values.row_bytes)
        with tqdm(total=len(missing), desc=desc, disable=None) as progress:
            computed = _computed(compute, missing)
            for part in _steps(missing):
                news = list[np.ndarray]()
                for _ in part:
                    news.append(np.asarray(next(computed), dtype))
                    progress.update()
                values.put(part, news)
                store.write([ids[at] for at in part], news)
        return values.filled()


@contextmanager
def computed_one_by_one(
    ids: Sequence[str],
    compute: _Compute[np.ndarray],
    *,
    recipe: Mapping[str, object],
    dtype: str,
    row_bytes: int,
    max_gb: float,
    desc: str,
) -> Iterator[Callable[[int], np.ndarray]]:
    """Position in ids -> its value (n,) of dtype, any n.

    What is not stored is computed first, of all ids, one at a time, so that later runs need not whichever they ask for;
    where nothing is kept, or no more has room, when it is asked for. compute, recipe, max_gb, desc: as of compute_once.
    row_bytes: of a value, at most.
    """
    store = ResultStore(cache_dir(), recipe, max_bytes=int(max_gb * BYTES_A_GB), dtype=dtype)

    def value(at: int) -> np.ndarray:
        stored = store.read([ids[at]])
        return stored[ids[at]] if stored else next(_computed(compute, [at]))

    try:
        missing = np.flatnonzero(~store.held(ids)).tolist()
        if missing:
            store.prepare({"row_bytes": row_bytes}, ids=ids, num_new=len(missing), row_bytes=row_bytes)
        with tqdm(total=len(missing[: store.room]), desc=desc, disable=None) as progress:
            computed = _computed(compute, missing[: store.room])
            for part in _steps(missing[: store.room]):
                values = []
                for _ in part:
                    values.append(next(computed))
                    progress.update()
                store.write([ids[at] for at in part], values)
        yield value
    finally:
        store.close()


def _computed(compute: _Compute[_T], positions: Sequence[int]) -> Iterator[_T]:
    return compute.of(positions) if isinstance(compute, Stream) else map(compute, positions)


def _steps(positions: Sequence[int]) -> list[Sequence[int]]:
    return [positions[at : at + _A_STEP] for at in range(0, len(positions), _A_STEP)]
