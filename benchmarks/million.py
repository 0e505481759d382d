"""The parts of curation that compare images with one another, at up to a million images: time, memory and recall.

    python benchmarks/million.py [--sizes 10000 100000 1000000] [--folder DIR] [--json FILE]

Generates features (benchmarks/exact_search.py: 1,280 columns, clustered, with planted near duplicates) and hashes of
256 random bits with near duplicates of which 22, 40 and 60 bits are flipped, and keys of 100 keypoints an image, of
which near duplicates share 12, 24 and 48 (benchmarks/million_images.py). Each part runs in a process of its own at each
size: the searches by features, hashes and keypoints with the limits of presets/vehicles.yaml, what joins their pairs,
groups and splits, and the leakage check's own two searches; the last on random splits, so that half of the near
duplicates lie across them. Up to 25,000 images all pairs are compared; of more, those that an index, samples of bits or
centers bring together.

Required: all parts together with what else curation costs an image are at most 1.3 times as much of the cores' time at
the largest size as at 10,000. What else it costs (--rest, ms, at 10,000 and above) is what benchmarks/growth.py
measures of all of curate at 10,000 and 100,000 images less these parts, where FiftyOne's Brain compares 10,000 images
once more and 100,000 not. With the same rest at both, the lesser one, the ratio is reported. At most 4 GB of memory,
and recall of at least 0.99 by features (of the pairs of 256 rows that are searched exactly) and by keypoints, and 0.92
by hashes as far apart as the limit: 0.95 are expected, of a few hundred planted pairs. Memory is anonymous memory
(RssAnon, sampled): pages of mapped files, of features and keys, are not counted, as the system takes them back when it
needs them.

Prints required beside reached and exits 1 when a figure falls short. With a million images half an hour on two cores
that do nothing else, and 9 GB of disk.

--folder: where features and keys stay, and what was measured, so that a run that was interrupted goes on. Of changed
code nothing is measured anew: remove what is to be, such as DIR/1000000/*.json.
"""

import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from exact_search import generate, in_new_process
from figures import Figure, at_least, at_most, conclude, make_parser, reported
from million_images import FRACTIONS, SEED, Generated, load_generated, write_keys
from tandem.curation.across.bit_keys import near_hashes
from tandem.curation.across.buckets import near_cosines
from tandem.curation.across.exact import compare_all
from tandem.curation.duplicates.by_features.search import similar_and_nearest
from tandem.curation.duplicates.candidates import join_candidates
from tandem.curation.duplicates.descriptions import pairs_sharing_keypoints
from tandem.curation.duplicates.hashes import hash_pairs
from tandem.curation.groups import connected_components, merge_components
from tandem.curation.leak_check import COMPARED_TO
from tandem.curation.settings import SimilarityThresholds
from tandem.files import read_json, write_json
from tandem.tables.splits import assign_split

DIM = 1280
LIMITS, NEIGHBORS = SimilarityThresholds(0.9, 60), 5  # of presets/vehicles.yaml
SHARING = 2  # images that share the most keys with an image: of the default
NUM_CHECKED = 256  # rows that are searched exactly, too
BASE = 10_000
MAX_GROWTH, MAX_GB = 1.3, 4
MIN_RECALL, MIN_HASH_RECALL = 0.99, 0.92
REST_MS = 3.4, 1.85  # 4.11 and 2.45 core-ms of curate, less 0.73 and 0.60 of its parts, on one machine


Recalls = Callable[[], dict[str, float]]


class Part(NamedTuple):
    """What one part took, and what it found: recall by what it is of."""

    core_ms: float
    gigabytes: float
    recalls: dict[str, float]


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[BASE, 100_000, 1_000_000])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--rest", type=float, nargs=2, default=REST_MS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tandem-million-") as temporary:
        folder = arguments.folder or Path(temporary)
        measured = {size: measure(folder, size) for size in sorted(arguments.sizes)}
    conclude([*all_costs(measured), *required(measured, arguments.rest)], arguments)


def measure(folder: Path, size: int) -> dict[str, Part]:
    features, keys = folder / f"features-{size}.npy", folder / f"keys-{size}.npy"
    if not features.exists():
        in_new_process(generate, features, size, DIM)
    if not keys.exists():
        in_new_process(write_keys, keys, size)
    parts = {}
    for name, part in PARTS.items():
        kept = folder / str(size) / f"{name}.json"
        if not kept.exists():
            write_json(kept, in_new_process(measured_part, part, features, keys, size)._asdict())
        parts[name] = Part(**read_json(kept))
        sys.stderr.write(f"{size} {name}: {parts[name]}\n")  # the figures come at the end, which may be long after it
    return parts


