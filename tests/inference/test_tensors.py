"""The same model as safetensors and JSON."""

import numpy as np
import onnx
from safetensors import safe_open

from tandem.files import read_json
from tandem.inference.exported import CARD, DIGEST, PIXELS, PROBABILITIES, load_exported
from tandem.inference.runtime import start_session
from tandem.inference.tensors import load_tensors, save_tensors


def test_weights_and_graph_hold_all_that_the_file_holds(exported, card, tmp_path):
    save_tensors(exported, tmp_path / "model.safetensors")
    pixels = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)
    [probs] = start_session(load_tensors(tmp_path / "model.safetensors").SerializeToString()).run(
        [PROBABILITIES], {PIXELS: pixels}
    )
    assert probs.tobytes() == load_exported(exported).probs(pixels).tobytes()
    with safe_open(tmp_path / "model.safetensors", "numpy") as file:
        assert set(file.keys()) == {tensor.name for tensor in onnx.load(exported).graph.initializer}
        assert file.metadata() == {"tandem": card.to_json()}


def test_the_graph_is_text_without_the_weights(exported, card, tmp_path):
    save_tensors(exported, tmp_path / "model.safetensors")
    graph = read_json(tmp_path / "model.json")["graph"]
    assert {node["op_type"] for node in graph["node"]} >= {"MatMul", "Softmax"}
    assert "initializer" not in graph
    found = {each["key"]: each["value"] for each in read_json(tmp_path / "model.json")["metadata_props"]}
    assert found == {CARD: card.to_json(), DIGEST: load_exported(exported).sha256}


def test_the_same_file_gives_the_same_bytes_twice(exported, tmp_path):
    for name in ("one", "two"):
        save_tensors(exported, tmp_path / f"{name}.safetensors")
    for suffix in ("safetensors", "json"):
        assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"two.{suffix}").read_bytes()
