"""What an exported file says of itself, and which files are refused."""

import json
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest

from tandem.errors import DataError
from tandem.inference import exported as exporting
from tandem.inference.exported import BLANK, CARD, DIGEST, load_exported, seal
from tandem.inference.runtime import start_session


def test_the_card_comes_back(exported, card):
    assert load_exported(exported).card == card


def test_a_file_that_does_not_say_its_interpolation_is_an_older_one_and_takes_bilinear(exported, card, tmp_path):
    assert load_exported(rewritten(exported, tmp_path, lambda fields: fields.pop("interpolation"))).card == card
    cubic = rewritten(exported, tmp_path, lambda fields: fields.update(interpolation="bicubic"))
    assert load_exported(cubic).card == replace(card, interpolation="bicubic")


def rewritten(exported, folder, change):
    """The exported file with another card, sealed again."""
    model = onnx.load(exported)
    for each in model.metadata_props:
        if each.key == CARD:
            fields = json.loads(each.value)
            change(fields)
            each.value = json.dumps(fields)
        if each.key == DIGEST:
            each.value = BLANK
    seal(model.SerializeToString(deterministic=True), folder / "rewritten.onnx")
    return folder / "rewritten.onnx"


@pytest.mark.parametrize("where", [0.3, 0.5, 0.9])
def test_a_changed_file_is_refused(exported, tmp_path, where):
    data = bytearray(exported.read_bytes())
    data[int(len(data) * where)] ^= 1
    (tmp_path / "changed.onnx").write_bytes(data)
    with pytest.raises(DataError, match=r"changed.onnx (was changed after it was exported|is not a model)"):
        load_exported(tmp_path / "changed.onnx")


def test_weights_that_were_exchanged_are_refused_by_the_digest(exported, tmp_path):
    model = onnx.load(exported)
    weight, *_ = [each for each in model.graph.initializer if list(each.dims) == [3, 3]]
    weight.raw_data = bytes(len(weight.raw_data))
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(DataError, match="was changed after it was exported: its sha256 is"):
        load_exported(tmp_path / "other.onnx")


@pytest.mark.parametrize(
    ("op", "kind", "damage", "said"),
    [
        ("Relu", onnx.TensorProto.FLOAT, (b"Relu", b"R\xfflu"), "'utf-8' codec can't decode byte 0xff"),
        ("Relu", onnx.TensorProto.FLOAT, (b"Relu", b"Rilu"), "INVALID_GRAPH"),
        ("Acos", onnx.TensorProto.DOUBLE, (b"", b""), "NOT_IMPLEMENTED : Could not find an implementation for Acos"),
    ],
)
def test_a_graph_that_does_not_run_is_one_line_and_nothing_is_printed(op, kind, damage, said, capfd):
    one, other = (onnx.helper.make_tensor_value_info(name, kind, [1]) for name in ("first", "last"))
    graph = onnx.helper.make_graph([onnx.helper.make_node(op, ["first"], ["last"])], "graph", [one], [other])
    opset = [onnx.helper.make_opsetid("", 17)]
    data = onnx.helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString()
    with pytest.raises(ValueError, match=said) as raised:
        start_session(data.replace(*damage) if damage[0] else data)
    assert "\n" not in str(raised.value)
    assert capfd.readouterr() == ("", "")


def test_a_file_of_an_earlier_version_without_an_ood_score_is_refused_and_says_what_to_do(exported, tmp_path):
    model = onnx.load(exported)
    del model.graph.output[1]
    onnx.save(model, tmp_path / "old.onnx")
    with pytest.raises(DataError, match=r"old\.onnx has no output ood_score: an earlier version .* export it again by"):
        load_exported(tmp_path / "old.onnx")


def test_a_model_of_another_program_is_refused(tmp_path):
    one, other = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "graph", [one], [other])
    opset = onnx.helper.make_opsetid("", 18)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10), tmp_path / "other.onnx")
    with pytest.raises(DataError, match="is not a model that `tandem export` wrote"):
        load_exported(tmp_path / "other.onnx")


@pytest.mark.parametrize("digest", ["", "0", "g" * 64])
def test_a_file_whose_digest_is_none_is_refused(exported, tmp_path, digest):
    model = onnx.load(exported)
    [stated] = [each for each in model.metadata_props if each.key == DIGEST]
    stated.value = digest
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(DataError, match="is not a model that `tandem export` wrote"):
        load_exported(tmp_path / "other.onnx")


@pytest.mark.parametrize("content", [b"", b"this is text", b"\x08\x0a" + bytes(100)])
def test_what_is_no_model_is_refused(tmp_path, content):
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(DataError, match=r"model\.onnx is not a model"):
        load_exported(tmp_path / "model.onnx")


def test_a_device_is_not_read_as_a_model():
    with pytest.raises(
        DataError, match=r"/dev/zero is a device, pipe or socket; name a model that `tandem export` wrote"
    ):
        load_exported(Path("/dev/zero"))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(
        DataError, match=r"there is no model at .*none.onnx \(No such file or directory\); `tandem export`"
    ):
        load_exported(tmp_path / "none.onnx")


def test_a_model_is_read_and_run_without_torch(exported):
    code = (
        "import sys; from pathlib import Path; import numpy as np\n"
        "from tandem.inference.exported import load_exported\n"
        f"print(load_exported(Path({str(exported)!r})).probs(np.zeros((2, 16, 16, 3), np.uint8)).shape)\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split("\n")[:2] == ["(1, 3)", "False"]


@pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is installed on Linux x86-64 alone")
@pytest.mark.parametrize("num_images", [1, 2, 13])
def test_the_fast_engine_has_the_same_answers_but_for_their_last_digits(exported, num_images):
    pixels = np.random.default_rng(0).integers(0, 256, (2 * num_images, 16, 16, 3), dtype=np.uint8)
    exact, fast = (load_exported(exported, is_fast=is_fast) for is_fast in (False, True))
    assert fast.engine.name.startswith("openvino")
    assert (fast.probs(pixels).shape, fast.card, fast.sha256) == ((num_images, 3), exact.card, exact.sha256)
    assert np.abs(fast.probs(pixels) - exact.probs(pixels)).max() < 0.02
    assert np.abs(fast.outputs(pixels) - exact.outputs(pixels))[:, -1].max() < 0.15  # in standard deviations
    assert np.abs(fast.probs(pixels[::-1]) - exact.probs(pixels)).max() > 0.02 or num_images == 1


def test_without_openvino_a_fast_prediction_is_an_error(exported, monkeypatch):
    monkeypatch.setattr(exporting, "has_openvino", lambda: False)
    with pytest.raises(DataError, match=r"a fast prediction needs OpenVINO, and .* has none .* predict without --fast"):
        load_exported(exported, is_fast=True)
