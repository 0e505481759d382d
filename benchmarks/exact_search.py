"""The exact search of similar pairs among as many features as a large set of images has, beside the plain product and
beside the approximate index that larger sets are searched by.

    python benchmarks/exact_search.py [--rows 100000] [--dim 1280] [--similarity 0.9] [--json FILE]

Generates vectors that are like pooled features of images: not negative, with much of their length in one common
direction, a falling spectrum and clusters of images, and plants near duplicates. Each step runs in a process of its
own, so the peak memory is that of the search, the mapped file of the features included. Prints required beside reached
and exits 1 when a figure falls short. The recall of the index is the fraction of the exact search's pairs that it
finds; hashes are 256 random bits, some with a near duplicate of which some bits are flipped in another orientation.
About two minutes; run it on a machine that does nothing else.
"""

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from figures import Figure, at_least, at_most, conclude, exactly, make_parser, reported
from tandem.curation.duplicates.by_features.search import radius_pairs, similar_and_nearest
from tandem.curation.duplicates.hashes import hash_pairs

SEED = 0
NUM_CLUSTERS = 200
CHUNK = 4096  # rows generated at a time
NUM_PLANTED = 1000
NUM_CHECKED = 512  # rows whose pairs are searched once more, in float64
HASH_DISTANCES = (22, 60)  # bits flipped in a near duplicate; the second is the limit of presets/vehicles.yaml
NUM_PLAIN = 20_480  # rows that the plain product is timed on


class Search(NamedTuple):
    """first, second: (P,) row numbers of the pairs found. gigabytes: peak memory of the process."""

    first: np.ndarray
    second: np.ndarray
    seconds: float
    gigabytes: float

    @property
    def pairs(self) -> set[tuple[int, int]]:
        return set(zip(self.first.tolist(), self.second.tolist(), strict=True))


class Check(NamedTuple):
    """Of NUM_CHECKED rows' pairs by float64, how many there are and how many the search missed."""

    missed: int
    pairs: int


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=1280)
    parser.add_argument("--similarity", type=float, default=0.9)
    arguments = parser.parse_args()
    similarity, num_plain = arguments.similarity, min(NUM_PLAIN, arguments.rows)
    with tempfile.TemporaryDirectory(prefix="tandem-search-") as folder:
        path = Path(folder) / "features.npy"
        planted = in_new_process(generate, path, arguments.rows, arguments.dim)
        load = os.getloadavg()[0]
        exact = in_new_process(search, path, arguments.rows, similarity)
        plain = in_new_process(search, path, num_plain, similarity, num_directions=0)
        check = in_new_process(check_rows, path, similarity, exact)
        index = in_new_process(search, path, arguments.rows, similarity, exact_to=0)
        by_hash = {bits: in_new_process(recall_by_hash, arguments.rows, bits) for bits in HASH_DISTANCES}
    print(f"{arguments.rows} x {arguments.dim}, cosine >= {similarity}; load {load:.1f}, NumPy {np.__version__}")
    plain_seconds = plain.seconds * (arguments.rows / num_plain) ** 2
    conclude([*exact_figures(exact, planted, check, plain_seconds), *index_figures(index, exact, by_hash)], arguments)


def exact_figures(exact: Search, planted: list[tuple[int, int]], check: Check, plain_seconds: float) -> list[Figure]:
    num_found = sum(pair in exact.pairs for pair in planted)
    return [
        at_most("seconds", 60, exact.seconds, ".1f"),
        at_most("peak memory, GB", 2, exact.gigabytes, ".2f"),
        exactly("planted near duplicates found", len(planted), num_found),
        exactly(f"pairs of {NUM_CHECKED} rows missed, of {check.pairs} in float64", 0, check.missed),
        reported("pairs found", len(exact.pairs), "d"),
        reported("plain product, s (extrapolated from fewer rows)", plain_seconds, ".0f"),
    ]


def index_figures(index: Search, exact: Search, by_hash: Mapping[int, float]) -> list[Figure]:
    recall = len(exact.pairs & index.pairs) / max(1, len(exact.pairs))
    return [
        at_least("approximate index: recall", 0.99, recall, ".4f"),
        exactly("approximate index: pairs that the exact search has not", 0, len(index.pairs - exact.pairs)),
        reported("approximate index: seconds", index.seconds, ".1f"),
        reported("approximate index: peak memory, GB", index.gigabytes, ".2f"),
        *(
            reported(f"samples of bits: recall, hashes with {bits} of 256 bits flipped", recall, ".4f")
            for bits, recall in by_hash.items()
        ),
    ]


