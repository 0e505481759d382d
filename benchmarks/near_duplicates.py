"""How many copies of real photographs are found, and how many other images are taken for copies, beside peers.

    python benchmarks/near_duplicates.py [--archives DIR] [--originals 250] [--json FILE]

Without --archives: of the embedded sample's images, one of each scene, by the sample's parameters and random weights;
its images have 96 px, for which a pass costs nearly nothing, so the cost is only told there.
DIR holds the vehicles archives (kaggle/*.zip, roboflow/*.zip) and weights/mobilenet_v2-imagenet.pth. Byte copies are
dropped; what is left are the originals. Some of them, drawn by a seed, are copied by each transformation, saved again
as JPEG 90. Twice as many originals as are copied, or all that there are, go with the copies of one transformation
at a time through the pairing of tandem.curation.duplicates.find with the parameters of presets/vehicles.yaml. Recall: share of the
copies that are paired with their original. Precision, over all transformations: 1 - wrong pairs / pairs.

A pair of images of different originals is wrong unless those are natural copies, which the archives hold too. That
is decided apart from the code under test: at 512 px, SIFT points matched by OpenCV, for a really mirrored image too,
a RANSAC homography with 20 inliers or more, and pixels that correlate by 0.98 or more on the overlap. It is asked of
the originals' nearest neighbors by features and of every pair that our pairing reports; copies of copies are copies.

Peers get the threshold that finds the most copies at a precision of 0.99 or more, chosen in hindsight on the very same
images. FiftyOne Brain's near duplicates are by their definition (centerd features; in order, what is near to a kept
image is dropped and named with the nearest kept one), not through its database, in hindsight and at its default of
0.2. imagededup runs only where it can be imported, its CNN only where its weights can be had.

Times are of the processor, all threads together, so that they can be compared on a busy machine too. Prints required
beside reached and exits 1 when a figure falls short.
"""

import argparse
import hashlib
import importlib
import importlib.util
import os
import random
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import imagehash
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from figures import Figure, conclude
from tandem.curation import curate as curation
from tandem.curation.duplicates import alignment
from tandem.curation.duplicates import find as copies
from tandem.curation.duplicates.search import components
from tandem.errors import CorruptImageError
from tandem.features.backbones import backbone
from tandem.features.engines import engine as engines
from tandem.features.extract import extract
from tandem.files import read_json, sha256
from tandem.images.decode import decode
from tandem.images.hashing import dihedral_phashes
from tandem.pipeline import params
from tandem.sources.synthetic import dataset as sample

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = "weights/mobilenet_v2-imagenet.pth"
ARCHIVES = (
    "kaggle/vehicle-type-recognition.zip",
    "kaggle/car-bike-dataset.zip",
    "kaggle/classificador-veiculos.zip",
    "roboflow/vehicles-openimages.v1.yolov8.zip",
)
SEED = 0
JPEG_QUALITY = 90
POOL = 2  # originals for each one that is copied
MIN_RECALL, MIN_PRECISION = 0.95, 0.99
MIN_KEPT = 0.75  # of the area, by a crop
BRAIN_DISTANCES = (
    0.01,
    0.02,
    0.03,
    0.04,
    0.05,
    0.06,
    0.08,
    0.1,
    0.12,
    0.14,
    0.16,
    0.18,
    0.2,
    0.22,
    0.25,
    0.3,
    0.35,
    0.4,
)

NATURAL_PX = 512
NATURAL_POINTS = 600
NATURAL_RATIO = 0.75
NATURAL_INLIERS = 20
NATURAL_CORRELATION = 0.98
NATURAL_OVERLAP = 0.25  # of the smaller image
NATURAL_BLUR_PX = 2.0
NATURAL_NEIGHBOURS = 5
NATURAL_COSINE = 0.5  # what is less alike is not looked at

Transform = Callable[[Image.Image, random.Random], Image.Image]
By = dict[str, np.ndarray]  # (P, 2) row pairs of each transformation


def reencoded(image: Image.Image, _: random.Random) -> Image.Image:
    return jpeg(image, quality=30)


