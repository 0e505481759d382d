"""The benchmark of near duplicates on drawn images: its transformations, its scores and its rule for true copies."""

import random

import numpy as np
import pytest
from PIL import Image, ImageOps

import near_duplicates as bench
from tandem.features.backbones.random_init import dead_leaves


def drawn(seed, *, width=200, height=150):
    """A textured image."""
    square = dead_leaves(1, size_px=256, seed=seed)[0]
    return Image.fromarray(square).resize((width, height))


def gray(image):
    return np.asarray(image.convert("L"), dtype=float)


@pytest.fixture
def image():
    return drawn(0)


@pytest.fixture
def rng():
    return random.Random(0)


def test_the_transformations_that_keep_the_size_change_the_pixels(image, rng):
    for name in ("re-encoded, quality 30", "rotated 5-15 degrees", "grayed", "brightness 0.6/1.4", "blurred"):
        changed = bench.TRANSFORMS[name](image, rng)
        assert changed.size == image.size, name
        assert changed.tobytes() != image.tobytes(), name


def test_sizes_are_halved_and_stretched(image, rng):
    assert bench.halved(image, rng).size == (100, 75)
    assert {bench.stretched(image, rng).size for _ in range(20)} == {(260, 150), (200, 195)}


def test_a_crop_keeps_three_quarters_and_is_a_part(image, rng):
    pixels = np.asarray(image)
    for _ in range(50):
        part = bench.cropped(image, rng)
        assert 0.75 * 200 * 150 <= part.width * part.height < 200 * 150
        windows = [
            pixels[top : top + part.height, left : left + part.width]
            for top in range(150 - part.height + 1)
            for left in range(200 - part.width + 1)
        ]
        assert any(np.array_equal(window, np.asarray(part)) for window in windows)


def test_mirror_image_and_turns_are_exact(image, rng):
    assert np.array_equal(np.asarray(bench.flipped(image, rng)), np.asarray(image)[:, ::-1])
    turns = {bench.turned(image, rng).tobytes() for _ in range(40)}
    assert turns == {np.rot90(np.asarray(image), k).tobytes() for k in (1, 2, 3)}


def test_a_rotation_is_by_5_to_15_degrees_either_way(rng):
    bar = Image.new("RGB", (201, 201), "black")
    bar.paste("white", (95, 0, 106, 201))
    angles = []
    for _ in range(30):
        y, x = np.nonzero(gray(bench.rotated(bar, rng))[40:161] > 128)
        angles.append(np.degrees(np.arctan(np.polyfit(y, x, 1)[0])))
    assert all(4 <= abs(angle) <= 16 for angle in angles)
    assert min(angles) < 0 < max(angles)


