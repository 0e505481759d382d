"""Features: written in a stream, whole or not at all, and read back as a memory map."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from tandem.errors import DamagedFileError, DataError
from tandem.tables.features import Features, load_features, load_features_of, write_features

IDS = ["a", "b", "c", "d", "e"]
X = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
META = {"backbone": "resnet50", "digest": "0" * 8}


def in_batches(x: np.ndarray, *sizes: int) -> Iterator[np.ndarray]:
    start = 0
    for size in sizes:
        yield x[start : start + size]
        start += size


def write(folder: Path, batches: Iterable[np.ndarray], *, ids: Sequence[str] = IDS, dim: int = 3) -> None:
    one_each = (np.expand_dims(batch, 1) for batch in batches)
    write_features(folder, ids=ids, dim=dim, batches=one_each, meta=META)


def files_in(tmp_path: Path) -> list[str]:
    return [path.name for path in tmp_path.iterdir()]


def test_features_written_in_batches_come_back_as_a_memory_map(tmp_path: Path) -> None:
    write(tmp_path / "resnet50", in_batches(X, 2, 2, 1))
    found = load_features(tmp_path / "resnet50", ids=IDS)
    assert isinstance(found.without_tta, np.memmap)
    assert found.without_tta.dtype == np.float32
    assert np.array_equal(found.without_tta, X)
    assert (found.ids, found.meta) == (tuple(IDS), META)
    assert not found.without_tta.flags.writeable


def test_the_first_of_several_tta_views_is_the_image_itself(tmp_path: Path) -> None:
    tta_views = np.stack([X, X + 1], axis=1)
    write_features(
        tmp_path / "resnet50", ids=IDS, dim=3, num_tta_views=2, batches=in_batches(tta_views, 4, 1), meta=META
    )
    found = load_features(tmp_path / "resnet50", ids=IDS)
    assert np.array_equal(found.tta_views, tta_views)
    assert np.array_equal(found.without_tta, X)


def test_the_size_of_batches_changes_no_byte(tmp_path: Path) -> None:
    write(tmp_path / "one", in_batches(X, 5))
    write(tmp_path / "two", in_batches(X.astype(np.float64), 1, 1, 3))
    for name in ("features.npy", "ids.txt", "meta.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_the_file_is_what_numpy_itself_would_write(tmp_path: Path) -> None:
    write(tmp_path / "one", in_batches(X, 3, 2))
    np.save(tmp_path / "features.npy", X[:, None])
    assert (tmp_path / "one" / "features.npy").read_bytes() == (tmp_path / "features.npy").read_bytes()


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((2, 2), "the backbone gave features of 4 images where there are 5; run the stage again"),
        ((), "the backbone gave features of 0 images where there are 5"),
        ((3, 3), r"a batch of shape \(3, 1, 3\) after 3 images; at most 2 of 1 x 3 values are expected"),
        ((5, 1), r"a batch of shape \(1, 1, 3\) after 5 images; at most 0 of 1 x 3 values are expected"),
    ],
)
def test_features_of_another_number_of_images_is_refused(tmp_path: Path, sizes: tuple[int, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        write(tmp_path / "resnet50", in_batches(np.concatenate([X, X]), *sizes))
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("shape", [(5, 1, 1), (5, 1, 4), (5,), (5, 3), (5, 3, 1), (5, 1, 3, 1)])
def test_features_of_another_width_are_refused_and_not_stretched(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError) as caught:
        write_features(tmp_path / "resnet50", ids=IDS, dim=3, batches=[np.zeros(shape, np.float32)], meta=META)
    assert f"a batch of shape {shape} after 0 images; at most 5 of 1 x 3 values" in str(caught.value)
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_names_its_image_and_leaves_nothing_behind(tmp_path: Path, value: float) -> None:
    x = X.copy()
    x[3, 1] = value
    with pytest.raises(DataError, match=r"not finite for image d; try extract\.engine: reference"):
        write(tmp_path / "resnet50", in_batches(x, 2, 2, 1))
    assert files_in(tmp_path) == []


def test_a_failure_keeps_the_older_features(tmp_path: Path) -> None:
    write(tmp_path / "resnet50", in_batches(X, 5))

    def interrupted() -> Iterator[np.ndarray]:
        yield X[:2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "resnet50", interrupted())
    assert files_in(tmp_path) == ["resnet50"]
    assert np.array_equal(load_features(tmp_path / "resnet50", ids=IDS).without_tta, X)


@pytest.mark.parametrize(
    ("ids", "shape", "message"),
    [
        (("a", "b"), (3, 1, 4), r"got 2 ids, 2 of them unique, and shape \(3, 1, 4\)"),
        (("a", "b", "a"), (3, 1, 4), r"got 3 ids, 2 of them unique, and shape \(3, 1, 4\)"),
        (("a", "b", "c"), (3, 4), r"got 3 ids, 3 of them unique, and shape \(3, 4\)"),
    ],
)
def test_features_have_one_row_a_unique_id(ids: tuple[str, ...], shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Features(ids, np.zeros(shape, np.float32), META)


@pytest.mark.parametrize("ids", [["a", "b", "c", "e", "d"], ["a", "b", "c", "d"], ["a", "b", "c", "d", "x"]])
def test_features_of_other_images_are_refused(tmp_path: Path, ids: list[str]) -> None:
    write(tmp_path / "resnet50", in_batches(X, 5))
    message = f"features of resnet50 are of 5 images in another order or number than the {len(ids)} of the index"
    with pytest.raises(DataError, match=message):
        load_features(tmp_path / "resnet50", ids=ids)
    with pytest.raises(DataError, match=message):
        load_features_of(tmp_path, ["resnet50"], ids=ids)


def test_all_tables_of_a_folder_are_read_by_name(tmp_path: Path) -> None:
    for name, x in (("one", X), ("two", X * 2), ("unasked", X)):
        write(tmp_path / name, in_batches(x, 5))
    found = load_features_of(tmp_path, ["two", "one"], ids=IDS)
    assert list(found) == ["two", "one"]
    assert np.array_equal(found["two"][:, 0], X * 2)
    assert np.array_equal(found["one"][:, 0], X)


def test_what_was_made_is_named_where_it_is_no_mapping(tmp_path: Path) -> None:
    write(tmp_path / "resnet50", in_batches(X, 5))
    (tmp_path / "resnet50/meta.json").write_text("3", encoding="utf-8")
    with pytest.raises(DamagedFileError, match=r"resnet50/meta\.json cannot be read"):
        load_features(tmp_path / "resnet50", ids=IDS)
