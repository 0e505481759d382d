"""Frames and bursts from files as people have them to splits: real JPEG files with EXIF data.

The scripts of ingest and merge run; features are planted; then what the stage curate calls, and its leakage check.
"""

import hashlib
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from planted_images import DIM, some_features, textured_image, with_capture
from planted_project import stage
from tandem.curation.curate import Curated, curate, load_curate_inputs
from tandem.curation.disputed import thumbnails_reader
from tandem.curation.duplicates.descriptions import keypoints_reader
from tandem.curation.leak_check import check_leakage
from tandem.curation.settings import CurateSettings
from tandem.pipeline.params import read_params, section
from tandem.shards import pack
from tandem.tables.decisions import Decisions, save_decisions
from tandem.tables.features import write_features
from tandem.tables.index import load_index

ROOT = Path(__file__).parents[2]
SEED = 5  # by which each kind is torn where nothing keeps it together
KINDS = {  # of eight images each: name of the n-th, and what its EXIF data state
    "frames": ("train/{label}/clip03_frame_{n:04}.jpg", "0000:00:00 00:00:00"),
    "roboflow": ("valid/{label}/video1_mp4-{n}_jpg.rf.{digest}.jpg", ""),
    "burst": ("{label}/DSC_{n:04}.JPG", "2024:05:01 10:11:{n:02}"),
    "phone": ("{label}/IMG_20240601_1011{n:02}_jpg.rf.{digest}.jpg", ""),
    "reset": ("{label}/P10{n:04}.JPG", "2000:01:01 00:00:00"),
}


def planted_files(folder: Path) -> None:
    """Eight of each kind, half cars and half trucks, and sixty that are merely numbered, a minute apart."""
    files = {}
    for number in range(60):
        name = f"{('car', 'truck')[number % 2]}/photo_{number:03}.jpg"
        files[name] = f"2024:07:01 12:{number:02}:00"
    for pattern, taken in KINDS.values():
        for n in range(8):
            digest = hashlib.md5(pattern.format(label="", n=n, digest="").encode()).hexdigest()
            files[pattern.format(label=("car", "truck")[n % 2], n=n, digest=digest)] = taken.format(n=n)
    for seed, (name, taken) in enumerate(files.items()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(with_capture(textured_image(seed), taken))


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of one source after ingest and merge, with features in which no two images are alike."""
    folder = tmp_path_factory.mktemp("project")
    params = (ROOT / "params.yaml").read_text(encoding="utf-8")
    sources = "sources:\n  yard: {kind: archive, archive: {path: yard}, format: class_folders}\n\ningest:"
    params = re.sub(r"^sources:.*?^ingest:", sources, params, flags=re.DOTALL | re.MULTILINE)
    params = params.replace("    motorcycle: [moto]\n", "").replace("max_side_px: 640", "max_side_px: 100")
    (folder / "params.yaml").write_text(params, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("data/check/code").mkdir(parents=True)
        Path("data/check/code/ingest.txt").touch()
        planted_files(Path("tree"))
        Path("data/download/files/yard").mkdir(parents=True)
        pack(Path("tree"), Path("data/download/files/yard"))
        stage("ingest").main("yard")
        stage("merge").main()
        ids = load_index(Path("data/merge/index.csv")).ids
        batch = np.stack([some_features(seed) for seed in range(len(ids))])[:, None]
        meta = {"backbone": "mobilenet_v2"}
        write_features(Path("data/extract/mobilenet_v2"), ids=ids, dim=DIM, batches=[batch], meta=meta)
        save_decisions(Decisions(()), Path("data/review/decisions.csv"))
    return folder


def curated(folder: Path, bursts: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Curated, dict[str, set[str]]]:
    """And the splits that each kind of files lies in."""
    monkeypatch.chdir(folder)
    params = read_params()
    params["curate"] |= {"seed": SEED, "candidates": {**params["curate"]["candidates"], "num_neighbors": 0}}
    params["curate"]["bursts"] = {
        "off": {"by_name": False, "within_seconds": None},
        "on": {"by_name": True, "within_seconds": 2.0},
    }[bursts]
    settings = section(params, "curate", CurateSettings)
    inputs = load_curate_inputs(
        Path("data/merge"), Path("data/extract/mobilenet_v2"), decisions_path=Path("data/review/decisions.csv")
    )
    images, sha256 = inputs.stored.packed(Path("data/ingest")), inputs.stored.sha256
    with keypoints_reader(images, sha256, max_gb=0) as keypoints_of:
        found = curate(inputs, settings, keypoints_of=keypoints_of, max_gb=0)
    check_leakage(
        inputs.index,
        found.samples.rows_by_split(),
        features=inputs.features,
        hashes=inputs.hashes,
        linked=found.links.rows,
        rejected=found.rejected.pairs.rows,
        decisions=inputs.decisions,
        thumbnails_of=thumbnails_reader(images, sha256, max_gb=0),
        settings=settings,
    )
    splits = defaultdict(set)
    for origins, split in zip(inputs.index.origins, found.samples.splits.tolist(), strict=True):
        name = origins[0].path.split("/")[-1]
        kind = next(
            (kind for kind, (pattern, _) in KINDS.items() if pattern.split("/")[-1][:4] == name[:4]), "numbered"
        )
        splits[kind].add(split)
    return found, splits


def test_with_the_option_each_video_and_burst_lies_in_one_split(merged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, splits = curated(merged, "on", monkeypatch)
    assert {kind for kind, of_kind in splits.items() if len(of_kind) == 1} == {"frames", "roboflow", "burst", "phone"}
    sizes = np.unique(found.samples.groups, return_counts=True)[1]
    assert sorted(sizes[sizes > 1].tolist()) == [8, 8, 8, 8]
    assert len(found.samples) == 60 + 8 * len(KINDS)


def test_without_it_they_are_torn(merged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, splits = curated(merged, "off", monkeypatch)
    assert all(len(of_kind) > 1 for of_kind in splits.values())
    assert len(set(found.samples.groups.tolist())) == len(found.samples)
