"""What is not finite, of another shape or type, or there twice is refused: by every table, when made and when read.

The message of what is read names the file; bytes that are damaged are tried in test_damage.py.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest

from tandem.errors import DamagedFileError, DataError
from tandem.tables.checks import require_finite, require_unique
from tandem.tables.features import Features, load_features, write_features
from tandem.tables.index import ImageRecord, Index, Origin
from tandem.tables.logits import Logits, load_logits_in, load_model_library, save_logits, save_model_library
from tandem.tables.samples import Sample, Samples, load_class_names
from tandem.training.linear import Linear, load_linear

IDS, NAMES = ("a", "b", "c"), ("car", "truck")
VALUES = np.arange(6, dtype=np.float32).reshape(3, 2)
KEY = {"ids": IDS, "class_names": NAMES}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    write_features(folder / "features", ids=IDS, dim=2, batches=[VALUES[:, None]], meta={"backbone": "one"})
    save_logits(Logits(IDS, NAMES, VALUES), folder / "logits.npz")
    save_model_library({"one": VALUES, "two": VALUES}, **KEY, path=folder / "library.npz")
    Linear(VALUES[0], VALUES[0], VALUES[:2], VALUES[0]).save(folder)
    return folder


def read_features(folder):
    return load_features(folder / "features", ids=IDS)


def read_logits(folder):
    return load_logits_in(folder, **KEY)


def read_library(folder):
    return load_model_library(folder / "library.npz", **KEY)


NOT_FINITE = [np.nan, np.inf, -np.inf]


@pytest.mark.parametrize("value", NOT_FINITE)
def test_what_is_not_finite_is_refused_at_birth_and_when_it_is_read(value, tables, tmp_path) -> None:
    shutil.copytree(tables, folder := tmp_path / "copy")
    spoilt = VALUES.copy()
    spoilt[1, 1] = value
    with pytest.raises(DataError, match=r"features of image b hold a value that is not finite$"):
        Features(IDS, spoilt[:, None], {})
    with pytest.raises(DataError, match="logits of image b hold a value that is not finite; a lower lr keeps them"):
        Logits(IDS, NAMES, spoilt)
    with pytest.raises(DataError, match="logits of image b hold a value that is not finite"):
        save_model_library({"one": VALUES, "two": spoilt}, **KEY, path=tmp_path / "library.npz")
    assert not (tmp_path / "library.npz").exists()

    np.save(folder / "features/features.npy", spoilt[:, None])
    with pytest.raises(
        DamagedFileError,
        match=r"features/features\.npy cannot be used \(features of image b hold .*\); run the",
    ) as caught:
        read_features(folder)
    assert caught.value.path == folder / "features/features.npy"
    for name, values, read in (
        ("logits", spoilt, read_logits),
        ("library", np.stack([VALUES, spoilt]), read_library),
    ):
        arrays = {"ids": np.array(IDS), "class_names": np.array(NAMES), "models": np.array(["one", "two"])}
        np.savez(folder / f"{name}.npz", values=values, **arrays)
        with pytest.raises(DamagedFileError, match=r"cannot be used \(logits of image b hold a value") as caught:
            read(folder)
        assert caught.value.path == folder / f"{name}.npz"
    np.savez(folder / "head.npz", mean=spoilt[1], std=VALUES[0], weight=VALUES[:2], bias=VALUES[0])
    with pytest.raises(DamagedFileError, match=r"head\.npz cannot be read \(its arrays are not finite float32\); run"):
        load_linear(folder / "head.npz")


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int64, np.str_])
def test_values_of_another_type_are_refused(dtype, tables, tmp_path) -> None:
    shutil.copytree(tables, folder := tmp_path / "copy")
    np.save(folder / "features/features.npy", VALUES[:, None].astype(dtype))
    with pytest.raises(
        DamagedFileError, match=r"features\.npy cannot be used \(features must be float32, .* got .*\);"
    ):
        read_features(folder)
    np.savez(folder / "logits.npz", ids=np.array(IDS), class_names=np.array(NAMES), values=VALUES.astype(dtype))
    with pytest.raises(DamagedFileError, match=r"logits\.npz cannot be used \(logits must be float32, not .*\); run"):
        read_logits(folder)


@pytest.mark.parametrize("shape", [(3, 0, 2), (3, 1, 0)])
def test_features_without_a_view_or_a_column_are_refused(shape) -> None:
    with pytest.raises(DataError, match=r"at least one TTA view and column; got float32 of shape"):
        Features(IDS, np.zeros(shape, np.float32), {})


@pytest.mark.parametrize("shape", [(2, 3), (1, 3, 2), (2, 2, 2), (2, 3, 3)])
def test_a_library_of_another_shape_is_refused(shape, tables, tmp_path) -> None:
    shutil.copytree(tables, folder := tmp_path / "copy")
    arrays = {"ids": np.array(IDS), "class_names": np.array(NAMES), "models": np.array(["one", "two"])}
    np.savez(folder / "library.npz", values=np.zeros(shape, np.float32), **arrays)
    message = r"library\.npz cannot be used \(logits of shape .* for 2 models, 3 ids and 2 classes\); run the stage"
    with pytest.raises(DamagedFileError, match=message):
        read_library(folder)


@pytest.mark.parametrize("ids", [("a", "b", "a"), ("a", "", "c")])
def test_an_id_that_is_there_twice_or_empty_is_refused_in_every_table(ids, tables, tmp_path) -> None:
    with pytest.raises(DataError, match=r"ids of logits must be unique and not empty"):
        Logits(ids, NAMES, VALUES)
    with pytest.raises(DataError, match=r"ids of features must be unique and not empty; '.*' is not"):
        write_features(tmp_path / "features", ids=ids, dim=2, batches=[VALUES[:, None]], meta={})
    with pytest.raises(DataError, match=r"ids of samples must be unique and not empty; '.*' is not"):
        Samples.of(NAMES, (Sample(id_, "car", "web", id_, "train") for id_ in ids))
    with pytest.raises(DataError, match=r"class names of logits must be unique"):
        Logits(IDS, ("car", "car"), VALUES)
    with pytest.raises(DataError, match=r"class names of samples must be unique"):
        Samples.of(("car", "car"), ())


@pytest.mark.parametrize("width", [0, -4])
def test_an_image_without_a_width_is_refused(width) -> None:
    record = ImageRecord("a", "car", "a.jpg", width, 9, (), (Origin("web", "a.jpg", "car"),))
    with pytest.raises(DataError, match="record a has no width or height"):
        Index.of([record])


@pytest.mark.parametrize("changes", [{"id": ""}, {"file": ""}])
def test_an_image_without_an_id_or_a_file_is_refused(changes) -> None:
    record = ImageRecord("a", "car", "a.jpg", 9, 9, (), (Origin("web", "a.jpg", "car"),))
    with pytest.raises(DataError, match=r"record '\w*' needs an id and a file, not"):
        Index.of([record._replace(**changes)])


@pytest.mark.parametrize("text", ["{}", '["car", 3]', '["car", "car"]', '["car", ""]', '"car"'])
def test_class_names_that_are_no_list_of_different_names_are_refused(text, tmp_path) -> None:
    (tmp_path / "classes.json").write_text(text)
    with pytest.raises(DamagedFileError, match=r"classes\.json cannot be (read|used) \(.*\); run the stage that"):
        load_class_names(tmp_path / "classes.json")


def test_values_are_checked_in_every_block(monkeypatch) -> None:
    monkeypatch.setattr("tandem.tables.checks._BLOCK", 4)  # two rows
    values = np.zeros((5, 2), np.float32)
    require_finite(values, "abcde", what="features")
    for row in range(5):
        values[:] = 0
        values[row, 1] = np.nan
        with pytest.raises(DataError, match=f"features of image {'abcde'[row]} hold"):
            require_finite(values, "abcde", what="features")


def test_nothing_is_finite_and_unique() -> None:
    require_finite(np.zeros((0, 3)), (), what="features")
    require_unique((), what="ids")
