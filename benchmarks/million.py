"""The parts of curation that compare images with one another, at up to a million images: time, memory and recall.

    python benchmarks/million.py [--sizes 10000 100000 1000000] [--features FOLDER] [--json FILE]

Generates features (benchmarks/exact_search.py: 1,280 columns, clustered, with planted near duplicates) and hashes of
256 random bits with near duplicates of which 22, 40 and 60 bits are flipped. Each part runs in a process of its own at
each size: the search by features and that by hashes with the limits of presets/vehicles.yaml, groups and splits, and
the leakage check's own two searches; the last on random splits, so that half of the near duplicates lie across them.
Up to 25,000 images all pairs are compared; of more, those that an index, samples of bits or centers bring together.

Required: all parts together cost an image at most 1.3 times as much of the cores' time at the largest size as at 10,000
together with what else curation costs an image (--rest, ms: less than benchmarks/growth.py measures, which makes this
the harder to reach), at most 4 GB of memory, and recall of at least 0.99 by features (of the pairs of 256 rows that are
searched exactly) and 0.92 by hashes as far apart as the limit: 0.95 are expected, of a few hundred planted pairs.
Memory is anonymous memory (RssAnon, sampled): pages of the mapped file of features are not counted, as the system takes
them back when it needs them.

Prints required beside reached and exits 1 when a figure falls short. With a million images about an hour on two cores
that do nothing else, and 6 GB of disk in the folder of the features, where they stay for a later run if it is given.
"""

import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from exact_search import generate, in_new_process
from figures import Figure, at_least, at_most, conclude, make_parser, reported
from tandem.curation.across.bit_keys import near_hashes
from tandem.curation.across.buckets import near_cosines
from tandem.curation.across.exact import compare_all
from tandem.curation.duplicates.by_features.search import similar_and_nearest
from tandem.curation.duplicates.hashes import hash_pairs
from tandem.curation.groups import connected_components, merge_components
from tandem.curation.leak_check import COMPARED_TO
from tandem.curation.settings import SimilarityThresholds
from tandem.tables.splits import assign_split

SEED, DIM = 0, 1280
LIMITS, NEIGHBORS = SimilarityThresholds(0.9, 60), 5  # of presets/vehicles.yaml
FRACTIONS = {"train": 0.75, "val": 0.1, "test": 0.15}
FLIPPED, NUM_PLANTED = (22, 40, 60), 1000  # bits, and near duplicates of each
NUM_CHECKED = 256  # rows that are searched exactly, too
BASE = 10_000
MAX_GROWTH, MAX_GB = 1.3, 4
MIN_RECALL, MIN_HASH_RECALL = 0.99, 0.92
REST_MS = 4.0


