"""The exact search of near pairs on as many rows as a large set of images has, beside the plain product, and beside
the approximate index that larger sets are searched by.

    python benchmarks/exact_search.py [--rows 100000] [--dim 1280] [--similarity 0.9]

Draws rows that are like pooled features of images: not negative, with much of their length in one common direction,
a falling spectrum and kinds of images, and plants near copies. Each step runs in a process of its own, so the
peak memory is that of the search, the mapped file of the rows included. Prints required beside reached and exits 1
when a figure falls short. The recall of the index is its share of the pairs that the exact search finds; hashes are 256
bits drawn at random, which no list holds together, each with a copy of which some bits are turned. About two minutes;
run it on a machine that does nothing else.
"""

import argparse
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tandem.curation.duplicates.search import radius_pairs
from tandem.images.hashing import similarity_of_distance

SEED = 0
NUM_KINDS = 200
PART = 4096  # rows drawn at a time
NUM_PLANTED = 1000
NUM_CHECKED = 512  # rows whose pairs are searched once more, in float64
HASH_BITS = (22, 60)  # turned in a copy; the second is the limit of presets/vehicles.yaml
NUM_PLAIN = 20_480  # rows that the plain product is timed on


class Reached(NamedTuple):
    """first, second: (P,) row numbers of the pairs found. gigabytes: the most that the process held in memory."""

    first: np.ndarray
    second: np.ndarray
    seconds: float
    gigabytes: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=1280)
    parser.add_argument("--similarity", type=float, default=0.9)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tandem-rows-") as folder:
        path = Path(folder) / "rows.npy"
        planted = alone(draw, path, arguments.rows, arguments.dim)
        load = os.getloadavg()[0]
        reached = alone(search, path, arguments.rows, arguments.similarity, None)
        plain = alone(search, path, min(NUM_PLAIN, arguments.rows), arguments.similarity, 0)
        missed, checked = alone(compare, path, arguments.similarity, reached)
        index = alone(search, path, arguments.rows, arguments.similarity, None, 0)
        by_hash = {bits: alone(search_hashes, arguments.rows, bits) for bits in HASH_BITS}
    pairs, by_index = as_set(reached), as_set(index)
    recall = len(pairs & by_index) / max(1, len(pairs))
    num_found = sum(pair in pairs for pair in planted)
    of_all = (arguments.rows / min(NUM_PLAIN, arguments.rows)) ** 2
    lines = [
        ("seconds", "<= 60", f"{reached.seconds:.1f}", reached.seconds <= 60),
        ("peak memory, GB", "<= 2", f"{reached.gigabytes:.2f}", reached.gigabytes <= 2),
        ("planted copies found", f"{len(planted)}", f"{num_found}", num_found == len(planted)),
        (f"pairs of {NUM_CHECKED} rows missed, of {checked} in float64", "0", f"{missed}", missed == 0),
        ("pairs found", "", f"{len(pairs)}", True),
        (f"plain product, s ({NUM_PLAIN} rows, multiplied by {of_all:.1f})", "", f"{of_all * plain.seconds:.0f}", True),
        ("approximate index: recall", ">= 0.99", f"{recall:.4f}", recall >= 0.99),
        ("approximate index: pairs that the exact search has not", "0", f"{len(by_index - pairs)}", by_index <= pairs),
        ("approximate index: seconds", "", f"{index.seconds:.1f}", True),
        ("approximate index: peak memory, GB", "", f"{index.gigabytes:.2f}", True),
        *(
            (f"... recall, hashes with {bits} of 256 bits turned", "", f"{found:.4f}", True)
            for bits, found in by_hash.items()
        ),
    ]
    print(
        f"{arguments.rows} x {arguments.dim}, cosine >= {arguments.similarity}; {os.cpu_count()} cores, load {load:.1f}"
    )
    print(f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}, NumPy {np.__version__}")
    for what, required, value, is_reached in lines:
        print(f"{what:<58} {required:>12} {value:>16}{'' if is_reached else '  <-- falls short'}")
    sys.exit(0 if all(line[-1] for line in lines) else 1)


