"""How often `tandem drift` finds drift on photographs: where there is none, and where it was planted.

    python benchmarks/drift.py --archives DIR [--draws 200] [--json FILE]

DIR is as for benchmarks/real_photos.py. The vehicles and scenes presets run up to curate; near duplicates are kept, as
groups. Of each draw the groups of vehicles are parted at random into what a model is fitted to, its test images and new
ones, and the command's tests are asked at alpha 0.05. In a quarter as many draws the new images are others: darkened to
70 %, scenes, or with more trucks among them. Prints required beside reached and exits 1 when a figure falls short.
About six minutes.
"""

import hashlib
import io
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageEnhance
from scipy.stats import binom

from figures import Figure, at_least, at_most, conclude, make_parser, reported
from scratch import SCENES, VEHICLES, WEIGHTS, change_params, images_of, make_clone, read_params, repro, require_files
from tandem.datasets.ingested import IngestedImage, load_ingested_images
from tandem.features.embedding import Compute
from tandem.features.reuse import extract_backbone
from tandem.features.settings import BackboneSettings, ExtractSettings
from tandem.images.quality import Quality, measure_quality
from tandem.monitoring.drift import ImageTable, PredictedClasses, find_drift, image_properties
from tandem.pipeline.params import section
from tandem.pipeline.settings import RuntimeSettings
from tandem.tables.samples import load_samples
from tandem.training.fitting.logistic import fit_logistic
from tandem.training.linear import Linear

ALPHA = 0.05
NUM_TEST, NUM_NEW = 150, 150
BRIGHTNESS = 0.7
RARE, FRACTIONS = "truck", (0.3, 0.4, 0.6)  # a class, and how much of the new images it is made
C = 0.01
MIN_FOUND, REQUIRED = 0.95, ("darkened", "scenes")


class InMemory(NamedTuple):
    """An encoded image."""

    data: bytes

    def read_bytes(self) -> bytes:
        return self.data


@dataclass(frozen=True, eq=False)
class Photos:
    """The images of a clone that are used: what is compared of them, and their classes."""

    table: ImageTable
    targets: np.ndarray
    class_names: Sequence[str]

    def subset(self, rows: np.ndarray) -> "Photos":
        properties = {name: each[rows] for name, each in self.table.properties.items()}
        table = ImageTable(self.table.groups[rows], properties, self.table.features[rows])
        return Photos(table, self.targets[rows], self.class_names)

    def of_groups(self, groups: np.ndarray) -> "Photos":
        return self.subset(np.flatnonzero(np.isin(self.table.groups, groups)))

    def with_fraction(self, name: str, fraction: float) -> "Photos":
        """As many images of a class as make up this fraction, of those that there are."""
        is_of = self.targets == self.class_names.index(name)
        num_of, num_others = int(is_of.sum()), int((~is_of).sum())
        num_of = min(num_of, int(fraction / (1 - fraction) * num_others))
        num_others = min(num_others, int((1 - fraction) / fraction * num_of))
        kept = [np.flatnonzero(is_of)[:num_of], np.flatnonzero(~is_of)[:num_others]]
        return self.subset(np.sort(np.concatenate(kept)))


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--archives", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=200)
    arguments = parser.parse_args()
    archives = require_files(arguments.archives, WEIGHTS, *VEHICLES.values(), *SCENES.values())
    with tempfile.TemporaryDirectory(prefix="tandem-drift-") as work:
        vehicles_dir, scenes_dir = Path(work) / "vehicles", Path(work) / "scenes"
        for clone, sources in ((vehicles_dir, VEHICLES), (scenes_dir, SCENES)):
            make_clone(clone, clone.name, archives, sources)
            change_params(clone, lambda values: values["backbones"].pop("resnet50"))
            change_params(clone, lambda values: values["curate"].update(duplicates="keep_together"))
            repro(clone, "curate")
        vehicles, scenes = photos_of(vehicles_dir), photos_of(scenes_dir)
        darker = photos_of(vehicles_dir, brightness=BRIGHTNESS)
    num_planted = max(1, arguments.draws // 4)
    rates = {
        "darkened": alarm_rate(vehicles, num_planted, darker.of_groups),
        "scenes": alarm_rate(vehicles, num_planted, lambda _: scenes),
    }
    for fraction in FRACTIONS:
        new_of = partial(more_of, vehicles, fraction=fraction)
        rates[f"{fraction:.0%} {RARE}s"] = alarm_rate(vehicles, num_planted, new_of)
    false_alarms = alarm_rate(vehicles, arguments.draws, vehicles.of_groups)
    conclude(figures_of(false_alarms, rates, vehicles, arguments.draws), arguments)


def photos_of(clone: Path, *, brightness: float = 1.0) -> Photos:
    """brightness: of the images as they are measured, 1 for as they are."""
    params, samples = read_params(clone), load_samples(clone / "data/curate")
    used = np.flatnonzero(samples.splits != "").tolist()
    packed, stored = images_of(clone), stored_images(clone)
    images, quality = list[InMemory](), list[Quality]()
    for row in used:
        data, known = packed[row].read_bytes(), stored[samples.ids[row]]
        image, of_image = (InMemory(data), known_quality(known)) if brightness == 1 else darkened(data, brightness)
        images.append(image)
        quality.append(of_image)
    runtime = section(params, "runtime", RuntimeSettings)
    extraction = extract_backbone(
        "mobilenet_v2",
        section(params, "backbones.mobilenet_v2", BackboneSettings),
        section(params, "extract", ExtractSettings),
        images,
        ids=[hashlib.sha256(image.data).hexdigest() for image in images],
        compute=Compute(runtime.device, runtime.batch_size, runtime.workers),
        max_gb=runtime.feature_cache_gb,
    )
    sizes = np.array([(stored[samples.ids[row]].width, stored[samples.ids[row]].height) for row in used])
    features = np.concatenate([batch[:, 0] for batch in extraction.batches])
    table = ImageTable(samples.groups[used], image_properties(quality, *sizes.T), features)
    return Photos(table, samples.targets[used], samples.class_names)


def stored_images(clone: Path) -> dict[str, IngestedImage]:
    """By id."""
    folders = sorted((clone / "data/ingest").iterdir())
    return {image.id: image for folder in folders for image in load_ingested_images(folder)}


def known_quality(image: IngestedImage) -> Quality:
    return Quality(image.blur, image.brightness, image.entropy)


def darkened(data: bytes, brightness: float) -> tuple[InMemory, Quality]:
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(data)) as image:
        darker = ImageEnhance.Brightness(image.convert("RGB")).enhance(brightness)
    darker.save(buffer, "JPEG", quality=95)
    return InMemory(buffer.getvalue()), measure_quality(darker)


