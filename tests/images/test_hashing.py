"""The perceptual hash against the imagehash library's, in all eight orientations."""

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageDraw

from tandem.images.hashing import NUM_BITS, as_signs, dihedral_phashes, similarity_of_distance

# Row k of dihedral_phashes is the hash of the thumbnail after the k-th of these.
TURNS = (
    None,
    Image.Transpose.FLIP_LEFT_RIGHT,
    Image.Transpose.FLIP_TOP_BOTTOM,
    Image.Transpose.ROTATE_180,
    Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_90,
    Image.Transpose.ROTATE_270,
    Image.Transpose.TRANSVERSE,
)


def ellipses(seed: int, *, width: int = 200, height: int = 150) -> Image.Image:
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(60, 120, (height, width, 3), dtype=np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(8):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        draw.ellipse((x, y, x + width // 4, y + height // 3), fill=tuple(rng.integers(0, 256, 3).tolist()))
    return image


def bits(packed: np.ndarray) -> np.ndarray:
    return np.unpackbits(packed, axis=-1)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [(200, 150), (90, 240), (40, 40)])
def test_every_row_is_imagehashs_phash_of_the_turned_thumbnail(seed: int, size: tuple[int, int]) -> None:
    image = ellipses(seed, width=size[0], height=size[1])
    found = dihedral_phashes(image)
    assert (found.shape, found.dtype) == ((8, 32), np.uint8)
    thumbnail = image.convert("L").resize((64, 64), Image.Resampling.LANCZOS)
    for row, turn in zip(found, TURNS, strict=True):
        turned = thumbnail if turn is None else thumbnail.transpose(turn)
        assert np.array_equal(bits(row), imagehash.phash(turned, hash_size=16).hash.ravel()), turn


def test_the_first_row_is_imagehashs_phash_of_the_image_itself() -> None:
    assert np.array_equal(
        bits(dihedral_phashes(ellipses(1))[0]), imagehash.phash(ellipses(1), hash_size=16).hash.ravel()
    )


def test_a_turned_image_has_the_same_rows_in_another_order() -> None:
    image = ellipses(3, width=160, height=160)
    rows = {row.tobytes() for row in dihedral_phashes(image)}
    assert len(rows) == 8
    for turn in TURNS[1:]:
        first = bits(dihedral_phashes(image.transpose(turn))[0])
        nearest = min(int((first != bits(np.frombuffer(row, np.uint8))).sum()) for row in rows)
        assert nearest <= 4, "the thumbnail is rounded to whole grays on both ways"


def test_a_smaller_version_is_near_and_another_image_is_far() -> None:
    one = bits(dihedral_phashes(ellipses(1))[0])
    small = bits(dihedral_phashes(ellipses(1).resize((120, 90)))[0])
    other = bits(dihedral_phashes(ellipses(2))[0])
    assert (one != small).sum() < 25 < 80 < (one != other).sum()


def test_the_cosine_of_signs_is_that_of_their_hamming_distance() -> None:
    packed = np.concatenate([dihedral_phashes(ellipses(seed))[:1] for seed in range(6)])
    signs = as_signs(packed)
    assert (signs.dtype, signs.shape) == (np.float32, (6, 256))
    distances = (bits(packed)[:, None] != bits(packed)[None]).sum(axis=2)
    cosines = signs @ signs.T / NUM_BITS
    expected = [[similarity_of_distance(int(distance)) for distance in row] for row in distances]
    assert np.allclose(cosines, expected)


def test_the_ends_of_the_scale() -> None:
    assert [similarity_of_distance(distance) for distance in (0, 64, 128, 256)] == [1.0, 0.5, 0.0, -1.0]


@pytest.mark.parametrize("color", ["black", "white", "teal"])
def test_a_flat_image_is_like_nothing_not_even_itself(color: str) -> None:
    flat = dihedral_phashes(Image.new("RGB", (50, 50), color))[:1]
    signs = as_signs(np.concatenate([flat, flat, dihedral_phashes(ellipses(1))[:1]]))
    assert not signs[:2].any()
    assert (np.abs(signs[2]) == 1).all()


@pytest.mark.parametrize(("num_bits", "is_usable"), [(95, False), (96, True), (128, True)])
def test_a_hash_means_something_from_96_bits_on(num_bits: int, is_usable: bool) -> None:
    bits = np.zeros((1, NUM_BITS), dtype=np.uint8)
    bits[0, :num_bits] = 1
    assert bool(as_signs(np.packbits(bits, axis=1)).any()) == is_usable
