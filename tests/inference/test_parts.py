"""An exported model taken apart is what it was put together from."""

import numpy as np
import pytest

from tandem.errors import DataError
from tandem.inference.exported import PIXELS, PROBABILITIES
from tandem.inference.parts import feature_input, heads_of
from tandem.inference.runtime import start_session
from tandem.training.linear import Linear
from toy_model import pooled, pooled_model

FILTERS = {
    name: np.random.default_rng(seed).normal(0, 0.01, (4, 3, 4, 4)).astype(np.float32)
    for seed, name in enumerate(["one", "one more"])
}
HEAD = Linear(np.zeros(8), np.ones(8), np.random.default_rng(0).normal(0, 0.1, (3, 8)), np.zeros(3))
MODEL = pooled_model(FILTERS, HEAD, num_views=1)


def test_after_the_features_of_the_backbones_the_heads_give_what_the_model_gives():
    pixels = np.random.default_rng(9).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    heads = start_session(heads_of(MODEL, [*FILTERS, "unread"], lambda name: pooled(FILTERS[name])).SerializeToString())
    features = {
        feature_input(name): start_session(pooled(filters).SerializeToString()).run(None, {PIXELS: pixels})[0]
        for name, filters in FILTERS.items()
    }
    [expected] = start_session(MODEL.SerializeToString()).run([PROBABILITIES], {PIXELS: pixels})
    np.testing.assert_allclose(heads.run([PROBABILITIES], features)[0], expected, atol=1e-6)
    assert expected.std(axis=0).min() > 0


def graph_with_other_weights():
    return pooled(FILTERS["one"] + 1e-6)


def graph_with_another_operator():
    graph = pooled(FILTERS["one"])
    next(node for node in graph.graph.node if node.op_type == "Relu").op_type = "Abs"
    return graph


@pytest.mark.parametrize("change", [graph_with_other_weights, graph_with_another_operator])
def test_a_backbone_with_other_weights_or_operators_than_its_graph_is_refused(change):
    graphs = {"one": change(), "one more": pooled(FILTERS["one more"])}
    with pytest.raises(DataError, match="another graph of one than was converted"):
        heads_of(MODEL, list(FILTERS), graphs.get)