def alone(function: Callable[..., Any], *arguments: object) -> Any:
    """The result of the function in a new process, whose memory is its own."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


def draw(path: Path, num_rows: int, dim: int) -> list[tuple[int, int]]:
    """Write the rows, and return the pairs of a row and its near copy."""
    rng = np.random.default_rng(SEED)
    x = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(num_rows, dim))
    falling = np.arange(1, dim + 1, dtype=np.float32) ** -0.6
    mixing = rng.standard_normal((dim, dim), dtype=np.float32) / np.sqrt(2 * np.sum(falling**2))
    common, kinds = rng.standard_normal(dim, dtype=np.float32), rng.standard_normal((NUM_KINDS, dim), dtype=np.float32)
    for start in range(0, num_rows, PART):
        part = x[start : start + PART]
        own = rng.standard_normal(part.shape, dtype=np.float32) + kinds[rng.integers(NUM_KINDS, size=len(part))]
        part[:] = np.maximum(0.7 * common - 0.4 + (falling * own) @ mixing, 0)
    rows = rng.permutation(num_rows)[: 2 * min(NUM_PLANTED, num_rows // 4)]
    first, second = np.sort(rows.reshape(-1, 2), axis=1).T
    x[second] = x[first] * rng.uniform(0.8, 1.2, size=(len(first), dim))
    return list(zip(first.tolist(), second.tolist(), strict=True))


def as_set(reached: Reached) -> set[tuple[int, int]]:
    return set(zip(reached.first.tolist(), reached.second.tolist(), strict=True))


def search(
    path: Path, num_rows: int, min_similarity: float, num_directions: int | None, exact_to: int = 10**9
) -> Reached:
    x = np.load(path, mmap_mode="r")[:num_rows]
    started = time.perf_counter()
    pairs = radius_pairs(x, min_similarity=min_similarity, num_directions=num_directions, exact_to=exact_to)
    seconds = time.perf_counter() - started
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
    return Reached(pairs.first, pairs.second, seconds, gigabytes)


def search_hashes(num_rows: int, bits: int) -> float:
    """The share of planted pairs of hashes that the approximate index finds."""
    rng = np.random.default_rng(SEED)
    hashes = rng.integers(2, size=(num_rows, 256), dtype=np.uint8)
    rows = rng.permutation(num_rows)[: 2 * min(NUM_PLANTED, num_rows // 4)]
    planted = np.sort(rows.reshape(-1, 2), axis=1)
    for one, other in planted.tolist():
        hashes[other] = hashes[one]
        hashes[other, rng.permutation(256)[:bits]] ^= 1
    found = radius_pairs(2.0 * hashes - 1, min_similarity=similarity_of_distance(bits), exact_to=0)
    both = set(map(tuple, planted.tolist())) & set(zip(found.first.tolist(), found.second.tolist(), strict=True))
    return len(both) / len(planted)


def compare(path: Path, min_similarity: float, reached: Reached) -> tuple[int, int]:
    """How many pairs of some rows with all others were missed, and how many there are."""
    x = np.load(path, mmap_mode="r")
    rows = np.sort(np.random.default_rng(SEED).permutation(len(x))[:NUM_CHECKED])
    some = x[rows] / np.linalg.norm(x[rows].astype(np.float64), axis=1, keepdims=True)
    near = set()
    for start in range(0, len(x), PART):
        part = x[start : start + PART].astype(np.float64)
        one, other = np.nonzero(some @ (part / np.linalg.norm(part, axis=1, keepdims=True)).T >= min_similarity)
        near |= {
            (min(i, j), max(i, j)) for i, j in zip(rows[one].tolist(), (other + start).tolist(), strict=True) if i != j
        }
    return len(near - as_set(reached)), len(near)


if __name__ == "__main__":
    main()
