"""The second measure finds near what is, and stops where too much is or where one pair is as near as copies."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from planted_images import NONE, similar_to, smooth_image, some_features, some_hashes, some_thumbnail, textured_image
from tandem.cache.store import CACHE_DIR
from tandem.curation import disputed as second
from tandem.curation.disputed import (
    Disputed,
    find_disputed,
    require_undisputed,
    save_disputed,
    thumbnails_reader,
)
from tandem.errors import LeakageError
from tandem.files import read_csv
from tandem.images.hashing import dihedral_phashes

IDS = [f"image{row}" for row in range(40)]
FEATURES = np.stack([some_features(row) for row in range(40)])
HASHES = np.stack([some_hashes(row) for row in range(40)])


def find(pairs, features=FEATURES, hashes=HASHES, thumbnail_of=some_thumbnail, min_similarity=0.9) -> Disputed:
    return find_disputed(
        np.array(pairs, dtype=np.int64).reshape(-1, 2),
        features=features,
        hashes=hashes,
        thumbnails_of=lambda rows: np.array([thumbnail_of(row) for row in rows], np.float32).reshape(-1, 16, 16),
        min_similarity=min_similarity,
    )


def with_bits_changed(row: int, num_bits: int) -> np.ndarray:
    bits = np.unpackbits(HASHES[row], axis=1)
    bits[:, :num_bits] ^= 1
    return np.packbits(bits, axis=1)


def near(row: int, other: int, *, correlation: float, bits: int, cosine: float) -> Disputed:
    """What is found of rows 0 and 1 where they agree by so much."""
    features, hashes = FEATURES.copy(), HASHES.copy()
    features[1] = similar_to(FEATURES[0], cosine)
    hashes[1] = with_bits_changed(0, bits)
    one, away = (some_thumbnail(seed) - some_thumbnail(seed).mean() for seed in (0, 1))
    one /= np.linalg.norm(one)
    away -= (away * one).sum() * one
    mixed = correlation * one + np.sqrt(1 - correlation**2) * away / np.linalg.norm(away)
    images = {0: 128 + 900 * one, 1: 100 + 400 * mixed}
    return find([(row, other)], features, hashes, images.__getitem__)


# of each: near, and just not; the middle between a min_similarity of 0.9 and 1 is 0.95
PIXELS, BITS, COSINES = (0.901, 0.899), (40, 41), (0.951, 0.949)


@pytest.mark.parametrize("pixels", [0, 1])
@pytest.mark.parametrize("bits", [0, 1])
@pytest.mark.parametrize("cosine", [0, 1])
def test_a_pair_is_disputed_where_two_of_three_measures_find_it_near(pixels: int, bits: int, cosine: int) -> None:
    found = near(0, 1, correlation=PIXELS[pixels], bits=BITS[bits], cosine=COSINES[cosine])
    assert len(found) == (pixels + bits + cosine <= 1)
    assert found.num_judged == 1


@pytest.mark.parametrize(("row", "other"), [(0, 1), (1, 0)])
def test_the_measures_are_told_and_do_not_hang_on_which_row_is_first(row: int, other: int) -> None:
    found = near(row, other, correlation=0.95, bits=20, cosine=0.97)
    assert found.correlation.tolist() == pytest.approx([0.95], abs=1e-5)
    assert found.hash_distance.tolist() == [20]
    assert found.similarity.tolist() == pytest.approx([0.97], abs=1e-5)
    assert not found.is_copy.any()


@pytest.mark.parametrize(
    ("correlation", "bits", "is_copy"), [(0.991, 16, True), (0.991, 17, False), (0.989, 16, False)]
)
def test_pairs_are_like_copies_by_thumbnail_and_hash_both(correlation: float, bits: int, is_copy: bool) -> None:
    assert near(0, 1, correlation=correlation, bits=bits, cosine=0.5).is_copy.tolist() == [is_copy]


@pytest.mark.parametrize("turn", [None, *Image.Transpose], ids=str)
def test_a_copy_is_found_in_every_orientation(turn, tmp_path: Path) -> None:
    image = textured_image(1)
    copy = image if turn is None else image.transpose(turn)
    image.save(tmp_path / "0.jpg")
    ImageOps.autocontrast(copy).resize((90, 70)).save(tmp_path / "1.png")
    hashes = np.stack([dihedral_phashes(each) for each in (image, copy)])
    thumbnails = thumbnails_reader([tmp_path / "0.jpg", tmp_path / "1.png"], ["0", "1"], max_gb=0)([0, 1])
    for pair in ((0, 1), (1, 0)):
        found = find([pair], hashes=hashes, thumbnail_of=thumbnails.__getitem__)
        assert found.is_copy.tolist() == [True]


def test_images_of_different_things_are_not_near() -> None:
    images = [smooth_image(seed) for seed in range(40)]
    hashes = np.stack([dihedral_phashes(image) for image in images])
    small = [np.asarray(image.convert("L").resize((16, 16)), dtype=np.float32) for image in images]
    pairs = [(i, j) for i in range(40) for j in range(i)]
    assert len(find(pairs, hashes=hashes, thumbnail_of=small.__getitem__)) == 0


def test_flat_images_correlate_with_flat_ones_alone_and_their_hashes_mean_nothing() -> None:
    thumbnails = [np.full((16, 16), 7.0), np.full((16, 16), 200.0), some_thumbnail(2)]
    flat = dihedral_phashes(Image.new("L", (64, 64)))
    hashes = np.stack([flat, flat, HASHES[2]])
    features = np.ones((3, 8), dtype=np.float32)
    found = find([(0, 1), (0, 2), (1, 2)], features, hashes, thumbnails.__getitem__)
    assert found.pairs.tolist() == [[0, 1]]  # by thumbnails and features
    assert (found.correlation.tolist(), found.hash_distance.tolist()) == ([1.0], [256])
    assert not found.is_copy.any()


def test_pairs_are_measured_chunk_by_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [(0, 1), (2, 3), (5, 4), (6, 7), (0, 7)]
    features, hashes = FEATURES.copy(), HASHES.copy()
    features[[1, 4, 7]], hashes[[1, 4, 7]] = features[[0, 5, 0]], hashes[[0, 5, 0]]
    whole = find(pairs, features, hashes)
    monkeypatch.setattr(second, "_CHUNK", 2)
    parts = find(pairs, features, hashes)
    assert whole.pairs.tolist() == parts.pairs.tolist() == [[0, 1], [5, 4], [0, 7]]
    assert whole.correlation.tolist() == parts.correlation.tolist()
    assert whole.similarity.tolist() == parts.similarity.tolist() == pytest.approx([1, 1, 1])


def test_no_pair_at_all_is_no_dispute(tmp_path: Path) -> None:
    found = find(NONE)
    require_undisputed(found, IDS)
    save_disputed(found, IDS, tmp_path / "pairs.csv")
    header = "first,second,thumbnail_correlation,hash_distance,similarity\n"
    assert (tmp_path / "pairs.csv").read_text() == header


def disputed(num_pairs: int, *, num_judged: int = 100, correlation: float = 0.95, distance: int = 30) -> Disputed:
    pairs = np.arange(2 * num_pairs).reshape(-1, 2)
    column = np.ones(num_pairs)
    return Disputed(pairs, correlation * column, np.full(num_pairs, distance), 0.9 * column, num_judged)


@pytest.mark.parametrize(("allowed", "num_judged"), [(3, 100), (3, 3999), (4, 4000), (9, 9999)])
def test_more_than_three_pairs_or_one_in_a_thousand_are_an_error(allowed: int, num_judged: int) -> None:
    require_undisputed(disputed(allowed, num_judged=num_judged), IDS)
    message = rf"^{allowed + 1} pairs in two splits were verified as different.*0 of them like .*; {allowed} may be so"
    with pytest.raises(LeakageError, match=message):
        require_undisputed(disputed(allowed + 1, num_judged=num_judged), IDS)


def test_one_pair_as_near_as_copies_is_an_error_that_names_it_and_says_what_to_do() -> None:
    require_undisputed(disputed(2), IDS)
    found = disputed(2)
    found = replace(found, correlation=np.array([0.992, 0.995]), hash_distance=np.array([40, 8]))
    with pytest.raises(LeakageError) as error:
        require_undisputed(found, IDS)
    assert "image2 and image3 (thumbnails correlate by 0.995, hash distance 8 of 256); image0 and image1" in str(
        error.value
    )
    assert "duplicate or not_duplicate" in str(error.value)
    assert "lower curate.min_correlation" in str(error.value)


def test_pairs_are_written_with_ids_and_the_three_measures(tmp_path: Path) -> None:
    save_disputed(disputed(1), IDS, tmp_path / "pairs.csv")
    assert read_csv(tmp_path / "pairs.csv") == [
        {
            "first": "image0",
            "second": "image1",
            "thumbnail_correlation": "0.95",
            "hash_distance": "30",
            "similarity": "0.9",
        }
    ]


def striped(high: int) -> np.ndarray:
    """(16, 16) grays of 100, and of so much more in a fifth of them: a deviation of 0.4 times that."""
    return np.where(np.arange(256) % 5 == 0, 100.0 + high, 100.0).reshape(16, 16)


@pytest.mark.parametrize(("high", "is_flat"), [(2, True), (3, False)])
def test_a_thumbnail_is_flat_below_a_deviation_of_one_gray(high: int, is_flat: bool) -> None:
    rows = np.where(np.arange(256) < 51, 100.0 + high, 100.0).reshape(16, 16)
    given = {"features": FEATURES[[0, 0]], "hashes": HASHES[[0, 0]]}
    found = find([(0, 1)], **given, thumbnail_of=[striped(high), rows].__getitem__)
    assert (found.correlation[0] == 1) == is_flat
    assert is_flat or found.correlation[0] < 0.5


def test_three_pairs_are_named_however_many_there_are() -> None:
    with pytest.raises(LeakageError, match=r"^5 pairs .* 3 may be so") as error:
        require_undisputed(disputed(5), IDS)
    assert str(error.value).count("(thumbnails correlate by") == 3


def test_a_thumbnail_is_read_once_and_is_the_same_from_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_DIR, str(tmp_path / "cache"))
    paths = [tmp_path / f"{seed}.jpg" for seed in range(4)]
    for seed, path in enumerate(paths):
        textured_image(seed).save(path)
    nothing_kept = thumbnails_reader(paths, IDS, max_gb=0)([0, 1, 2, 3])
    assert not (tmp_path / "cache").exists()
    thumbnails_reader(paths, IDS[:4], max_gb=1)([0, 1])  # of all of them, whichever are asked for
    for path in paths:
        path.unlink()
    found = thumbnails_reader(paths, IDS[:4], max_gb=1)([3, 2, 1, 0])
    assert (found.dtype, found.tobytes()) == (nothing_kept.dtype, nothing_kept[::-1].tobytes())
    with pytest.raises(FileNotFoundError):
        thumbnails_reader(paths, IDS[1:5], max_gb=1)([3])  # of other bytes


def test_a_thumbnail_holds_the_means_of_the_pixels_of_its_squares(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 48), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    [found] = thumbnails_reader([tmp_path / "none.png", tmp_path / "a.png"], ["0", "1"], max_gb=0)([1])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, pixels.reshape(16, 2, 16, 3).mean(axis=(1, 3)), atol=1)  # rounded twice


def test_a_jpeg_is_decoded_at_the_fraction_of_its_size_that_leaves_64_px(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    textured_image(3).resize((128, 128)).save(path)
    with Image.open(path) as image:
        image.draft("L", (64, 64))
        assert image.size == (64, 64)
        expected = np.asarray(image.resize((16, 16), Image.Resampling.BOX))
    np.testing.assert_array_equal(thumbnails_reader([path], ["0"], max_gb=0)([0])[0], expected)


def test_thumbnails_are_held_for_a_part_of_the_pairs_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = np.array([[0, 1], [2, 3], [1, 3], [0, 2], [4, 5]])
    whole, asked = find(pairs, min_similarity=-3).correlation, []

    def read(row: int) -> np.ndarray:
        asked.append(row)
        return some_thumbnail(row)

    monkeypatch.setattr(second, "_PART", 2)
    np.testing.assert_array_equal(find(pairs, thumbnail_of=read, min_similarity=-3).correlation, whole)
    assert asked == [0, 1, 2, 3, 0, 1, 2, 3, 4, 5]
