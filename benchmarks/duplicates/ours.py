"""The pairs that the curate stage would find, and what they cost."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from duplicates.measuring import Run
from duplicates.planted import Images
from duplicates.transformations import TRANSFORMATIONS
from tandem.curation.duplicates.candidates import find_candidates
from tandem.curation.duplicates.descriptions import keypoint_keys, keypoints_reader
from tandem.curation.duplicates.verify import verify_candidates
from tandem.curation.settings import CurateSettings
from tandem.images.decode import decode
from tandem.images.hashing import dihedral_phashes


class Costs(NamedTuple):
    """Milliseconds of the processor an image: our pairs, and one pass of MobileNetV2 with decoding."""

    pairs_ms: float
    pass_ms: float


def find_pairs(images: Images, features: np.ndarray, settings: CurateSettings) -> tuple[Run, float]:
    """Our pairs, and milliseconds an image: its hash, and a run's seconds over its images, the mean of all runs.

    Each run makes its keypoints anew. Decoding is not counted for hashes: the merge hashes what it has decoded anyhow.
    """
    hashes, hash_seconds = _hashes(images.paths)
    found, seconds, num_rows = {}, 0.0, 0
    for name in TRANSFORMATIONS:
        rows = images.rows(name)
        paths, ids = [images.paths[row] for row in rows], [str(row) for row in rows]
        started = time.process_time()
        with keypoints_reader(paths, ids, max_gb=0) as keypoints_of:
            keys = keypoint_keys(keypoints_of, ids, max_gb=0)
            candidates = find_candidates(features[rows], hashes[rows], keys, stems=[], settings=settings)
            scored = verify_candidates(candidates, keypoints_of, ids, max_gb=0)
        pairs = scored.where(scored.correlation >= settings.min_correlation).pairs
        seconds += time.process_time() - started
        num_rows += len(rows)
        found[name] = rows[pairs.rows]
    cost_ms = 1000 * (hash_seconds / len(images.paths) + seconds / num_rows)
    return Run("ours", found, hash_seconds + seconds), cost_ms


def _hashes(paths: Sequence[Path]) -> tuple[np.ndarray, float]:
    """(N, 8, 32) hashes, and seconds."""
    hashes, seconds = [], 0.0
    for path in paths:
        image = decode(path.read_bytes(), min_side_px=1, max_pixels=2**63).image
        started = time.process_time()
        hashes.append(dihedral_phashes(image))
        seconds += time.process_time() - started
    return np.stack(hashes), seconds
