"""Other methods on the same images: plain features, FiftyOne Brain, and the tools of duplicates/tools.py.

A threshold is either the method's default or, `tuned`, the one that finds the most duplicates at a precision of 0.99 or
more, chosen in hindsight on the very same images.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from duplicates import tools
from duplicates.measuring import MIN_PRECISION, Found, Run, best_threshold, is_wrong, score
from duplicates.planted import Images
from duplicates.transformations import TRANSFORMATIONS

BRAIN_DEFAULT = 0.2
BRAIN_DISTANCES = (0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.12, 0.14, 0.16, 0.18, 0.2, 0.22, 0.25, 0.3, 0.4)
PLAIN_FLOOR = 0.7  # lowest cosine of a pair of plain features
HASH_BITS = 64
# Similarity from which on a tool itself calls two images duplicates.
TOOL_DEFAULTS = {
    "imagededup": 1 - 10 / HASH_BITS,  # max_distance_threshold=10
    "fastdup": 0.9,  # threshold=0.9
    "difPy": -5.0,  # similarity="similar", a mean squared error of 5
    "CleanVision": 1.0,
    "SSCD": 0.75,  # copies with a precision of 0.9 on DISC, say its makers
    "SSCD-student": 0.75,
}


class Similar(NamedTuple):
    """(P, 2) row pairs and their similarities (P,), of one transformation."""

    pairs: np.ndarray
    similarity: np.ndarray


def baseline_runs(images: Images, features: np.ndarray, natural_set_of: np.ndarray, packages: Path) -> list[Run]:
    """All of them. Seconds leave out what the features cost, which ours has too; a tool's hold start and decoding."""
    started = time.process_time()
    similar = {name: similar_rows(features, images.rows(name), PLAIN_FLOOR) for name in TRANSFORMATIONS}
    runs = [tuned("plain features", similar, images, natural_set_of, seconds=time.process_time() - started)]
    runs += brain_runs(images, features, natural_set_of)
    folders = link_folders(images)
    for name, (package, _) in tools.TOOLS.items():
        if not (packages / package).is_dir():
            print(f"{name}: not installed in {packages}")
            continue
        runs += tool_runs(name, packages / package, folders, images, natural_set_of)
    return runs


def tuned(
    name: str, similar: Mapping[str, Similar], images: Images, natural_set_of: np.ndarray, *, seconds: float
) -> Run:
    """The pairs from the best threshold on."""
    pairs, similarities = (np.concatenate(part) for part in zip(*similar.values(), strict=True))
    threshold = best_threshold(similarities, is_wrong(pairs, images, natural_set_of))
    return Run(f"{name}, tuned", from_threshold(similar, threshold), seconds, f">= {threshold:.3f}")


def from_threshold(similar: Mapping[str, Similar], threshold: float) -> Found:
    return {name: pairs[similarity >= threshold] for name, (pairs, similarity) in similar.items()}


def similar_rows(features: np.ndarray, rows: np.ndarray, floor: float) -> Similar:
    """Pairs of `rows` with their cosines, from `floor` on."""
    unit = features[rows] / np.linalg.norm(features[rows], axis=1, keepdims=True)
    cosines = np.triu(unit @ unit.T, 1)
    i, j = np.nonzero(cosines >= floor)
    return Similar(np.stack([rows[i], rows[j]], axis=1), cosines[i, j])


