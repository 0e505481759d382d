"""Synthetic images with keypoints, aligned with changed versions of themselves and with one another."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from tandem.cache.store import CACHE_DIR
from tandem.curation.duplicates.alignment import (
    SIDE_PX,
    Keypoints,
    _matches,
    _pearson,
    _uncovered_correlation,
    _warped_correlation,
    correlation,
    correlation_unaligned,
    describe,
    mirrored,
)
from tandem.curation.duplicates.descriptions import keypoints_reader


def textured(seed, size=(320, 240)):
    """Blots of many sizes and colors."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", size, tuple(rng.integers(0, 256, 3)))
    draw = ImageDraw.Draw(image)
    for _ in range(80):
        (x, y), (w, h) = rng.integers(-20, size, 2), rng.integers(8, 80, 2)
        draw.ellipse([x, y, x + w, y + h], fill=tuple(rng.integers(0, 256, 3)))
    return image


def captioned(image):
    taller = Image.new("RGB", (image.width, image.height + 40), "white")
    taller.paste(image)
    ImageDraw.Draw(taller).text((10, image.height + 12), "for sale", fill="black")
    return taller


CHANGES = {
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS),
    "stretched": lambda image: image.resize((image.width * 13 // 10, image.height)),
    "cropped": lambda image: image.crop((30, 10, 310, 220)),
    "mirrored": ImageOps.mirror,
    "turned a little": lambda image: image.rotate(14, Image.Resampling.BICUBIC),
    "turned by a quarter": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "upside down": ImageOps.flip,
    "gray": lambda image: ImageOps.grayscale(image).convert("RGB"),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.6),
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(2)),
    "in a frame": lambda image: ImageOps.expand(image, 50, "black"),
    "captioned": captioned,
}


def test_the_thumbnail_is_scaled_by_bilinear_interpolation_which_rings_at_no_edge() -> None:
    image = textured(1, size=(SIDE_PX * 3, SIDE_PX * 2))
    expected = ImageOps.grayscale(image).resize((SIDE_PX, SIDE_PX * 2 // 3), Image.Resampling.BILINEAR)
    assert (describe(image).gray == np.asarray(expected)).all()


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_changed_image_correlates_with_its_original_either_way_round(seed, change):
    one, other = describe(textured(seed)), describe(change(textured(seed)))
    assert correlation(one, other) > 0.95
    assert correlation(other, one) > 0.95


def test_images_of_different_things_do_not_correlate():
    keypoints = [describe(textured(seed)) for seed in range(12)]
    values = [correlation(one, other) for row, one in enumerate(keypoints) for other in keypoints[:row]]
    assert max(values) < 0.9


def test_one_thing_before_another_ground_is_another_image():
    thing = textured(1, size=(120, 90))
    scenes = [textured(seed) for seed in (2, 3)]
    for scene in scenes:
        scene.paste(thing, (100, 80))
    assert correlation(*map(describe, scenes)) < 0.9


def test_without_a_change_it_is_the_plain_correlation_of_the_pixels():
    image = textured(5, size=(SIDE_PX, SIDE_PX))
    noise = np.random.default_rng(0).normal(0, 8, (SIDE_PX, SIDE_PX, 3))
    noisy = Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))
    grays = [np.asarray(each.convert("L").filter(ImageFilter.GaussianBlur(1)), dtype=float) for each in (image, noisy)]
    expected = np.corrcoef(grays[0].ravel(), grays[1].ravel())[0, 1]
    assert correlation(describe(image), describe(noisy)) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("seed", [1, 2])
def test_mirrored_keypoints_are_those_of_the_mirror_image(seed):
    ours, found = mirrored(describe(textured(seed))), describe(ImageOps.mirror(textured(seed)))
    assert np.abs(ours.gray.astype(int) - found.gray).max() <= 1
    assert np.median((ours.descriptors @ found.descriptors.T).max(axis=1)) > 0.98
    best = (ours.descriptors @ found.descriptors.T).argmax(axis=1)
    assert np.median(np.linalg.norm(ours.points - found.points[best], axis=1)) < 1


@pytest.mark.parametrize("size", [(1, 1), (500, 2), (40, 40)])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_an_image_without_keypoints_correlates_with_nothing(size, mode):
    flat = describe(Image.new(mode, size, 128 if mode == "L" else (9, 9, 9)))
    assert max(flat.gray.shape) == SIDE_PX
    assert correlation(flat, flat) == correlation(flat, describe(textured(1))) == 0


