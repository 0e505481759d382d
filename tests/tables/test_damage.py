"""Files of the pipeline's own that are missing, cut, empty, garbage or of another kind: one message names the file.

Each reader of what an earlier stage wrote is tried with each damage.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import helper

from factories import samples_of
from tandem.errors import DamagedFileError
from tandem.files import read_csv, read_json
from tandem.inference.converted import feature_dim, load_converted, load_test_features, save_converted
from tandem.inference.networks import read_head
from tandem.tables.features import load_features, write_features
from tandem.tables.index import ImageRecord, Index, Origin, load_index, save_index
from tandem.tables.logits import Logits, load_logits, load_model_library, save_logits, save_model_library
from tandem.tables.samples import load_samples, save_samples
from tandem.training.ensembles import selected_model
from tandem.training.fitting.network_fit import NetworkHead
from tandem.training.linear import Linear, load_linear
from tandem.training.networks import TemperatureScaled, mlp_head

IDS, NAMES = ("000", "001", "002"), ("car", "motorcycle", "truck")
VALUES = np.arange(9, dtype=np.float32).reshape(3, 3)
RECORDS = [ImageRecord(id_, "car", f"{id_}.jpg", 9, 9, (f"stem:{id_}",), (Origin("a", "b.jpg", "c"),)) for id_ in IDS]


def _library(folder: Path) -> None:
    save_model_library({"one": VALUES}, ids=IDS, class_names=NAMES, path=folder / "library.npz")


def _converted(folder: Path) -> None:
    model = helper.make_model(helper.make_graph([], "g", [], []))
    features = VALUES[:, None]
    save_converted(model.SerializeToString(), folder / "x", features=features, reference=features, meta={})


def _read_converted(folder: Path) -> None:
    load_converted(folder / "x")
    feature_dim(folder / "x")
    load_test_features(folder / "x")


def _network(folder: Path) -> None:
    head = TemperatureScaled(mlp_head(torch.zeros(1, 3), 3, dropout=0, seed=0), 1.0)
    NetworkHead(head).save(folder)


def _selected(folder: Path) -> None:
    (folder / "selected.json").write_text(json.dumps({"selected": "mean", "kinds": ["mean"]}))


READERS: dict[str, tuple[Callable[[Path], Any], Callable[[Path], Any]]] = {
    "index": (
        lambda folder: save_index(Index.of(RECORDS), folder / "index.csv"),
        lambda folder: load_index(folder / "index.csv"),
    ),
    "samples": (lambda folder: save_samples(samples_of([0, 1, 2], ["train", "val", "test"]), folder), load_samples),
    "features": (
        lambda folder: write_features(
            folder / "x", ids=IDS, dim=3, batches=[VALUES[:, None]], meta={"backbone": "resnet18"}
        ),
        lambda folder: load_features(folder / "x", ids=IDS),
    ),
    "logits": (
        lambda folder: save_logits(Logits(IDS, NAMES, VALUES), folder / "logits.npz"),
        lambda folder: load_logits(folder / "logits.npz"),
    ),
    "library": (_library, lambda folder: load_model_library(folder / "library.npz", ids=IDS, class_names=NAMES)),
    "linear": (
        lambda folder: Linear(VALUES[0], VALUES[1], VALUES, VALUES[2]).save(folder),
        lambda folder: load_linear(folder / "head.npz"),
    ),
    "network": (_network, lambda folder: read_head(folder / "network.npz", dim=3, num_classes=3)),
    "converted": (_converted, _read_converted),
    "selected": (_selected, selected_model),
}


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _other_array(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, other=np.zeros(2))


def _array(path: Path, array: np.ndarray) -> None:
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=True)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut": _cut,
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "garbage": lambda path: path.write_bytes(bytes(range(256)) * 2),
    "text": lambda path: path.write_text("a,b\n1\n"),
    "page": lambda path: path.write_bytes("<html>não encontrado</html>\n".encode("latin-1")),
    "json": lambda path: path.write_text('[{"a": 1}]'),
    "number": lambda path: path.write_text("7"),
    "nested": lambda path: path.write_text("[" * 100_000),
    "arrays": _other_array,
    "array": lambda path: _array(path, np.zeros((2, 2), np.int8)),
    "header": lambda path: path.write_bytes(b"\x93NUMPY\x01\x00\x14\x00{'descr': (\x14\x14\x14     \n"),
    "objects": lambda path: _array(path, np.array([{"a": 1}])),
    "folder": _folder,
}
HARMLESS = {("converted", "backbone.onnx", "empty")}  # of an empty graph, which is no bytes


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("reader", READERS)
def test_a_damaged_file_is_named_with_what_to_do(reader: str, damage: str, tmp_path: Path) -> None:
    write, read = READERS[reader]
    (tmp_path / "whole").mkdir()
    write(tmp_path / "whole")
    read(tmp_path / "whole")
    names = sorted(path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*") if path.is_file())
    assert names
    for number, name in enumerate(names):
        folder = tmp_path / str(number)
        folder.mkdir()
        write(folder)
        DAMAGES[damage](folder / name)
        try:
            read(folder)
        except DamagedFileError as error:
            assert error.path.parent == (folder / name).parent  # ids that are cut are too few for the features
            assert str(error).startswith(f"{error.path} ")
            assert str(error).endswith("; run the stage that wrote it again")
            assert str(error).count("again") == 1
            assert "pickle" not in str(error) or "objects" in damage, f"{name}: {error}"
        else:
            assert name.name == "meta.json" or (reader, name.name, damage) in HARMLESS, f"{name} is read all the same"


def test_keys_and_columns_that_are_asked_for_must_be_there(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": 1}')
    assert read_json(path, keys=("a",)) == {"a": 1}
    with pytest.raises(DamagedFileError, match=r"a\.json cannot be read \('b' is missing in it\); run the stage that"):
        read_json(path, keys=("a", "b"))
    for line in ("3", "3,4,", "3,4,5"):
        path.write_text(f"a,b\n1,2\n{line}\n")
        with pytest.raises(DamagedFileError, match="row 2 has another number of cells than the header"):
            read_csv(path, columns=("a", "b"))
    with pytest.raises(DamagedFileError, match="its columns are a,b, not a,c"):
        read_csv(path, columns=("a", "c"))