def halved(image: Image.Image, _: random.Random) -> Image.Image:
    return image.resize((max(1, image.width // 2), max(1, image.height // 2)), Image.Resampling.LANCZOS)


def stretched(image: Image.Image, rng: random.Random) -> Image.Image:
    x, y = rng.choice([(1.3, 1.0), (1.0, 1.3)])
    return image.resize((round(image.width * x), round(image.height * y)), Image.Resampling.BICUBIC)


def cropped(image: Image.Image, rng: random.Random) -> Image.Image:
    share = rng.uniform(MIN_KEPT, 0.95) ** 0.5
    width, height = -int(-image.width * share // 1), -int(-image.height * share // 1)
    left, top = rng.randint(0, image.width - width), rng.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height))


def flipped(image: Image.Image, _: random.Random) -> Image.Image:
    return ImageOps.mirror(image)


def rotated(image: Image.Image, rng: random.Random) -> Image.Image:
    return image.rotate(rng.choice([-1, 1]) * rng.uniform(5, 15), Image.Resampling.BICUBIC)


def turned(image: Image.Image, rng: random.Random) -> Image.Image:
    turns = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)
    return image.transpose(rng.choice(turns))


def grayed(image: Image.Image, _: random.Random) -> Image.Image:
    return image.convert("L").convert("RGB")


def brightened(image: Image.Image, rng: random.Random) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(rng.choice([0.6, 1.4]))


def blurred(image: Image.Image, rng: random.Random) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(max(image.size) / 640 * rng.uniform(2, 4)))


def letterboxed(image: Image.Image, rng: random.Random) -> Image.Image:
    side = max(image.size) if image.width != image.height else round(image.width * 1.3)
    square = Image.new("RGB", (side, side), rng.choice(["black", "white", "gray"]))
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


