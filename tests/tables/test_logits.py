"""Logits with the ids and class names that give them meaning, to disk and back."""

from pathlib import Path

import numpy as np
import pytest

from tandem.errors import DataError
from tandem.tables.logits import (
    Logits,
    folder_of_model,
    load_logits,
    load_logits_of,
    load_model_library,
    save_logits,
    save_model_library,
)

IDS, NAMES = ("a", "b", "c"), ("car", "caminhão")
VALUES = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)


def save(
    path: Path, *, ids: tuple[str, ...] = IDS, names: tuple[str, ...] = NAMES, values: np.ndarray = VALUES
) -> Path:
    save_logits(Logits(ids, names, values), path)
    return path


def test_logits_come_back_from_disk(tmp_path: Path) -> None:
    found = load_logits(save(tmp_path / "deep" / "logits.npz"))
    assert (found.ids, found.class_names) == (IDS, NAMES)
    assert found.values.dtype == np.float32
    assert np.array_equal(found.values, VALUES)


def test_the_same_logits_are_the_same_bytes(tmp_path: Path) -> None:
    assert save(tmp_path / "1.npz").read_bytes() == save(tmp_path / "2.npz").read_bytes()


def test_the_file_opens_without_pickle(tmp_path: Path) -> None:
    with np.load(save(tmp_path / "logits.npz"), allow_pickle=False) as arrays:
        assert sorted(arrays) == ["class_names", "ids", "values"]


@pytest.mark.parametrize("shape", [(3, 3), (2, 2), (3,)])
def test_logits_need_a_row_an_id_and_a_column_a_class(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError) as caught:
        Logits(IDS, NAMES, np.zeros(shape, np.float32))
    assert f"logits of shape {shape} for 3 ids and 2 classes" in str(caught.value)


def test_all_files_are_read_by_name(tmp_path: Path) -> None:
    for name, factor in (("two", 2), ("one", 1)):
        save(tmp_path / name / "logits.npz", values=VALUES * factor)
    folders = {name: tmp_path / name for name in ("two", "one")}
    found = load_logits_of(folders, ids=list(IDS), class_names=list(NAMES))
    assert list(found) == ["two", "one"]
    assert np.array_equal(found["two"], VALUES * 2)


def test_files_of_another_stem_are_read_by_it(tmp_path: Path) -> None:
    save(tmp_path / "one" / "out_of_fold.npz")
    found = load_logits_of({"one": tmp_path / "one"}, ids=IDS, class_names=NAMES, stem="out_of_fold")
    assert np.array_equal(found["one"], VALUES)


@pytest.mark.parametrize("changes", [{"ids": ("a", "c", "b")}, {"names": ("caminhão", "car")}])
def test_logits_of_other_images_or_classes_are_refused(tmp_path: Path, changes: dict[str, tuple[str, ...]]) -> None:
    save(tmp_path / "one" / "logits.npz")
    save(tmp_path / "two" / "logits.npz", **changes)  # type: ignore[arg-type]
    folders = {name: tmp_path / name for name in ("one", "two")}
    with pytest.raises(
        DataError, match=r"two/logits\.npz cannot be used \(the logits are of other images or classes\)"
    ):
        load_logits_of(folders, ids=IDS, class_names=NAMES)


def test_a_library_comes_back_by_model_in_order_and_is_the_same_bytes_twice(tmp_path: Path) -> None:
    library = {"two": VALUES * 2, "one": VALUES}
    for name in ("1.npz", "2.npz"):
        save_model_library(library, ids=IDS, class_names=NAMES, path=tmp_path / "deep" / name)
    found = load_model_library(tmp_path / "deep" / "1.npz", ids=list(IDS), class_names=list(NAMES))
    assert list(found) == ["two", "one"]
    assert all(np.array_equal(found[name], library[name]) for name in library)
    assert (tmp_path / "deep" / "1.npz").read_bytes() == (tmp_path / "deep" / "2.npz").read_bytes()


def test_a_library_with_a_model_twice_is_refused(tmp_path: Path) -> None:
    twice = {"models": np.array(["one", "one"]), "values": np.stack([VALUES, VALUES])}
    np.savez(tmp_path / "library.npz", ids=np.array(IDS), class_names=np.array(NAMES), **twice)
    with pytest.raises(DataError, match=r"library\.npz .*models of a library must be unique and not empty; 'one' is"):
        load_model_library(tmp_path / "library.npz", ids=list(IDS), class_names=list(NAMES))


@pytest.mark.parametrize(("ids", "names"), [(("a", "c", "b"), NAMES), (IDS, ("car", "truck"))])
def test_a_library_of_other_images_or_classes_is_refused(
    ids: tuple[str, ...], names: tuple[str, ...], tmp_path: Path
) -> None:
    save_model_library({"one": VALUES}, ids=IDS, class_names=NAMES, path=tmp_path / "library.npz")
    with pytest.raises(DataError, match=r"library\.npz cannot be used \(the logits are of other images or classes\)"):
        load_model_library(tmp_path / "library.npz", ids=ids, class_names=names)


def test_a_models_folder_is_that_of_its_kind() -> None:
    folders = [folder_of_model(Path("data"), name, ["resnet50", "vit"]) for name in ("vit", "mean")]
    assert folders == [Path("data/train/vit"), Path("data/ensemble/mean")]
