"""Whatever part of curation is at fault, the stage stops: each part is broken in turn and the real script is run.

Tested with planted images on disk, in a folder as the stages before it leave it; see planted_project.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from planted_project import plant_images, stage
from tandem.cache.once import compute_once
from tandem.cache.store import CACHE_DIR
from tandem.curation import bursts, disputed
from tandem.curation import curate as parts
from tandem.curation.disputed import thumbnails_reader
from tandem.curation.duplicates import verify
from tandem.curation.duplicates.candidates import Candidates
from tandem.curation.duplicates.descriptions import keypoints_reader
from tandem.curation.duplicates.verify import ScoredPairs
from tandem.curation.leak_check import check_leakage
from tandem.curation.links import Links
from tandem.curation.settings import CurateSettings
from tandem.errors import DataError
from tandem.pipeline.params import read_params, section
from tandem.tables.samples import SPLITS

TURNS = cycle(SPLITS)
NONE = np.zeros((0, 2), dtype=np.int64)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    plant_images(folder := tmp_path_factory.mktemp("project"))
    return folder


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script of the stage. What its first run found of pairs and images is kept for the others."""
    return stage("curate")


def no_candidates(found: Candidates) -> Candidates:
    return Candidates(found.pairs.where(np.zeros(len(found.pairs), dtype=bool)), found.is_similar[:0], NONE)


def without_stems(found: Candidates) -> Candidates:
    return replace(found, same_stem=NONE)


def all_different(scored: ScoredPairs) -> ScoredPairs:
    return ScoredPairs(scored.pairs, np.zeros(len(scored)))


def copies_different(scored: ScoredPairs) -> ScoredPairs:
    """Of what is verified, crops alone are still found."""
    return ScoredPairs(scored.pairs, np.where(scored.pairs.similarity > 0.9, 0, scored.correlation))


def no_groups(components: np.ndarray) -> np.ndarray:
    return np.arange(len(components))


def no_links(links: Links) -> Links:
    return Links(NONE, links.correlation[:0])


SABOTAGE = [
    ("find_candidates", no_candidates, r"hash distance 0 of 256 <= 64|cosine (0.99|1)"),
    ("find_candidates", without_stems, r"both are of stem:snapshots/\w+, cosine 0\.85"),
    ("verify_candidates", all_different, r"pairs in two splits were verified as different.*like copies of one file"),
    ("verify_candidates", copies_different, r"pairs in two splits were verified as different.*like copies of one file"),
    ("connected_components", no_groups, r"curation linked them"),
    ("merge_components", no_groups, r"both are of video:snapshots/"),
    ("duplicate_links", no_links, r"a decision joins them"),
    ("rows_of_pairs", lambda _: NONE, r"a decision joins them"),
    ("assign_split", lambda _: next(TURNS), r"group \w+ is in two splits"),
    ("same_scene_pairs", lambda _: NONE, r"both are of video:snapshots/"),
    ("shot_pairs", lambda _: NONE, r"one camera took both within 1\.5 s"),
]


def test_where_no_part_is_at_fault_all_that_is_planted_is_found_and_nothing_disputed(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    settings, merge = section(read_params(), "curate", CurateSettings), Path("data/merge")
    features, decisions = Path("data/extract/mobilenet_v2"), Path("data/review/decisions.csv")
    inputs = parts.load_curate_inputs(merge, features, decisions_path=decisions)
    images, sha256 = inputs.stored.packed(Path("data/ingest")), inputs.stored.sha256
    with keypoints_reader(images, sha256, max_gb=0) as keypoints_of:
        curated = parts.curate(inputs, settings, keypoints_of=keypoints_of, max_gb=0)
    leaks = check_leakage(
        inputs.index,
        curated.samples.rows_by_split(),
        features=inputs.features,
        hashes=inputs.hashes,
        linked=curated.links.rows,
        rejected=curated.rejected.pairs.rows,
        decisions=inputs.decisions,
        thumbnails_of=thumbnails_reader(images, sha256, max_gb=0),
        settings=settings,
    )
    assert (len(curated.near_duplicates), len(curated.same_stem)) == (12, 6)  # copies and crops
    assert len(curated.links.rows) == 12 + 6 + 6  # and what a person decided
    assert (len(leaks.disputed), leaks.disputed.num_judged > 10) == (0, True)


def zeros(values: np.ndarray) -> np.ndarray:
    return np.zeros_like(values)


def of_the_next(values: np.ndarray) -> np.ndarray:
    return np.roll(values, 1, axis=0)


@pytest.mark.parametrize(
    ("measures", "spoil"), [([verify], of_the_next), ([verify], zeros), ([verify, disputed], zeros)]
)
def test_the_stage_stops_when_values_are_kept_wrongly(
    measures: list[ModuleType], spoil: Callable, project: Path, script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    for measure in measures:
        monkeypatch.setattr(measure, "compute_once", lambda *args, **options: spoil(compute_once(*args, **options)))
    with pytest.raises(DataError, match="pairs in two splits were verified as different"):
        script.main()


def test_the_stage_stops_when_what_was_kept_came_of_a_verification_at_fault(
    project: Path, script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(project)
    monkeypatch.setenv(CACHE_DIR, str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(verify, "_correlation", lambda one, other, is_similar: 0.0)
        with pytest.raises(DataError, match="like copies of one file"):
            script.main()
    with pytest.raises(DataError, match="like copies of one file"):
        script.main()  # of the store, which no change of code has emptied


@pytest.mark.parametrize(("part", "spoil", "message"), SABOTAGE)
def test_the_stage_stops_when_a_part_of_curation_is_at_fault(
    part: str, spoil: Callable, message: str, project: Path, script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    module = next(each for each in (parts, bursts, verify) if hasattr(each, part))
    right: Callable[..., Any] = getattr(module, part)
    monkeypatch.setattr(module, part, lambda *args, **options: spoil(right(*args, **options)))
    with pytest.raises(DataError, match=message):
        script.main()
    assert not (project / "data/curate").exists()
