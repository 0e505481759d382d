"""A model in two at the feature maps of its backbones."""

import numpy as np
import pytest

from tandem.inference.explanation.spatial import split_at_maps
from tandem.training.linear import Linear
from toy_model import colors_model, pooled_model

HEAD = Linear(np.zeros(3), np.ones(3), 8 * np.eye(3), np.zeros(3))
FILTERS = np.random.default_rng(0).normal(0, 0.01, (3, 3, 4, 4))
PIXELS = np.random.default_rng(1).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)


def test_the_parts_together_are_the_model():
    from tandem.inference.exported import PIXELS as INPUT
    from tandem.inference.runtime import start_session

    data = pooled_model({"net": FILTERS}, HEAD, num_views=2).SerializeToString()
    split = split_at_maps(data)
    [maps] = split.maps(PIXELS)
    assert maps.shape == (4, 3, 4, 4)
    assert split.probs([maps]) == pytest.approx(start_session(data).run(None, {INPUT: PIXELS})[0], abs=1e-6)


def test_a_model_one_of_whose_backbones_has_no_map_is_not_split():
    assert split_at_maps(colors_model(num_views=2).SerializeToString()) is None
