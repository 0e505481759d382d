"""Each part of a graph against numpy; networks against torch."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from scipy.special import softmax

from factories import samples_of
from tandem.errors import DamagedFileError
from tandem.inference import graph as nodes
from tandem.inference.graph import Graph, GraphOutput
from tandem.inference.networks import add_network, read_head
from tandem.inference.runtime import start_session
from tandem.ood.detector import fit_detector, joined_scores
from tandem.training.fitting.network_fit import NetworkHead
from tandem.training.fusion.fusion_head import FILE, FusionHead, load_fusion
from tandem.training.fusion.layers import FusionShape
from tandem.training.linear import Linear
from tandem.training.networks import TemperatureScaled, mlp_head

RNG = np.random.default_rng(0)
VIEWS = RNG.normal(size=(4, 2, 5)).astype(np.float32)  # 4 images, 2 views, 5 features
LOGITS = RNG.normal(size=(4, 3)).astype(np.float32)
HEAD = Linear(*(RNG.normal(size=shape).astype(np.float32) for shape in ((5,), (5,), (3, 5), (3,))))


def computed(build: Callable[[Graph, str], str], values: np.ndarray) -> np.ndarray:
    """What ONNX Runtime makes of values by a graph. build: graph and input -> output."""
    graph = Graph()
    given = helper.make_tensor_value_info("given", TensorProto.FLOAT, [None] * values.ndim)
    model = graph.model([given], GraphOutput("made", build(graph, "given")))
    onnx.checker.check_model(model, full_check=True)
    made: np.ndarray = start_session(model.SerializeToString()).run(["made"], {"given": values})[0]
    return made


def test_a_linear_head_and_the_mean_over_views_are_those_of_training() -> None:
    made = computed(lambda graph, values: nodes.mean_over_views(graph, nodes.linear(graph, values, HEAD)), VIEWS)
    np.testing.assert_allclose(made, HEAD.logits(VIEWS), rtol=1e-5, atol=1e-5)


def test_a_weighted_mean_is_of_probs_and_its_log_is_divided_by_the_temperature() -> None:
    def build(graph: Graph, values: str) -> str:
        halved = graph.add("Mul", values, np.array(0.5))
        return nodes.mean_of_probs(graph, [values, halved], [0.25, 0.75], 1.5)

    expected = np.log(0.25 * softmax(LOGITS, axis=-1) + 0.75 * softmax(LOGITS / 2, axis=-1)) / 1.5
    np.testing.assert_allclose(computed(build, LOGITS), expected, atol=1e-5)


def test_the_log_of_a_prob_of_zero_is_finite() -> None:
    certain = np.array([[0.0, 200.0, 0.0]], dtype=np.float32)
    made = computed(lambda graph, values: nodes.mean_of_probs(graph, [values], [1.0], 1.0), certain)
    np.testing.assert_allclose(made, np.log([[1e-30, 1, 1e-30]]), atol=1e-4)


def test_values_stand_side_by_side_in_their_order() -> None:
    made = computed(lambda graph, values: nodes.side_by_side(graph, [values, graph.add("Neg", values)]), LOGITS)
    np.testing.assert_array_equal(made, np.concatenate([LOGITS, -LOGITS], axis=-1))


@pytest.mark.parametrize("values", [VIEWS, VIEWS[:, 0]], ids=["views", "images"])
def test_a_network_is_that_of_torch(values: np.ndarray, tmp_path: Path) -> None:
    train = torch.from_numpy(RNG.normal(size=(9, 5)).astype(np.float32))
    head = TemperatureScaled(mlp_head(train, 3, dropout=0.5, seed=0), 0.7).eval()
    with torch.inference_mode():
        expected = head(torch.from_numpy(values.reshape(-1, 5))).reshape(4, -1, 3).mean(dim=1)

    NetworkHead(head).save(tmp_path)
    read = read_head(tmp_path / "network.npz", dim=5, num_classes=3)
    made = computed(lambda graph, given: over_views(graph, add_network(read, graph, given), values), values)
    np.testing.assert_allclose(made, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("values", [VIEWS, VIEWS[:, 0]], ids=["views", "images"])
def test_feature_fusion_gives_the_logits_of_its_head(values: np.ndarray, tmp_path: Path) -> None:
    shape = FusionShape((2, 3), 8, 3)
    arrays = tuple(RNG.normal(size=each).astype(np.float32) for each in shape.arrays)
    mean, std = RNG.normal(size=5).astype(np.float32), RNG.uniform(0.5, 2, 5).astype(np.float32)
    FusionHead(mean, std, shape, arrays).save(tmp_path)
    head = load_fusion(tmp_path / FILE)
    made = computed(lambda graph, given: over_views(graph, nodes.fusion(graph, given, head), values), values)
    np.testing.assert_allclose(made, head.logits(values), rtol=1e-4, atol=1e-4)


def over_views(graph: Graph, logits: str, values: np.ndarray) -> str:
    return nodes.mean_over_views(graph, logits) if values.ndim == 3 else logits


@pytest.mark.parametrize(("dim", "num_classes"), [(6, 3), (5, 4)])
def test_a_network_of_other_backbones_or_classes_is_refused(dim: int, num_classes: int, tmp_path: Path) -> None:
    NetworkHead(TemperatureScaled(mlp_head(torch.ones(4, 5), 3, dropout=0, seed=0), 0.7)).save(tmp_path)
    with pytest.raises(DamagedFileError, match="its arrays do not fit one another, or are of other backbones or class"):
        read_head(tmp_path / "network.npz", dim=dim, num_classes=num_classes)


def test_a_network_whose_weights_are_not_finite_is_refused(tmp_path: Path) -> None:
    NetworkHead(TemperatureScaled(mlp_head(torch.ones(4, 5), 3, dropout=0, seed=0), float("nan"))).save(tmp_path)
    with pytest.raises(DamagedFileError, match="its arrays are not finite float32"):
        read_head(tmp_path / "network.npz", dim=5, num_classes=3)


def test_another_model_is_included_under_a_name_of_its_own_twice() -> None:
    inner = Graph()
    given = helper.make_tensor_value_info("given", TensorProto.FLOAT, [None, 3])
    model = inner.model([given], GraphOutput("made", inner.add("Add", "given", np.array(1.0))))

    def build(graph: Graph, _given: str) -> str:
        return graph.add("Mul", graph.include(model, name="one"), graph.include(model, name="other"))

    np.testing.assert_allclose(computed(build, LOGITS), (LOGITS + 1) ** 2, rtol=1e-6)


@pytest.mark.parametrize("num_views", [1, 3])
def test_an_ood_score_is_that_of_the_detectors(num_views: int) -> None:
    features = [RNG.normal(size=(5, num_views, dim)).astype(np.float32) for dim in (4, 6)]
    features[0][0] = 0
    split = samples_of([0, 1, 2] * 4, ["train"] * 12).train
    detectors = [fit_detector(RNG.normal(size=(12, each.shape[-1])).astype(np.float32), split) for each in features]
    graph = Graph()
    score = nodes.ood_score(graph, ["one", "two"], detectors)
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *each.shape[1:]])
        for name, each in zip(("one", "two"), features, strict=True)
    ]
    session = start_session(graph.model(inputs, GraphOutput("score", score, ("n",))).SerializeToString())
    [found] = session.run(None, dict(zip(("one", "two"), features, strict=True)))
    expected = joined_scores([detector.distances(each) for detector, each in zip(detectors, features, strict=True)])
    np.testing.assert_allclose(found, expected, atol=1e-4)