def test_gray_brightness_blur_and_quality_do_what_they_say(image, rng):
    pixels = np.asarray(bench.grayed(image, rng))
    assert (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all()
    flat = Image.new("RGB", (8, 8), (100, 100, 100))
    assert {bench.brightened(flat, rng).getpixel((0, 0))[0] for _ in range(20)} == {60, 140}
    assert np.abs(np.diff(gray(bench.blurred(image, rng)))).mean() < np.abs(np.diff(gray(image))).mean()
    assert 0 < np.abs(gray(bench.reencoded(image, rng)) - gray(image)).mean() < 15


def test_frame_and_caption_leave_the_image_whole(image, rng):
    framed = bench.letterboxed(image, rng)
    assert framed.size == (200, 200)
    assert framed.crop((0, 25, 200, 175)).tobytes() == image.tobytes()
    assert bench.letterboxed(drawn(0, width=100, height=100), rng).size == (130, 130)
    captioned = bench.captioned(image, rng)
    assert captioned.size == (200, 150 + 22)
    assert captioned.crop((0, 0, 200, 150)).tobytes() == image.tobytes()
    assert gray(captioned)[150:].min() < 128 < gray(captioned)[150:].mean()


@pytest.fixture
def images(tmp_path):
    """Four originals, of which 0 and 2 are copied by every transformation: 4 and 5 are copies by the first of all."""
    names = range(4 + 2 * len(bench.TRANSFORMS))
    return bench.Images([tmp_path / str(n) for n in names], 4, np.array([0, 1, 2, 3, *[0, 2] * len(bench.TRANSFORMS)]))


def found(pairs):
    """These pairs by the first transformation, none by the others."""
    names = list(bench.TRANSFORMS)
    nothing = np.zeros((0, 2), dtype=np.int64)
    return {name: np.array(pairs) if name == names[0] else nothing for name in names}


def test_rows_are_the_originals_and_one_transformations_copies(images):
    first, second, *_ = bench.TRANSFORMS
    assert images.rows(first).tolist() == [0, 1, 2, 3, 4, 5]
    assert images.rows(second).tolist() == [0, 1, 2, 3, 6, 7]


def test_a_copy_counts_once_and_a_pair_of_other_originals_is_wrong(images):
    nothing_natural = np.arange(4)
    score = bench.score(found([[0, 4], [0, 5], [1, 3]]), images, nothing_natural)
    first, *others = bench.TRANSFORMS
    assert score.recalls[first] == 0.5
    assert all(score.recalls[name] == 0 for name in others)
    assert score.recall == pytest.approx(0.5 / len(bench.TRANSFORMS))
    assert (score.pairs, score.wrong) == (3, 2)
    assert score.precision == pytest.approx(1 / 3)


def test_natural_copies_are_not_wrong_neither_are_their_copies(images):
    one_and_three, zero_and_two = np.array([0, 1, 2, 1]), np.array([0, 1, 0, 3])
    pairs = found([[0, 4], [0, 5], [1, 3]])
    assert bench.score(pairs, images, one_and_three).wrong == 1
    assert bench.score(pairs, images, zero_and_two).wrong == 1
    assert bench.score(pairs, images, np.array([0, 1, 0, 1])).wrong == 0


def test_nothing_found_is_no_recall_and_no_wrong_pair(images):
    score = bench.score(found(np.zeros((0, 2), dtype=np.int64)), images, np.arange(4))
    assert (score.recall, score.precision) == (0, 1)


def test_pairs_of_originals_are_told_without_those_of_one(images):
    pairs = [np.array([[0, 4], [4, 5]]), np.array([[0, 2], [1, 5]])]
    assert bench.between_originals(images, pairs).tolist() == [[0, 2], [1, 2]]


def test_the_threshold_is_the_lowest_that_is_precise_enough():
    wrong = np.zeros(300, dtype=bool)
    wrong[[150, 250, 260, 270]] = True
    assert bench.best_threshold(np.linspace(1, 0, 300), wrong) == pytest.approx(
        1 - 259 / 299
    )  # 2 of 260 are wrong, then 3 of 261
    assert bench.best_threshold(np.array([0.9, 0.9]), np.array([False, True])) == np.inf  # they come in together
    assert bench.best_threshold(np.array([0.8, 0.9]), np.array([True, False])) == 0.9


def test_the_peer_in_hindsight_finds_planted_rows(images):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 64))[images.original_of]
    run = bench.in_hindsight("planted", x, images, np.arange(4), floor=0.7, started=0.0)
    score = bench.score(run.found, images, np.arange(4))
    assert (score.recall, score.wrong) == (1, 0)


def test_brain_names_what_it_drops_after_the_nearest_kept():
    likeness = np.array([[1, 0.9, 0.1, 0.8], [0.9, 1, 0.1, 0.99], [0.1, 0.1, 1, 0.2], [0.8, 0.99, 0.2, 1]])
    assert bench.to_nearest_kept(likeness, 0.85).tolist() == [[3, 1]]  # near to 0, but 3 is kept and nearer
    assert bench.to_nearest_kept(likeness, 0.75).tolist() == [[0, 1], [0, 3]]


def test_natural_copies_are_told_from_other_images(tmp_path):
    one = drawn(1, width=400, height=300)
    shown = [
        one,
        drawn(2, width=400, height=300),
        one.resize((300, 225)),
        ImageOps.mirror(one),
        one.crop((30, 20, 390, 290)),
    ]
    paths = [tmp_path / f"{number}.jpg" for number in range(len(shown))]
    for image, path in zip(shown, paths, strict=True):
        image.save(path, quality=60)
    pairs = np.array([[0, 1], [0, 2], [0, 3], [0, 4], [1, 4]])
    assert bench.natural_copies(paths, pairs).tolist() == [[0, 2], [0, 3], [0, 4]]


def test_neighbors_are_asked_about_once_and_only_where_alike():
    x = np.array([[1, 0, 0], [0.9, 0.1, 0], [0, 0, 1]])
    assert bench.nearest(x).tolist() == [[0, 1]]