def alarm_rate(vehicles: Photos, num_draws: int, new_of: Callable[[np.ndarray], Photos]) -> float:
    """Of how many draws drift is found. new_of: groups of vehicles that nothing else is of -> the new images."""
    return float(np.mean([is_alarm(vehicles, seed, new_of) for seed in range(num_draws)]))


def is_alarm(vehicles: Photos, seed: int, new_of: Callable[[np.ndarray], Photos]) -> bool:
    groups = np.random.default_rng(seed).permutation(np.unique(vehicles.table.groups))
    train, test = vehicles.of_groups(groups[NUM_TEST + NUM_NEW :]), vehicles.of_groups(groups[NUM_NEW:][:NUM_TEST])
    new = new_of(groups[:NUM_NEW])
    head = fit_logistic(train.table.features, train.targets, C=C, balanced=True)
    tests = find_drift(
        train.table,
        new.table,
        predicted=(classes_of(test, head), classes_of(new, head)),
        class_names=vehicles.class_names,
        alpha=ALPHA,
        seed=seed,
    )
    return any(test.is_drift for test in tests)


def more_of(vehicles: Photos, groups: np.ndarray, *, fraction: float) -> Photos:
    return vehicles.of_groups(groups).with_fraction(RARE, fraction)


def classes_of(photos: Photos, head: Linear) -> PredictedClasses:
    return PredictedClasses(photos.table.groups, head.logits(photos.table.features).argmax(axis=1))


def figures_of(false_alarms: float, rates: Mapping[str, float], vehicles: Photos, num_draws: int) -> list[Figure]:
    trucks = float((vehicles.targets == vehicles.class_names.index(RARE)).mean())
    most = float(binom.ppf(0.99, num_draws, ALPHA)) / num_draws
    figures = [
        reported("vehicles: images", len(vehicles.targets), ".0f"),
        reported(f"vehicles: fraction of {RARE}s", trucks),
        at_most(f"{NUM_NEW} groups of vehicles beside the others: drift found in", most, false_alarms),
    ]
    for name, rate in rates.items():
        what = f"{name}: drift found in"
        figures.append(at_least(what, MIN_FOUND, rate) if name in REQUIRED else reported(what, rate))
    return figures


if __name__ == "__main__":
    main()