def brain_runs(images: Images, features: np.ndarray, natural_set_of: np.ndarray) -> list[Run]:
    """FiftyOne Brain's near duplicates, tuned to the best of BRAIN_DISTANCES, and at its default.

    By their definition, not through its database: features are centered; in order, what is near to a kept image is
    dropped, and named with the nearest kept one.
    """
    started = time.process_time()
    cosines = {name: centered_cosines(features[images.rows(name)]) for name in TRANSFORMATIONS}
    tried = {
        distance: {name: images.rows(name)[pairs_with_kept(cosines[name], 1 - distance)] for name in TRANSFORMATIONS}
        for distance in BRAIN_DISTANCES
    }
    scores = {distance: score(found, images, natural_set_of) for distance, found in tried.items()}
    precise = [distance for distance in BRAIN_DISTANCES if scores[distance].precision >= MIN_PRECISION]
    best = max(precise or BRAIN_DISTANCES[:1], key=lambda distance: scores[distance].recall)
    seconds = (time.process_time() - started) / len(tried)
    return [
        Run("FiftyOne Brain, tuned", tried[best], seconds, f"<= {best}"),
        Run("FiftyOne Brain, default", tried[BRAIN_DEFAULT], seconds, f"<= {BRAIN_DEFAULT}"),
    ]


def centered_cosines(features: np.ndarray) -> np.ndarray:
    """(N, N) cosines of the features less their mean."""
    centered = features - features.mean(axis=0)
    centered /= np.linalg.norm(centered, axis=1, keepdims=True)
    return centered @ centered.T


def pairs_with_kept(cosines: np.ndarray, threshold: float) -> np.ndarray:
    """(P, 2): whatever is near to an earlier row that is kept, after the nearest of all that are kept."""
    is_kept = np.ones(len(cosines), dtype=bool)
    for row in range(len(cosines)):
        if is_kept[row]:
            is_kept[row + 1 :] &= cosines[row, row + 1 :] < threshold
    kept, dropped = np.flatnonzero(is_kept), np.flatnonzero(~is_kept)
    return np.stack([kept[cosines[np.ix_(dropped, kept)].argmax(axis=1)], dropped], axis=1)


def link_folders(images: Images) -> dict[str, Path]:
    """Transformation -> a folder of links to its images, for tools that read folders."""
    parent = images.paths[0].parent
    folders = {name: parent / f"by-{number:02}" for number, name in enumerate(TRANSFORMATIONS)}
    for name, folder in folders.items():
        folder.mkdir()
        for row in images.rows(name).tolist():
            (folder / images.paths[row].name).symlink_to(images.paths[row])
    return folders


def tool_runs(
    name: str, packages: Path, folders: Mapping[str, Path], images: Images, natural_set_of: np.ndarray
) -> list[Run]:
    """The tool tuned and at its default; one that knows no threshold only at that."""
    before = _seconds_of_children()
    answer = run_tool(name, packages, folders.values())
    seconds = _seconds_of_children() - before
    row_of = {path.name: row for row, path in enumerate(images.paths)}
    similar = {key: similar_by_name(answer[str(folder)], row_of) for key, folder in folders.items()}
    default = TOOL_DEFAULTS[name.partition(" ")[0]]
    at_default = Run(f"{name}, default", from_threshold(similar, default), seconds, f">= {default:.3f}")
    if name == "CleanVision":
        return [at_default._replace(threshold="")]
    return [tuned(name, similar, images, natural_set_of, seconds=seconds), at_default]


def run_tool(name: str, packages: Path, folders: Iterable[Path]) -> dict[str, list[tuple[str, str, float]]]:
    """Folder -> the pairs of file names that the tool finds, with their similarities."""
    environment = {**os.environ, "PYTHONPATH": str(packages)}
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        command = [sys.executable, tools.__file__, name, file.name, *map(str, folders)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"error: {name} failed:\n{done.stderr[-2000:]}")
        return json.load(file)


def similar_by_name(found: Iterable[tuple[str, str, float]], row_of: Mapping[str, int]) -> Similar:
    """Pairs of names as pairs of rows, smaller first, each once with its highest similarity."""
    best: dict[tuple[int, int], float] = {}
    for one, other, similarity in found:
        pair = (min(row_of[one], row_of[other]), max(row_of[one], row_of[other]))
        best[pair] = max(similarity, best.get(pair, -np.inf))
    pairs = np.array(sorted(best), dtype=np.int64).reshape(-1, 2)
    return Similar(pairs, np.array([best[pair] for pair in sorted(best)], dtype=np.float64))


def _seconds_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
