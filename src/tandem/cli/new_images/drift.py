"""The command `tandem drift`: whether new images are still like the training data."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import typer

from tandem.cli.new_images.project import (
    DATA,
    FinishedProject,
    NewImages,
    counts_as_dict,
    counts_in_words,
    load_finished,
    read_new_images,
)
from tandem.cli.output import print_json
from tandem.datasets.ingested import IngestedImage, load_ingested_images
from tandem.monitoring.drift import (
    DriftTest,
    ImageTable,
    PredictedClasses,
    drift_in_words,
    find_drift,
    image_properties,
)
from tandem.monitoring.lookalikes import groups_of_new
from tandem.tables.logits import load_logits_in

FOUND, FAILED = 3, 1  # exit codes; 2 is that of a wrong option
_ANY_SIDE = 1  # px: images that ingest would exclude as too small are drift, too


def report_drift(names: Sequence[str], *, alpha: float, max_images: int, seed: int, as_json: bool) -> int:
    """Print what was compared, a line a test and the verdict; the exit code.

    max_images: that are compared of either side, a random sample of more. Raises DataError where the project has no
    finished run, and for too few images.
    """
    project = load_finished()
    new = read_new_images(names, project, max_images=max_images, seed=seed, min_side_px=_ANY_SIDE, beside_known=False)
    groups = groups_of_new(new.images.ids, new.images.provenance_keys, new.near_duplicates)
    reference = _train_images(project, max_images=max_images, seed=seed)
    predicted = _predicted_of_test(project), PredictedClasses(groups, new.probs.argmax(axis=1))
    tests = find_drift(
        reference,
        _new_images(new, groups),
        predicted=predicted,
        class_names=project.samples.class_names,
        alpha=alpha,
        seed=seed,
    )
    is_drift = any(test.is_drift for test in tests)
    sizes = {"train": _size(reference.groups), "test": _size(predicted[0].groups), "new": _size(groups)}
    if as_json:
        facts = {"is_drift": is_drift, "alpha": alpha, "seed": seed, **counts_as_dict(new, project)}
        print_json({**facts, "compared": sizes, "tests": [asdict(test) for test in tests]})
    else:
        typer.echo(_table(new, project, tests, sizes, alpha=alpha))
    return FOUND if is_drift else FAILED if new.failed else 0


def _train_images(project: FinishedProject, *, max_images: int, seed: int) -> ImageTable:
    train = project.samples.train
    if len(train) > max_images:
        train = train.subset(np.sort(np.random.default_rng(seed).permutation(len(train))[:max_images]))
    by_id = dict[str, IngestedImage]()
    for source in project.params["sources"]:
        for image in load_ingested_images(DATA / "ingest" / source):
            by_id.setdefault(image.id, image)
    images = [by_id[id_] for id_ in train.ids]
    properties = image_properties(
        [(image.blur, image.brightness, image.entropy) for image in images],
        np.array([image.width for image in images]),
        np.array([image.height for image in images]),
    )
    return ImageTable(train.groups, properties, project.features[train.rows])


def _new_images(new: NewImages, groups: np.ndarray) -> ImageTable:
    properties = image_properties(new.images.quality, new.images.widths, new.images.heights)
    return ImageTable(groups, properties, new.features)


def _predicted_of_test(project: FinishedProject) -> PredictedClasses:
    """By the exported file, as the stage export saved it."""
    samples, test = project.samples, project.samples.test
    logits = load_logits_in(DATA / "export", ids=test.ids, class_names=samples.class_names)
    return PredictedClasses(test.groups, logits.argmax(axis=1))


def _size(groups: np.ndarray) -> dict[str, int]:
    return {"images": len(groups), "groups": len(np.unique(groups))}


def _table(
    new: NewImages,
    project: FinishedProject,
    tests: Sequence[DriftTest],
    sizes: dict[str, dict[str, int]],
    *,
    alpha: float,
) -> str:
    counted = {name: f"{size['images']} {name} images ({size['groups']} groups)" for name, size in sizes.items()}
    known = counts_as_dict(new, project)["in_project"]
    return "\n".join(
        [
            counts_in_words(new) + (f"; {known} are in the project already" if known else ""),
            f"{counted['new']} beside {counted['train']}; predicted classes beside those of {counted['test']}",
            "",
            f"{'':<18}{'train':>10}{'new':>10}  {'effect':>20}{'p':>9}{'adjusted':>10}",
            *(line for test in tests for line in _lines(test)),
            "",
            drift_in_words(tests, alpha=alpha),
        ]
    )


_EFFECTS = {"features": "MMD", "predicted_classes": "total variation"}  # of all others that of Kolmogorov and Smirnov


def _lines(test: DriftTest) -> list[str]:
    """A line of a test, and one a class."""
    effect = f"{_EFFECTS.get(test.name, 'KS')} {test.effect:.3f}"
    reference, new = test.reference, test.new
    values = ("", "") if reference is None or isinstance(reference, dict) else (f"{reference:.4g}", f"{new:.4g}")
    mark = "  drift" if test.is_drift else ""
    head = f"{test.name.replace('_', ' '):<18}{values[0]:>10}{values[1]:>10}"
    line = f"{head}  {effect:>20}{test.p_value:>9.4f}{test.adjusted_p_value:>10.4f}{mark}"
    if not isinstance(reference, dict) or not isinstance(new, dict):
        return [line]
    return [line, *(f"  {name:<16}{reference[name]:>10.3f}{new[name]:>10.3f}" for name in reference)]