def captioned(image: Image.Image, _: random.Random) -> Image.Image:
    bar = max(8, round(image.height * 0.15))
    canvas = Image.new("RGB", (image.width, image.height + bar), "white")
    canvas.paste(image, (0, 0))
    ImageDraw.Draw(canvas).text((5, image.height + bar // 3), "for sale, call now 555-0199", fill="black")
    return canvas


TRANSFORMS: dict[str, Transform] = {
    "re-encoded, quality 30": reencoded,
    "half size": halved,
    "stretched": stretched,
    "cropped": cropped,
    "flipped": flipped,
    "rotated 5-15 degrees": rotated,
    "turned 90/180/270": turned,
    "grayed": grayed,
    "brightness 0.6/1.4": brightened,
    "blurred": blurred,
    "letterboxed": letterboxed,
    "captioned": captioned,
}


class Images(NamedTuple):
    """paths: the originals, then each transformation's copies in the order of TRANSFORMS. original_of: row -> row."""

    paths: list[Path]
    num_originals: int
    original_of: np.ndarray

    def rows(self, transform: str) -> np.ndarray:
        """The originals and the copies of one transformation."""
        num_copies = (len(self.paths) - self.num_originals) // len(TRANSFORMS)
        start = self.num_originals + list(TRANSFORMS).index(transform) * num_copies
        return np.concatenate([np.arange(self.num_originals), np.arange(start, start + num_copies)])


class Score(NamedTuple):
    """What a method reached. recalls: by transformation. wrong: of `pairs`."""

    recalls: dict[str, float]
    pairs: int
    wrong: int

    @property
    def recall(self) -> float:
        return sum(self.recalls.values()) / len(self.recalls)  # every transformation has as many copies

    @property
    def precision(self) -> float:
        return 1 - self.wrong / self.pairs if self.pairs else 1.0


class Run(NamedTuple):
    """name, and the pairs that the method found of each transformation in so many seconds."""

    name: str
    found: By
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archives", type=Path)
    parser.add_argument("--originals", type=int, default=250)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tandem-near-") as work, tempfile.TemporaryDirectory() as drawn:
        if arguments.archives is None:
            images = draw(scenes(Path(drawn)), arguments.originals, Path(work))
            figures = compare(images, None, params.read_params(ROOT / "presets/sample.yaml"))
        else:
            archives = arguments.archives.resolve()
            if missing := [name for name in (WEIGHTS, *ARCHIVES) if not (archives / name).is_file()]:
                sys.exit(f"error: {archives} lacks {', '.join(missing)}")
            images = draw(originals(archives), arguments.originals, Path(work))
            figures = compare(images, archives / WEIGHTS, params.read_params(ROOT / "presets/vehicles.yaml"))
    conclude(figures, arguments.json)


def scenes(folder: Path) -> list[bytes]:
    """One image of each scene of the embedded sample."""
    files: dict[str, bytes] = {}
    for manner in ("kaggle", "roboflow"):
        (folder / manner).mkdir()
        sample.generate_sample(folder / manner, manner=manner, seed=7)
        for path, scene in read_json(folder / manner / sample.TRUTH_FILE)["scenes"].items():
            files.setdefault(scene, (folder / path).read_bytes())
    return [data for data in files.values() if is_image(data)]


def draw(everything: Sequence[bytes], num_copied: int, folder: Path) -> Images:
    """Write the originals and the transformed copies of `num_copied` of them."""
    rng = random.Random(SEED)
    pool = sorted(rng.sample(range(len(everything)), min(len(everything), POOL * num_copied)))
    copied = sorted(rng.sample(range(len(pool)), min(len(pool), num_copied)))
    paths, original_of = [], list(range(len(pool)))
    for row, number in enumerate(pool):
        image, extension = decode(everything[number], min_side_px=1, max_pixels=2**63)
        paths.append(folder / f"{row:05}.{extension or 'png'}")
        if extension is None:
            image.save(paths[-1])
        else:
            paths[-1].write_bytes(everything[number])
    for number, transform in enumerate(TRANSFORMS.values()):
        for row in copied:
            image = decode(paths[row].read_bytes(), min_side_px=1, max_pixels=2**63).image
            paths.append(folder / f"{row:05}-{number:02}.jpg")
            transform(image, rng).save(paths[-1], quality=JPEG_QUALITY)
            original_of.append(row)
    return Images(paths, len(pool), np.array(original_of))


def originals(archives: Path) -> list[bytes]:
    """The files that decode, in the archives' order; of byte copies the first."""
    files: dict[str, bytes] = {}
    for name in ARCHIVES:
        with zipfile.ZipFile(archives / name) as archive:
            for member in sorted(archive.namelist()):
                if member.lower().endswith((".jpg", ".jpeg", ".png", ".webp")):
                    data = archive.read(member)
                    files.setdefault(hashlib.sha256(data).hexdigest(), data)
    return [data for data in files.values() if is_image(data)]


def is_image(data: bytes) -> bool:
    try:
        decode(data, min_side_px=32, max_pixels=100_000_000)
    except CorruptImageError:
        return False
    return True


def jpeg(image: Image.Image, *, quality: int) -> Image.Image:
    ok, data = cv2.imencode(".jpg", np.asarray(image)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert ok
    return decode(data.tobytes(), min_side_px=1, max_pixels=2**63).image


def compare(images: Images, weights: Path | None, preset: Mapping[str, Any]) -> list[Figure]:
    """Run ours and the peers, print recall by transformation, and return the table's figures. weights: None: random."""
    x, pass_ms = features(images.paths, weights, preset)
    ours, cost_ms = our_pairs(images, x, curation.Settings.from_params(preset["curate"]))
    log("natural copies")
    asked = np.concatenate([nearest(x[: images.num_originals]), between_originals(images, ours.found.values())])
    natural = natural_copies(images.paths, np.unique(asked, axis=0))
    copy_of = components(images.num_originals, first=natural[:, 0], second=natural[:, 1])
    runs = [ours, *peers(images, x, copy_of)]
    scores = [score(run.found, images, copy_of) for run in runs]
    print_table(images, runs, scores)
    print_wrong(images, ours, copy_of)
    found = {tuple(pair) for pair in between_originals(images, ours.found.values()).tolist()}
    caught = sum(tuple(pair) in found for pair in natural.tolist())
    costs, is_timed = (cost_ms, pass_ms), weights is not None
    return figures(runs, scores, costs=costs, is_timed=is_timed, natural=(len(natural), caught))


def features(paths: Sequence[Path], weights: Path | None, preset: Mapping[str, Any]) -> tuple[np.ndarray, float]:
    """(N, D) MobileNetV2 rows as the extract stage makes them, and milliseconds an image, decoding included."""
    log(f"features, load {os.getloadavg()[0]:.1f}")
    transform = {key: preset["extract"][key] for key in ("size_px", "resize")}
    source, digest = (str(weights), sha256(weights)) if weights else ("random", None)
    net = backbone.load_backbone("mobilenet_v2", weights=source, sha256=digest, seed=SEED, size_px=transform["size_px"])
    runtime = preset["runtime"]
    batch = {"batch_size": runtime["batch_size"]}
    engine = engines.start_engine(
        net, engine="reference", size_px=transform["size_px"], device=runtime["device"], **batch
    )
    started = time.process_time()
    rows = extract(paths, engine=engine, name=net.name, workers=runtime["workers"], **batch, **transform)
    x = np.concatenate(list(rows))[:, 0]
    return x, 1000 * (time.process_time() - started) / len(paths)


def our_pairs(images: Images, x: np.ndarray, settings: curation.Settings) -> tuple[Run, float]:
    """Our pairs, and our milliseconds an image: its hash, and a run's seconds shared out over its images, the mean
    of all runs; each run makes its sketches anew. The merge hashes what it has decoded anyhow, so decoding is not
    counted there.
    """
    log("hashes")
    hashes, hash_seconds = our_hashes(images.paths)
    found, seconds, num_rows = {}, 0.0, 0
    for name in TRANSFORMS:
        log(f"our pairs: {name}")
        rows = images.rows(name)
        keypoints_of = alignment.keypoints_reader([images.paths[row] for row in rows])
        started = time.process_time()
        looked = copies.verify_candidates(x[rows], hashes[rows], keypoints_of, candidates=settings.candidates)
        pairs = looked.where(looked.correlation >= settings.correlation).pairs
        seconds += time.process_time() - started
        num_rows += len(rows)
        found[name] = rows[pairs.rows]
    cost_ms = 1000 * (hash_seconds / len(images.paths) + seconds / num_rows)
    return Run("ours", found, hash_seconds + seconds), cost_ms


def our_hashes(paths: Sequence[Path]) -> tuple[np.ndarray, float]:
    rows, seconds = [], 0.0
    for path in paths:
        image = decode(path.read_bytes(), min_side_px=1, max_pixels=2**63).image
        started = time.process_time()
        rows.append(dihedral_phashes(image))
        seconds += time.process_time() - started
    return np.stack(rows), seconds


def peers(images: Images, x: np.ndarray, copy_of: np.ndarray) -> list[Run]:
    """Each with its threshold in its name. Seconds leave out what the plain features cost: ours has them too."""
    log("peers")
    started = time.process_time()
    runs = [in_hindsight("plain features", x, images, copy_of, floor=0.7, started=started)]
    runs += brain(images, x, copy_of)
    folder = images.paths[0].parent
    if importlib.util.find_spec("imagededup") is None:
        print("imagededup: not installed; ImageHash's pHash stands in for its own")
        started = time.process_time()
        bits = np.stack([imagehash.phash(Image.open(path)).hash.ravel() for path in images.paths])
        return [
            *runs,
            in_hindsight("ImageHash pHash, 64 bits", signs(bits), images, copy_of, floor=0.3, started=started),
        ]
    methods = importlib.import_module("imagededup.methods")
    started = time.process_time()
    codes = methods.PHash(verbose=False).encode_images(str(folder), num_enc_workers=0)
    bits = np.stack([as_bits(codes[path.name]) for path in images.paths])
    runs.append(in_hindsight("imagededup pHash", signs(bits), images, copy_of, floor=0.3, started=started))
    started = time.process_time()
    rows = dedup_cnn(folder)
    if rows is None:
        return runs
    y = np.stack([rows[path.name] for path in images.paths])
    return [*runs, in_hindsight("imagededup CNN", y, images, copy_of, floor=0.7, started=started)]


def signs(bits: np.ndarray) -> np.ndarray:
    """0 and 1 to -1 and 1, so that the cosine is 1 - 2 * differing bits / bits."""
    return np.where(bits, 1, -1).astype(np.float32)


def as_bits(code: str) -> np.ndarray:
    return np.unpackbits(np.frombuffer(bytes.fromhex(code), dtype=np.uint8))


def dedup_cnn(folder: Path) -> Mapping[str, np.ndarray] | None:
    """imagededup's own features, or None where torch can neither find nor fetch its MobileNetV3's weights."""
    try:
        cnn = importlib.import_module("imagededup.methods").CNN(verbose=False)
    except OSError as error:
        print(f"imagededup CNN: no weights ({error}); by its definition it is the peer of plain features")
        return None
    with torch.inference_mode():
        return cnn.encode_images(str(folder))


def in_hindsight(name: str, x: np.ndarray, images: Images, copy_of: np.ndarray, *, floor: float, started: float) -> Run:
    """The pairs whose cosine reaches the best threshold that there is at or above `floor`."""
    near = {name: near_rows(x, images.rows(name), floor) for name in TRANSFORMS}
    pairs, cosines = (np.concatenate(part) for part in zip(*near.values(), strict=True))
    least = best_threshold(cosines, is_wrong(pairs, images.original_of, copy_of))
    found = {key: pairs[cosines >= least] for key, (pairs, cosines) in near.items()}
    return Run(f"{name} >= {least:.3f}", found, time.process_time() - started)


def near_rows(x: np.ndarray, rows: np.ndarray, floor: float) -> tuple[np.ndarray, np.ndarray]:
    """(P, 2) pairs of `rows` and their cosines (P,), from `floor` on."""
    unit = x[rows] / np.linalg.norm(x[rows], axis=1, keepdims=True)
    cosines = np.triu(unit @ unit.T, 1)
    i, j = np.nonzero(cosines >= floor)
    return np.stack([rows[i], rows[j]], axis=1), cosines[i, j]


def best_threshold(similarity: np.ndarray, wrong: np.ndarray) -> float:
    """The lowest threshold at which the precision is MIN_PRECISION or more; inf where there is none."""
    order = np.argsort(-similarity, kind="stable")
    ranked, num_wrong = similarity[order], np.cumsum(wrong[order])
    is_last = np.append(ranked[1:] < ranked[:-1], True)  # pairs of one similarity come in together
    fits = is_last & (1 - num_wrong / np.arange(1, len(order) + 1) >= MIN_PRECISION)
    return float(ranked[fits][-1]) if fits.any() else np.inf


def brain(images: Images, x: np.ndarray, copy_of: np.ndarray) -> list[Run]:
    """FiftyOne Brain's near duplicates by their definition, at the best of BRAIN_DISTANCES and at its default."""
    started = time.process_time()
    likeness = {name: centerd(x[images.rows(name)]) for name in TRANSFORMS}
    tried = {}
    for distance in BRAIN_DISTANCES:
        pairs = {name: to_nearest_kept(likeness[name], 1 - distance) for name in TRANSFORMS}
        tried[distance] = {name: images.rows(name)[pairs[name]] for name in TRANSFORMS}
    scores = {distance: score(found, images, copy_of) for distance, found in tried.items()}
    fit = [distance for distance in BRAIN_DISTANCES if scores[distance].precision >= MIN_PRECISION]
    best = max(fit or BRAIN_DISTANCES[:1], key=lambda distance: scores[distance].recall)
    seconds = (time.process_time() - started) / len(tried)
    return [Run(f"FiftyOne Brain <= {distance}", tried[distance], seconds) for distance in (best, 0.2)]


def centerd(x: np.ndarray) -> np.ndarray:
    """(N, N) cosines of the rows less their mean."""
    rows = x - x.mean(axis=0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows @ rows.T


def to_nearest_kept(likeness: np.ndarray, least: float) -> np.ndarray:
    """(P, 2): whatever is near to an earlier row that is kept, after the nearest of all that are kept."""
    is_kept = np.ones(len(likeness), dtype=bool)
    for row in range(len(likeness)):
        if is_kept[row]:
            is_kept[row + 1 :] &= likeness[row, row + 1 :] < least
    kept, dropped = np.nonzero(is_kept)[0], np.nonzero(~is_kept)[0]
    return np.stack([kept[likeness[np.ix_(dropped, kept)].argmax(axis=1)], dropped], axis=1)


def score(found: By, images: Images, copy_of: np.ndarray) -> Score:
    """copy_of: the same number for originals that are natural copies of one another."""
    recalls, wrong = {}, 0
    for name, pairs in found.items():
        of = images.original_of[pairs]
        paired = np.unique(pairs[of[:, 0] == of[:, 1]].max(axis=1, initial=-1))  # copies come after the originals
        recalls[name] = len(paired) / (len(images.rows(name)) - images.num_originals)
        wrong += int(is_wrong(pairs, images.original_of, copy_of).sum())
    return Score(recalls, sum(map(len, found.values())), wrong)


def is_wrong(pairs: np.ndarray, original_of: np.ndarray, copy_of: np.ndarray) -> np.ndarray:
    return copy_of[original_of[pairs[:, 0]]] != copy_of[original_of[pairs[:, 1]]]


def between_originals(images: Images, found: Iterable[np.ndarray]) -> np.ndarray:
    """(P, 2) the originals of the pairs, first < second, unique, without those of one original."""
    of = np.sort(images.original_of[np.concatenate(list(found))], axis=1)
    return np.unique(of[of[:, 0] != of[:, 1]], axis=0)


def nearest(x: np.ndarray) -> np.ndarray:
    """(P, 2) each row and its NATURAL_NEIGHBOURS, first < second, where they are alike at all."""
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -1)
    best = np.argsort(-cosines, axis=1)[:, :NATURAL_NEIGHBOURS]
    i = np.repeat(np.arange(len(x)), best.shape[1])
    pairs = np.stack([i, best.ravel()], axis=1)[cosines[i, best.ravel()] >= NATURAL_COSINE]
    return np.unique(np.sort(pairs, axis=1), axis=0)


def natural_copies(paths: Sequence[Path], pairs: np.ndarray) -> np.ndarray:
    """(P, 2) those of the pairs that show the same image, by the rule above."""

    @cache
    def look(row: int, is_mirrored: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        gray = decode(paths[row].read_bytes(), min_side_px=1, max_pixels=2**63).image.convert("L")
        scale = NATURAL_PX / max(gray.size)
        gray = gray.resize((max(1, round(gray.width * scale)), max(1, round(gray.height * scale))))
        pixels = np.asarray(ImageOps.mirror(gray) if is_mirrored else gray)
        points, rows = cv2.SIFT.create(nfeatures=NATURAL_POINTS).detectAndCompute(pixels, None)
        at = np.array([point.pt for point in points], dtype=np.float32).reshape(-1, 2)
        return pixels, at, np.zeros((0, 128), dtype=np.float32) if rows is None else rows

    same = [
        any(overlaid(look(i, is_mirrored), look(j, False)) >= NATURAL_CORRELATION for is_mirrored in (False, True))
        for i, j in pairs.tolist()
    ]
    return pairs[np.array(same, dtype=bool)]


def overlaid(one: tuple[np.ndarray, np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray, np.ndarray]) -> float:
    """Correlation of the pixels once `one` lies over `other`; 0 where no homography is found. (pixels, points, rows)"""
    if min(len(one[2]), len(other[2])) < NATURAL_INLIERS:
        return 0.0
    nearest_two = cv2.BFMatcher(cv2.NORM_L2).knnMatch(one[2], other[2], k=2)
    clear = [first for first, second in nearest_two if first.distance < NATURAL_RATIO * second.distance]
    if len(clear) < NATURAL_INLIERS:
        return 0.0
    start, end = one[1][[match.queryIdx for match in clear]], other[1][[match.trainIdx for match in clear]]
    homography, inliers = cv2.findHomography(start, end, cv2.RANSAC, 5.0)
    if homography is None or inliers.sum() < NATURAL_INLIERS:
        return 0.0
    size = other[0].shape[1], other[0].shape[0]
    inside = cv2.warpPerspective(np.full(one[0].shape, 255, np.uint8), homography, size) == 255
    if inside.sum() < NATURAL_OVERLAP * min(one[0].size, other[0].size):
        return 0.0
    smooth = [
        cv2.GaussianBlur(pixels, (0, 0), NATURAL_BLUR_PX)[inside]
        for pixels in (cv2.warpPerspective(one[0], homography, size), other[0])
    ]
    return float(np.corrcoef(*smooth)[0, 1]) if min(part.std() for part in smooth) > 0 else 0.0


def print_table(images: Images, runs: Sequence[Run], scores: Sequence[Score]) -> None:
    """Recall by transformation, a column a method."""
    num_copies = len(images.paths) - images.num_originals
    print(f"\n{images.num_originals} originals, {num_copies} copies; load {os.getloadavg()[0]:.1f}; recall:")
    for number, run in enumerate(runs):
        print(f"  ({number}) {run.name}")
    print(f"{'':<26}" + "".join(f"{f'({number})':>8}" for number in range(len(runs))))
    for name in TRANSFORMS:
        print(f"{name:<26}" + "".join(f"{reached.recalls[name]:>8.3f}" for reached in scores))
    print(f"{'overall recall':<26}" + "".join(f"{reached.recall:>8.3f}" for reached in scores))
    print(f"{'precision':<26}" + "".join(f"{reached.precision:>8.4f}" for reached in scores))
    print(f"{'pairs':<26}" + "".join(f"{reached.pairs:>8}" for reached in scores))
    print(f"{'wrong pairs':<26}" + "".join(f"{reached.wrong:>8}" for reached in scores))
    print(f"{'seconds':<26}" + "".join(f"{run.seconds:>8.1f}" for run in runs) + "\n")


def print_wrong(images: Images, ours: Run, copy_of: np.ndarray) -> None:
    """Our wrong pairs by their originals, most frequent first."""
    pairs = np.concatenate(list(ours.found.values()))
    of = np.sort(images.original_of[pairs[is_wrong(pairs, images.original_of, copy_of)]], axis=1)
    unique, counts = np.unique(of, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    shown = [f"{unique[k][0]}-{unique[k][1]} x{counts[k]}" for k in order[:12]]
    print(f"our wrong pairs come from {len(unique)} pairs of originals: {', '.join(shown)}\n")


def figures(
    runs: Sequence[Run],
    scores: Sequence[Score],
    *,
    costs: tuple[float, float],
    is_timed: bool,
    natural: tuple[int, int],
) -> list[Figure]:
    """costs: ours and that of a pass, in ms an image; is_timed: whether ours must be the lower one."""
    ours, (cost_ms, pass_ms) = scores[0], costs
    found = [
        least("our recall over all transformations", ours.recall, MIN_RECALL),
        least("our precision", ours.precision, MIN_PRECISION),
    ]
    for run, peer in zip(runs[1:], scores[1:], strict=True):
        found.append(ahead(f"our recall, ahead of {run.name}", ours.recall, peer.recall))
        found.append(ahead(f"our precision, ahead of {run.name}", ours.precision, peer.precision))
    limit, is_cheap = (f"< {pass_ms:.1f}", cost_ms < pass_ms) if is_timed else (None, True)
    found.append(Figure("our cost an image, ms", limit, f"{cost_ms:.1f}", cost_ms, is_cheap))
    found.append(Figure("one pass of MobileNetV2 an image, ms", None, f"{pass_ms:.1f}", pass_ms, True))
    found.append(Figure("natural copies among the originals, pairs", None, f"{natural[0]}", natural[0], True))
    found.append(Figure("... of them paired by ours", None, f"{natural[1]}", natural[1], True))
    return found


def least(what: str, value: float, limit: float) -> Figure:
    return Figure(what, f">= {limit}", f"{value:.4f}", value, value >= limit)


def ahead(what: str, value: float, other: float) -> Figure:
    """Nothing is ahead of 1, so that is enough there."""
    return Figure(what, f"> {other:.4f}" if other < 1 else "1", f"{value:.4f}", value, value > other or value == 1)


def log(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