def measured_part(part: Callable[[Generated], Recalls], features: Path, keys: Path, size: int) -> Part:
    """Run in a process of its own, whose memory is watched."""
    images = load_generated(features, keys, size)
    before, done, watched = anonymous_bytes(), threading.Event(), list[int]()

    def watch() -> None:
        while not done.wait(0.05):
            watched.append(anonymous_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.process_time()
    recalls = part(images)
    core_ms = 1000 * (time.process_time() - started) / size
    done.set()
    watcher.join()
    return Part(core_ms, max([before, *watched]) / 1e9, recalls())


def anonymous_bytes() -> int:
    """Of this process, in memory."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this system does not state RssAnon")


def by_features(images: Generated) -> Recalls:
    pairs, nearest = similar_and_nearest(images.features, min_similarity=LIMITS.min_similarity, k=NEIGHBORS)
    return lambda: recall_of_rows(images.features, pairs.rows, nearest)


def by_hashes(images: Generated) -> Recalls:
    found = hash_pairs(images.hashes, max_distance=LIMITS.max_hash_distance, num_neighbors=SHARING)
    return lambda: recall_of_planted(found.similar, images.planted_hashes, "bits")


def by_keypoints(images: Generated) -> Recalls:
    found = pairs_sharing_keypoints(images.keys, num_neighbors=SHARING)
    return lambda: recall_of_planted(found, images.planted_keys, "keys")


def joined(images: Generated) -> Recalls:
    """Random pairs, as many as the searches find at most."""
    rng, size = np.random.default_rng(SEED), len(images.features)
    found = [np.sort(rng.integers(size, size=(num * size, 2)), axis=1) for num in (1, NEIGHBORS, SHARING, SHARING)]
    similar, *nearest = found
    join_candidates(images.features, similar=[similar], nearest=nearest, same_stem=np.zeros((0, 2), dtype=np.int64))
    return dict


def groups_and_splits(images: Generated) -> Recalls:
    size = len(images.features)
    rng = np.random.default_rng(SEED)
    links = rng.integers(size, size=(size // 2, 2))
    groups = merge_components(connected_components(size, links), rng.integers(size, size=(size // 10, 2)))
    for row in groups.tolist():
        assign_split(f"{row:032x}", fractions=FRACTIONS, seed=SEED)
    return dict


def leaks_by_features(images: Generated) -> Recalls:
    features, rows = images.features, images.rows
    if len(features) <= COMPARED_TO:
        compare_all(features, np.zeros_like(images.hashes), rows, LIMITS)  # flat: no hash is compared
        return dict
    pairs, _, _ = near_cosines(features, rows, LIMITS.min_similarity)
    return lambda: recall_across(features, pairs, rows)


def leaks_by_hashes(images: Generated) -> Recalls:
    hashes, rows = images.hashes, images.rows
    if len(hashes) <= COMPARED_TO:
        nothing = np.zeros((len(hashes), 1), dtype=np.float32)  # whose cosines are 0
        compare_all(nothing, hashes, rows, LIMITS)
        return dict
    pairs, _ = near_hashes(hashes, rows, LIMITS.max_hash_distance)
    split_of = splits_of(len(hashes), rows)
    across = {bits: each[np.diff(split_of[each], axis=1)[:, 0] != 0] for bits, each in images.planted_hashes.items()}
    return lambda: recall_of_planted(pairs, across, "bits")


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


def recall_of_planted(found: np.ndarray, planted: Mapping[int, np.ndarray], what: str) -> dict[str, float]:
    return {
        f"{number} {what}": share({(min(i, j), max(i, j)) for i, j in pairs.tolist()}, found)
        for number, pairs in planted.items()
    }


def splits_of(size: int, rows: Mapping[str, np.ndarray]) -> np.ndarray:
    split_of = np.full(size, -1)
    for number, numbers in enumerate(rows.values()):
        split_of[numbers] = number
    return split_of


def share(wanted: set[tuple[int, int]], found: np.ndarray) -> float:
    pairs = set(map(tuple, found.tolist()))
    return len(wanted & pairs) / max(1, len(wanted))


PARTS: dict[str, Callable[[Generated], Recalls]] = {
    "search by features": by_features,
    "search by hashes": by_hashes,
    "search by keypoints": by_keypoints,
    "joining what was found": joined,
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


def required(measured: Mapping[int, Mapping[str, Part]], rest_ms: Sequence[float]) -> list[Figure]:
    """Of the largest size."""
    size, parts = max(measured), measured[max(measured)]
    base = measured.get(BASE, measured[min(measured)])
    total, total_base = (sum(part.core_ms for part in each.values()) for each in (parts, base))
    rest_base, rest = rest_ms
    what = f"core time of curation an image, {size} against {BASE}"
    figures = [
        at_most(
            f"{what}, all else {rest:g} and {rest_base:g} ms",
            MAX_GROWTH,
            (rest + total) / (rest_base + total_base),
            ".2f",
        ),
        reported(f"{what}, all else {rest:g} ms at both", (rest + total) / (rest + total_base), ".2f"),
        at_most("most anonymous memory, GB", MAX_GB, max(part.gigabytes for part in parts.values()), ".2f"),
    ]
    return figures + recall_figures(parts)


def recall_figures(parts: Mapping[str, Part]) -> list[Figure]:
    return [
        at_least(f"recall, {name}, {of}", MIN_HASH_RECALL if of.endswith("bits") else MIN_RECALL, value, ".4f")
        for name, part in parts.items()
        for of, value in part.recalls.items()
    ]


if __name__ == "__main__":
    main()