def test_the_same_images_give_the_same_number():
    one, other = describe(textured(1)), describe(CHANGES["turned a little"](textured(1)))
    assert len({correlation(one, other) for _ in range(5)}) == 1


def test_images_are_read_by_row(tmp_path):
    paths = [tmp_path / f"{seed}.jpg" for seed in (1, 2)]
    for seed, path in enumerate(paths, start=1):
        textured(seed, size=(1600, 1200)).save(path, quality=95)
    with keypoints_reader(paths, ["first", "second"], max_gb=0) as read:
        assert correlation(read(1), describe(textured(2, size=(1600, 1200)))) > 0.99
        assert read(1) is read(1)


@pytest.mark.parametrize("size", [(320, 240), (240, 320), (1600, 5), (5, 1600), (60, 60)])
def test_an_image_is_decoded_once_and_its_keypoints_are_the_same_from_the_store(size, tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_DIR, str(tmp_path / "cache"))
    textured(1, size=size).save(path := tmp_path / "a.jpg")
    with keypoints_reader([path], ["a"], max_gb=0) as read:
        nothing_kept = read(0)
    assert not (tmp_path / "cache").exists()
    for _ in range(2):
        with keypoints_reader([path, path], ["other", "a"], max_gb=1) as read:
            found = read(1)
        assert [part.tobytes() for part in found] == [part.tobytes() for part in nothing_kept]
        assert [part.shape for part in found] == [part.shape for part in nothing_kept]
        path.unlink(missing_ok=True)
    with keypoints_reader([path], ["other"], max_gb=1) as read:  # which nobody asked for
        assert read(0).gray.tobytes() == nothing_kept.gray.tobytes()
    with pytest.raises(FileNotFoundError), keypoints_reader([path], ["a third"], max_gb=1) as read:
        read(0)


def test_what_exposure_has_made_black_or_white_does_not_count():
    dark = textured(1).convert("L").point(lambda value: value // 2 + 40)
    washed = dark.point(lambda value: min(255, 2 * value))
    assert (np.asarray(washed) == 255).mean() > 0.1
    pixels = [np.asarray(image, dtype=float).ravel() for image in (dark, washed)]
    assert np.corrcoef(*pixels)[0, 1] < 0.985 < correlation(describe(dark), describe(washed))


def smooth(seed):
    """An image without keypoints."""
    colors = np.random.default_rng(seed).integers(0, 256, (2, 2, 3), dtype=np.uint8)
    return Image.fromarray(colors).resize((200, 150), Image.Resampling.BILINEAR)


@pytest.mark.parametrize("orientation", [None, *Image.Transpose])
def test_unaligned_images_without_keypoints_agree_with_their_turned_selves(orientation):
    image = smooth(1)
    turned = (image if orientation is None else image.transpose(orientation)).resize((90, 120))
    assert correlation(describe(image), describe(turned)) == 0
    assert correlation_unaligned(describe(image), describe(turned)) > 0.99


def test_unaligned_different_images_do_not_agree():
    keypoints = [describe(textured(seed)) for seed in range(8)]
    assert (
        max(correlation_unaligned(one, other) for row, one in enumerate(keypoints) for other in keypoints[:row]) < 0.8
    )


def test_two_flat_images_agree_and_one_flat_image_agrees_with_nothing():
    flat = describe(Image.new("RGB", (60, 40), "gray"))
    assert correlation_unaligned(flat, describe(Image.new("RGB", (10, 80), "black"))) == 1
    assert correlation_unaligned(flat, describe(textured(1))) == correlation_unaligned(describe(textured(1)), flat) == 0


def noise(height, width, seed=0):
    """Gray noise, smooth enough to be scaled."""
    values = np.random.default_rng(seed).integers(60, 200, (max(2, height // 8), max(2, width // 8)), dtype=np.uint8)
    return np.asarray(Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC))


@pytest.mark.parametrize(("shift_px", "is_compared"), [(75, True), (76, False)])
def test_images_are_compared_where_a_quarter_of_the_smaller_one_overlaps(shift_px, is_compared):
    wide = noise(100, 200)
    one, other = wide[:, :100].copy(), wide[:, shift_px : shift_px + 100].copy()
    found = _warped_correlation(one, other, np.array([[1.0, 0, -shift_px], [0, 1, 0]]))
    assert found > 0.8 if is_compared else found == 0
    larger = np.pad(other, ((0, 0), (0, 400)))
    assert (_warped_correlation(one, larger, np.array([[1.0, 0, -shift_px], [0, 1, 0]])) == 0) == (not is_compared)


@pytest.mark.parametrize(
    ("scale", "is_compared"), [(0.31, False), (0.32, True), (3.1, True), (3.2, False)]
)  # of areas: 0.096, 0.102, 9.6, 10.2
def test_a_map_to_a_tenth_or_the_tenfold_of_the_area_has_collapsed(scale, is_compared):
    sides = (120, 120) if scale < 1 else (40, 40)
    one = noise(*sides)
    size = (round(sides[1] * scale), round(sides[0] * scale))
    other = np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BILINEAR))
    found = _warped_correlation(one, other, np.array([[scale, 0, 0], [0, scale, 0]]))
    assert found > 0.8 if is_compared else found == 0


@pytest.mark.parametrize(("num_columns", "is_all_compared"), [(28, True), (34, False)])
def test_of_images_that_are_mostly_black_or_white_all_is_compared(num_columns, is_all_compared):
    one, other = np.zeros((100, 100), np.uint8), np.full((100, 100), 255, np.uint8)
    one[:, :num_columns] = other[:, :num_columns] = noise(100, num_columns)
    found = _pearson(one, other, np.ones((100, 100), dtype=bool))
    assert (found < 0) == is_all_compared


@pytest.mark.parametrize(("high", "is_flat"), [(2, True), (3, False)])
def test_an_image_is_flat_below_a_deviation_of_one_gray(high, is_flat):
    nothing = np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32)
    fifth = np.arange(10_000) % 5 == 0, np.arange(10_000) < 2000
    one, other = (Keypoints((100 + high * part).astype(np.uint8).reshape(100, 100), *nothing) for part in fifth)
    assert (correlation_unaligned(one, other) == 1) == is_flat  # a deviation of 0.8, and of 1.2