def in_new_process(function: Callable[..., Any], *arguments: object, **options: object) -> Any:
    """The result of the function in a new process, whose memory is its own."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as process:
        return process.submit(function, *arguments, **options).result()


def generate(path: Path, num_rows: int, dim: int) -> list[tuple[int, int]]:
    """Write the features, and return the pairs of a row and its near duplicate."""
    rng = np.random.default_rng(SEED)
    features = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(num_rows, dim))
    spectrum = np.arange(1, dim + 1, dtype=np.float32) ** -0.6
    mixing = rng.standard_normal((dim, dim), dtype=np.float32) / np.sqrt(2 * np.sum(spectrum**2))
    common = rng.standard_normal(dim, dtype=np.float32)
    centers = rng.standard_normal((NUM_CLUSTERS, dim), dtype=np.float32)
    for start in range(0, num_rows, CHUNK):
        chunk = features[start : start + CHUNK]
        noise = rng.standard_normal(chunk.shape, dtype=np.float32)
        latent = noise + centers[rng.integers(NUM_CLUSTERS, size=len(chunk))]
        chunk[:] = np.maximum(0.7 * common - 0.4 + (spectrum * latent) @ mixing, 0)
    first, second = planted_pairs(rng, num_rows).T
    features[second] = features[first] * rng.uniform(0.8, 1.2, size=(len(first), dim))
    return list(zip(first.tolist(), second.tolist(), strict=True))


def planted_pairs(rng: np.random.Generator, num_rows: int) -> np.ndarray:
    """(P, 2) rows that a near duplicate is planted in, smaller first, none twice."""
    rows = rng.permutation(num_rows)[: 2 * min(NUM_PLANTED, num_rows // 4)]
    return np.sort(rows.reshape(-1, 2), axis=1)


def search(
    path: Path, num_rows: int, min_similarity: float, *, num_directions: int | None = None, exact_to: int = 10**9
) -> Search:
    features = np.load(path, mmap_mode="r")[:num_rows]
    started = time.perf_counter()
    if num_rows > exact_to:
        pairs, _ = similar_and_nearest(features, min_similarity=min_similarity, k=0, exact_to=exact_to)
    else:
        pairs = radius_pairs(features, min_similarity=min_similarity, num_directions=num_directions)
    seconds = time.perf_counter() - started
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
    return Search(pairs.first, pairs.second, seconds, gigabytes)


def recall_by_hash(num_rows: int, distance: int) -> float:
    """The fraction of planted pairs of hashes, so many bits apart, that samples of bits find."""
    rng = np.random.default_rng(SEED)
    hashes = rng.integers(256, size=(num_rows, 8, 32), dtype=np.uint8)
    planted = planted_pairs(rng, num_rows)
    for one, other in planted.tolist():
        flips = np.zeros(256, dtype=np.uint8)
        flips[rng.permutation(256)[:distance]] = 1
        hashes[other, 5] = hashes[one, 0] ^ np.packbits(flips)
    found = hash_pairs(hashes, max_distance=distance, num_neighbors=0, exact_to=0).similar
    return len(set(map(tuple, planted.tolist())) & set(map(tuple, found.tolist()))) / len(planted)


def check_rows(path: Path, min_similarity: float, exact: Search) -> Check:
    """Pairs of some rows with all others, by float64."""
    features = np.load(path, mmap_mode="r")
    rows = np.sort(np.random.default_rng(SEED).permutation(len(features))[:NUM_CHECKED])
    chosen = features[rows] / np.linalg.norm(features[rows].astype(np.float64), axis=1, keepdims=True)
    similar = set[tuple[int, int]]()
    for start in range(0, len(features), CHUNK):
        chunk = features[start : start + CHUNK].astype(np.float64)
        unit = chunk / np.linalg.norm(chunk, axis=1, keepdims=True)
        one, other = np.nonzero(chosen @ unit.T >= min_similarity)
        pairs = zip(rows[one].tolist(), (other + start).tolist(), strict=True)
        similar |= {(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]}
    return Check(len(similar - exact.pairs), len(similar))


if __name__ == "__main__":
    main()
