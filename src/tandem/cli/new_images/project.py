"""What `tandem drift` and `tandem select` read: a finished project, and images that are new to it.

Tested in tests/project/test_new_images.py.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import typer

from tandem.cli.output import on_one_line
from tandem.cli.predict import find_files
from tandem.curation.duplicates.descriptions import keypoints_reader
from tandem.curation.settings import CurateSettings
from tandem.datasets.settings import IngestSettings
from tandem.datasets.unlabeled import FailedFile, UnlabeledImages, read_unlabeled
from tandem.errors import DataError
from tandem.features.embedding import Compute
from tandem.features.reuse import extract_backbone
from tandem.features.settings import BackboneSettings, ExtractSettings
from tandem.files import load_array
from tandem.images.scaling import fastest_scale
from tandem.inference.exported import ExportedModel, load_exported
from tandem.inference.predict import MAX_PIXELS, STDIN, predict_files
from tandem.monitoring.lookalikes import new_near_duplicates
from tandem.pipeline.finished import params_of_finished_run
from tandem.pipeline.params import section
from tandem.pipeline.settings import RuntimeSettings
from tandem.tables.features import load_features
from tandem.tables.samples import Samples, load_samples
from tandem.tables.stored import StoredImages, load_stored

DATA, SCRATCH = Path("data"), Path(".tandem")


@dataclass(frozen=True, eq=False)
class FinishedProject:
    """samples: N, in the order of `stored`. features: (N, D) of the images themselves, by curate.backbone."""

    params: Mapping[str, Any]
    samples: Samples
    stored: StoredImages
    features: np.ndarray
    model: ExportedModel

    @property
    def curate(self) -> CurateSettings:
        """By which near duplicates are found."""
        return section(self.params, "curate", CurateSettings)

    @property
    def runtime(self) -> RuntimeSettings:
        """How many threads, and on which device."""
        return section(self.params, "runtime", RuntimeSettings)


@dataclass(frozen=True, eq=False)
class NewImages:
    """features: (N, D), like those of the project. probs: (N, C) by the exported model.

    near_duplicates: (L, 2) pairs of rows, of which the first are those of the project where they were asked for.
    failed: files that mean to be images, or were named, and cannot be read. num_others: no images in folders.
    """

    images: UnlabeledImages
    failed: tuple[FailedFile, ...]
    num_others: int
    features: np.ndarray
    probs: np.ndarray
    near_duplicates: np.ndarray


def load_finished() -> FinishedProject:
    """The project in this folder. Raises DataError where it has no finished run, or one by other parameters."""
    params = params_of_finished_run(DATA)
    samples, stored = load_samples(DATA / "curate"), load_stored(DATA / "merge/stored.csv")
    backbone = section(params, "curate", CurateSettings).backbone
    features = load_features(DATA / "extract" / backbone, ids=samples.ids).without_tta
    return FinishedProject(params, samples, stored, features, load_exported(DATA / "export/model.onnx"))


def read_new_images(
    names: Sequence[str], project: FinishedProject, *, max_images: int, seed: int, min_side_px: int, beside_known: bool
) -> NewImages:
    """All that is known of the images that are named, and a line on stderr for each file that cannot be read.

    names, max_images: see find_files, read_unlabeled. min_side_px: of an image that is taken. beside_known: whether
    near duplicates of the project's images are looked for, too. Raises DataError where there is no image.
    """
    if str(STDIN) in names:
        raise DataError("standard input (-) is one image, and several are compared here; name files or folders")
    named, in_folders = find_files(names)
    ingest = section(project.params, "ingest", IngestSettings)
    settings = replace(ingest, min_side_px=min_side_px, max_pixels=min(ingest.max_pixels, MAX_PIXELS))
    SCRATCH.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="new-images-", dir=SCRATCH) as folder:
        images = read_unlabeled(
            [*named, *in_folders],
            settings,
            pack_path=Path(folder) / "images",
            max_images=max_images,
            seed=seed,
            workers=project.runtime.workers,
        )
        is_named = set(named).__contains__
        failed = tuple(each for each in images.failed if each.is_image or is_named(each.path))
        for each in failed:
            typer.echo(f"error: {on_one_line(each.path)}: {each.failure}", err=True)
        if not len(images):
            raise DataError(f"there is no image that can be read in {' '.join(names)}; name other files or folders")
        features = _features(images, project)
        return NewImages(
            images,
            failed,
            len(images.failed) - len(failed),
            features,
            _probs(images, project),
            _near_duplicates(images, features, project, beside_known=beside_known),
        )


def counts_in_words(new: NewImages) -> str:
    """How many images were read, of how many files, and what became of the others."""
    parts = [f"{len(new.images)} new images"]
    if new.images.num_unread:
        parts.append(f"a random sample of {new.images.num_files} files (--max-images)")
    if new.failed:
        parts.append(f"{len(new.failed)} could not be read")
    if new.num_others:
        parts.append(f"{new.num_others} other files in folders are no images")
    return ", ".join(parts)


def counts_as_dict(new: NewImages, project: FinishedProject) -> dict[str, Any]:
    """The same for programs, and how many images the project has already."""
    known = set(project.samples.ids)
    return {
        "images": len(new.images),
        "files": new.images.num_files,
        "files_not_sampled": new.images.num_unread,
        "failed": [{"path": str(each.path), "reason": each.failure} for each in new.failed],
        "other_files": new.num_others,
        "in_project": sum(id_ in known for id_ in new.images.ids),
    }


def _features(images: UnlabeledImages, project: FinishedProject) -> np.ndarray:
    name, runtime = project.curate.backbone, project.runtime
    extraction = extract_backbone(
        name,
        section(project.params, f"backbones.{name}", BackboneSettings),
        section(project.params, "extract", ExtractSettings),
        images.packed,
        ids=images.sha256,
        compute=Compute(runtime.device, runtime.batch_size, runtime.workers),
        max_gb=runtime.feature_cache_gb,
    )
    return np.concatenate([batch[:, 0] for batch in extraction.batches])


def _probs(images: UnlabeledImages, project: FinishedProject) -> np.ndarray:
    """(N, C) by the exported model."""
    found = predict_files(
        images.packed,
        project.model,
        batch_size=project.runtime.batch_size,
        workers=project.runtime.workers,
        scale=fastest_scale(),
    )
    return np.array([each.probs for each in found])


def _near_duplicates(
    images: UnlabeledImages, features: np.ndarray, project: FinishedProject, *, beside_known: bool
) -> np.ndarray:
    """(L, 2) pairs of rows: of the new images, after those of the project where they are beside them."""
    all_features, hashes = features, images.hashes
    sha256, packed = list(images.sha256), list(images.packed)
    if beside_known:
        all_features = np.concatenate([project.features, features])
        hashes = np.concatenate([load_array(DATA / "merge/hashes.npy", ndim=3), hashes])
        sha256 = [*project.stored.sha256, *sha256]
        packed = [*project.stored.packed(DATA / "ingest"), *packed]
    max_gb = project.runtime.feature_cache_gb
    with keypoints_reader(packed, sha256, max_gb=max_gb) as keypoints_of:
        return new_near_duplicates(
            all_features,
            hashes,
            sha256,
            images.provenance_keys,
            settings=project.curate,
            keypoints_of=keypoints_of,
            max_gb=max_gb,
        )