@pytest.mark.parametrize(("num_points", "is_aligned"), [(5, False), (6, True)])
def test_six_matches_make_a_map(num_points, is_aligned):
    whole = describe(textured(1))
    few = whole._replace(points=whole.points[:num_points], descriptors=whole.descriptors[:num_points])
    found = correlation(few, few)
    assert found == pytest.approx(1) if is_aligned else found == 0


@pytest.mark.parametrize(("value", "is_clipped"), [(4, True), (5, False), (249, False), (250, True)])
def test_grays_up_to_4_and_from_250_on_are_black_and_white(value, is_clipped):
    one, other = np.full((100, 100), value, np.uint8), np.tile(noise(100, 50, seed=1), (1, 2))
    one[:, :50] = other[:, :50] = noise(100, 50)
    whole = np.corrcoef(one.ravel(), other.ravel())[0, 1]
    found = _pearson(one, other, np.ones((100, 100), dtype=bool))
    assert (found > whole + 0.1) == is_clipped


def test_where_an_overlap_is_flat_nothing_correlates():
    flat, inside = np.full((20, 20), 100, np.uint8), np.ones((20, 20), dtype=bool)
    assert _pearson(flat, flat, inside) == _pearson(flat, noise(20, 20), inside) == 0


def test_descriptors_are_unit_rows_one_a_point_and_none_of_a_flat_image():
    found = describe(textured(1))
    assert len(found.descriptors) == len(found.points) > 20
    np.testing.assert_allclose(np.linalg.norm(found.descriptors, axis=1), 1, atol=1e-5)
    flat = describe(Image.new("L", (60, 40), 9))
    assert (flat.points.shape, flat.descriptors.shape) == ((0, 2), (0, 128))


def test_matches_are_mutual_and_clearly_better_than_the_second_best() -> None:
    other = np.eye(12)[:9]
    one = np.eye(12)[:8].copy()
    one[6] = one[5]  # of two that are alike, one is the best match's own best
    one[7] = (other[7] + other[8]) / np.sqrt(2)  # as near to two of them
    rows, best = _matches(one, other)
    assert (rows.tolist(), best.tolist()) == ([0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5])