class Part(NamedTuple):
    """What one part took, and what it found: recall by what it is of."""

    core_ms: float
    gigabytes: float
    recalls: dict[str, float]


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[BASE, 100_000, 1_000_000])
    parser.add_argument("--features", type=Path)
    parser.add_argument("--rest", type=float, default=REST_MS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tandem-million-") as temporary:
        folder = arguments.features or Path(temporary)
        measured = {size: measure(folder, size) for size in sorted(arguments.sizes)}
    conclude([*all_costs(measured), *required(measured, arguments.rest)], arguments)


def measure(folder: Path, size: int) -> dict[str, Part]:
    path = folder / f"features-{size}.npy"
    if not path.exists():
        in_new_process(generate, path, size, DIM)
    parts = {}
    for name, part in PARTS.items():
        parts[name] = in_new_process(measured_part, part, path, size)
        sys.stderr.write(f"{size} {name}: {parts[name]}\n")  # the figures come at the end, which may be long after it
    return parts


def measured_part(part: Callable[..., Any], path: Path, size: int) -> Part:
    """Run in a process of its own, whose memory is watched."""
    features, hashes, planted = np.load(path, mmap_mode="r"), *planted_hashes(size)
    rows = random_splits(size)
    before, done, watched = anonymous_bytes(), threading.Event(), list[int]()

    def watch() -> None:
        while not done.wait(0.05):
            watched.append(anonymous_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.process_time()
    recalls = part(features, hashes, rows)
    core_ms = 1000 * (time.process_time() - started) / size
    done.set()
    watcher.join()
    return Part(core_ms, max([before, *watched]) / 1e9, recalls(features, planted, rows))


def anonymous_bytes() -> int:
    """Of this process, in memory."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this system does not state RssAnon")


def planted_hashes(size: int) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """(N, 8, 32) and, for each number of flipped bits, (P, 2) rows: the other's fourth orientation is the near one."""
    rng = np.random.default_rng(SEED)
    hashes = rng.integers(256, size=(size, 8, 32), dtype=np.uint8)
    rows = rng.permutation(size)
    planted = {}
    for bits in FLIPPED:
        pairs, rows = np.split(rows, [2 * min(NUM_PLANTED, size // 10)])
        planted[bits] = pairs.reshape(-1, 2)
        for one, other in planted[bits].tolist():
            flips = np.zeros(256, dtype=np.uint8)
            flips[rng.permutation(256)[:bits]] = 1
            hashes[other, 3] = hashes[one, 0] ^ np.packbits(flips)
    return hashes, planted


def random_splits(size: int) -> dict[str, np.ndarray]:
    splits = np.random.default_rng(SEED + 1).choice(len(FRACTIONS), size=size, p=list(FRACTIONS.values()))
    return {name: np.flatnonzero(splits == number) for number, name in enumerate(FRACTIONS)}


def by_features(features: np.ndarray, _hashes: np.ndarray, _rows: Mapping[str, np.ndarray]) -> Callable[..., Any]:
    pairs, nearest = similar_and_nearest(features, min_similarity=LIMITS.min_similarity, k=NEIGHBORS)
    return lambda features, _planted, _rows: recall_of_rows(features, pairs.rows, nearest)


def by_hashes(_features: np.ndarray, hashes: np.ndarray, _rows: Mapping[str, np.ndarray]) -> Callable[..., Any]:
    found = hash_pairs(hashes, max_distance=LIMITS.max_hash_distance, num_neighbors=2)
    return lambda _features, planted, _rows: recall_of_planted(found.similar, planted)


def groups_and_splits(features: np.ndarray, _hashes: np.ndarray, _rows: Any) -> Callable[..., Any]:
    size = len(features)
    rng = np.random.default_rng(SEED)
    links = rng.integers(size, size=(size // 2, 2))
    groups = merge_components(connected_components(size, links), rng.integers(size, size=(size // 10, 2)))
    for row in groups.tolist():
        assign_split(f"{row:032x}", fractions=FRACTIONS, seed=SEED)
    return lambda *_: {}


def leaks_by_features(features: np.ndarray, hashes: np.ndarray, rows: Mapping[str, np.ndarray]) -> Callable[..., Any]:
    if len(features) <= COMPARED_TO:
        compare_all(features, np.zeros_like(hashes), rows, LIMITS)  # flat: no hash is compared
        return lambda *_: {}
    pairs, _, _ = near_cosines(features, rows, LIMITS.min_similarity)
    return lambda features, _planted, rows: recall_across(features, pairs, rows)


def leaks_by_hashes(features: np.ndarray, hashes: np.ndarray, rows: Mapping[str, np.ndarray]) -> Callable[..., Any]:
    if len(features) <= COMPARED_TO:
        nothing = np.zeros((len(features), 1), dtype=np.float32)  # whose cosines are 0
        compare_all(nothing, hashes, rows, LIMITS)
        return lambda *_: {}
    pairs, _ = near_hashes(hashes, rows, LIMITS.max_hash_distance)
    return lambda _features, planted, rows: recall_of_planted(pairs, planted, rows)


def recall_of_rows(features: np.ndarray, pairs: np.ndarray, nearest: np.ndarray) -> dict[str, float]:
    """Of the similar pairs and the nearest of some rows, by all their cosines."""
    rows, cosines = checked_rows(features)
    similar = {(min(i, j), max(i, j)) for at, i in enumerate(rows) for j in np.flatnonzero(cosines[at] >= 0.9).tolist()}
    best = np.argsort(-cosines, axis=1)[:, :NEIGHBORS]
    near = {(min(i, j), max(i, j)) for at, i in enumerate(rows) for j in best[at].tolist()}
    return {"similar": share(similar, pairs), "nearest": share(near, nearest)}


def recall_across(features: np.ndarray, pairs: np.ndarray, rows: Mapping[str, np.ndarray]) -> dict[str, float]:
    chosen, cosines = checked_rows(features)
    split_of = splits_of(len(features), rows)
    similar = {
        (min(i, j), max(i, j))
        for at, i in enumerate(chosen)
        for j in np.flatnonzero((cosines[at] >= 0.9) & (split_of != split_of[i])).tolist()
    }
    return {"similar": share(similar, pairs)}


def checked_rows(features: np.ndarray) -> tuple[list[int], np.ndarray]:
    """Row numbers and their cosines with all rows; -1 with themselves. Half of them have similar ones."""
    rng = np.random.default_rng(SEED)
    rows = np.sort(rng.permutation(len(features))[:NUM_CHECKED])
    unit = features[rows] / np.linalg.norm(features[rows], axis=1, keepdims=True)
    cosines = np.empty((len(rows), len(features)), dtype=np.float32)
    for start in range(0, len(features), 8192):
        block = features[start : start + 8192]
        cosines[:, start : start + 8192] = unit @ (block / np.linalg.norm(block, axis=1, keepdims=True)).T
    cosines[np.arange(len(rows)), rows] = -1
    return rows.tolist(), cosines


def recall_of_planted(
    found: np.ndarray, planted: Mapping[int, np.ndarray], rows: Mapping[str, np.ndarray] | None = None
) -> dict[str, float]:
    """rows: of the splits, in two of which a pair must lie, the near orientation in the later one."""
    recalls = {}
    for bits, pairs in planted.items():
        kept = pairs
        if rows is not None:
            split_of = splits_of(max(map(np.max, rows.values())) + 1, rows)
            kept = pairs[split_of[pairs[:, 0]] < split_of[pairs[:, 1]]]
        recalls[f"{bits} bits"] = share({(min(i, j), max(i, j)) for i, j in kept.tolist()}, found)
    return recalls


def splits_of(size: int, rows: Mapping[str, np.ndarray]) -> np.ndarray:
    split_of = np.full(size, -1)
    for number, numbers in enumerate(rows.values()):
        split_of[numbers] = number
    return split_of


def share(wanted: set[tuple[int, int]], found: np.ndarray) -> float:
    pairs = set(map(tuple, found.tolist()))
    return len(wanted & pairs) / max(1, len(wanted))


PARTS: dict[str, Callable[..., Any]] = {
    "search by features": by_features,
    "search by hashes": by_hashes,
    "groups and splits": groups_and_splits,
    "leakage check by features": leaks_by_features,
    "leakage check by hashes": leaks_by_hashes,
}


def all_costs(measured: Mapping[int, Mapping[str, Part]]) -> list[Figure]:
    return [
        figure
        for size, parts in measured.items()
        for name, part in parts.items()
        for figure in (
            reported(f"{name}: {size} images, core-ms an image", part.core_ms, ".3f"),
            reported(f"{name}: {size} images, anonymous memory, GB", part.gigabytes, ".2f"),
            *(reported(f"{name}: {size} images, recall, {of}", value, ".4f") for of, value in part.recalls.items()),
        )
    ]


def required(measured: Mapping[int, Mapping[str, Part]], rest_ms: float) -> list[Figure]:
    """Of the largest size."""
    size, parts = max(measured), measured[max(measured)]
    base = measured.get(BASE, measured[min(measured)])
    total, total_base = (rest_ms + sum(part.core_ms for part in each.values()) for each in (parts, base))
    figures = [
        at_most(
            f"core time an image, {rest_ms:g} ms taken for all else, {size} against {BASE}",
            MAX_GROWTH,
            total / total_base,
            ".2f",
        ),
        at_most("most anonymous memory, GB", MAX_GB, max(part.gigabytes for part in parts.values()), ".2f"),
    ]
    return figures + recall_figures(parts)


def recall_figures(parts: Mapping[str, Part]) -> list[Figure]:
    return [
        at_least(f"recall, {name}, {of}", MIN_RECALL if of in ("similar", "nearest") else MIN_HASH_RECALL, value, ".4f")
        for name, part in parts.items()
        for of, value in part.recalls.items()
    ]


if __name__ == "__main__":
    main()