@pytest.mark.parametrize(("num_one", "num_other"), [(5, 12), (12, 5), (0, 12)])
def test_of_few_descriptors_none_match(num_one: int, num_other: int) -> None:
    rows, best = _matches(np.eye(12)[:num_one], np.eye(12)[:num_other])
    assert (len(rows), len(best)) == (0, 0)


def test_a_jpeg_is_decoded_at_the_fraction_of_its_size_that_leaves_256_px(tmp_path):
    path = tmp_path / "a.jpg"
    textured(3, (512, 512)).save(path)
    with Image.open(path) as image:
        image.draft("L", (256, 256))
        assert image.size == (256, 256)
        expected = np.asarray(image.resize((128, 128), Image.Resampling.BILINEAR))
    with keypoints_reader([path], ["0"], max_gb=0) as read:
        np.testing.assert_array_equal(read(0).gray, expected)


def test_of_more_keypoints_than_a_hundred_the_strongest_are_taken():
    gray = np.asarray(textured(7).convert("L").resize((128, 96), Image.Resampling.BILINEAR))
    strongest = sorted(cv2.SIFT.create(contrastThreshold=0.02).detect(gray), key=lambda point: -point.response)
    assert len(strongest) > 120
    found = {tuple(point) for point in describe(textured(7)).points.tolist()}
    assert len({point.pt for point in strongest[:90]} - found) == 0
    assert found <= {point.pt for point in strongest}


def watermarked(image):
    """A dark plate with light letters, half transparent, over a twelfth of the image."""
    plate = Image.new("RGB", (120, 50), "black")
    ImageDraw.Draw(plate).text((10, 20), "(c) someone", fill="white")
    marked = image.copy()
    marked.paste(plate, (90, 150), Image.new("L", plate.size, 150))
    return marked


def with_logo(image):
    ImageDraw.Draw(marked := image.copy()).ellipse([40, 30, 140, 130], fill="white")  # a tenth of it
    return marked


def with_bar(image):
    ImageDraw.Draw(marked := image.copy()).rectangle([0, 0, image.width, 30], fill="black")  # an eighth of it
    return marked


OVERLAYS = {"a watermark": watermarked, "a logo": with_logo, "a bar": with_bar}
AFTER = {
    "as it is": lambda image: image,
    "turned a little": CHANGES["turned a little"],
    "mirrored": ImageOps.mirror,
    "cropped": CHANGES["cropped"],
}


@pytest.mark.parametrize("after", AFTER.values(), ids=AFTER)
@pytest.mark.parametrize("overlay", OVERLAYS.values(), ids=OVERLAYS)
@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_laid_over_an_image_does_not_hide_its_original(seed, overlay, after):
    one, other = describe(textured(seed)), describe(after(overlay(textured(seed))))
    assert correlation(one, other) > 0.96
    assert correlation(other, one) > 0.96


@pytest.mark.parametrize(("num_rows", "is_found"), [(10, True), (20, True), (24, False), (50, False)])
def test_the_less_is_left_uncovered_the_lower_is_the_correlation_and_beyond_a_quarter_it_is_not_left_out(
    num_rows, is_found
):
    one = noise(100, 100)
    other = one.copy()
    other[:num_rows] = np.abs(one[:num_rows].astype(int) - 128)  # that does not follow the image at all
    found = _uncovered_correlation(one, other, np.eye(2, 3))
    covered = (num_rows + 3) / 100  # with a margin, for what smoothing mixes in
    assert found == pytest.approx(1 - 0.15 * covered, abs=0.005) if is_found else found < 0.8


def test_a_large_thing_before_the_same_ground_is_another_image():
    ground = textured(1)
    scenes = [ground.copy(), ground.copy()]
    for scene, seed in zip(scenes, (2, 3), strict=True):
        scene.paste(textured(seed, size=(220, 160)), (60, 40))  # nearly half of it
    assert correlation(*map(describe, scenes)) < 0.9


def test_scattered_pixels_that_are_off_are_not_left_out():
    one = noise(100, 100)
    other = one.copy()
    other[::4, ::4] = 255 - other[::4, ::4]
    assert _uncovered_correlation(one, other, np.eye(2, 3)) == pytest.approx(
        _warped_correlation(one, other, np.eye(2, 3)), abs=0.05
    )
