"""A network of feature fusion as a head: its logits, its temperature, its file."""

import numpy as np
import pytest

from tandem.errors import DamagedFileError
from tandem.training.fusion.fusion_head import FILE, FusionHead, load_fusion
from tandem.training.fusion.layers import FusionShape

SHAPE = FusionShape((2, 3), 8, 4)


def planted() -> FusionHead:
    rng = np.random.default_rng(0)
    arrays = tuple(rng.normal(size=shape).astype(np.float32) for shape in SHAPE.arrays)
    return FusionHead(rng.normal(size=5).astype(np.float32), rng.uniform(1, 2, 5).astype(np.float32), SHAPE, arrays)


FEATURES = np.random.default_rng(1).normal(size=(5000, 5)).astype(np.float32)


def test_logits_do_not_depend_on_how_many_rows_there_are():
    whole = planted().logits(FEATURES)
    assert whole.shape == (5000, 4)
    assert whole[4990:] == pytest.approx(planted().logits(FEATURES[4990:]), abs=1e-4)
    assert planted().logits(FEATURES[:0]).shape == (0, 4)


def test_logits_of_views_are_their_mean():
    views = FEATURES[:8].reshape(4, 2, 5)
    expected = planted().logits(FEATURES[:8]).reshape(4, 2, 4).mean(axis=1)
    assert planted().logits(views) == pytest.approx(expected, abs=1e-4)


def test_a_scaled_head_has_its_logits_divided():
    logits = planted().logits(FEATURES[:9])
    assert planted().scaled(2.5).logits(FEATURES[:9]) == pytest.approx(logits / 2.5, rel=1e-3, abs=1e-4)


def test_what_is_saved_comes_back(tmp_path):
    planted().save(tmp_path)
    found = load_fusion(tmp_path / FILE)
    assert found.shape == SHAPE
    assert found.logits(FEATURES).tobytes() == planted().logits(FEATURES).tobytes()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"mean": np.zeros(4, np.float32)}, "its arrays do not fit one another"),
        ({"std": np.full(5, np.nan, np.float32)}, "its arrays are not finite float32"),
        ({"1": np.zeros(8)}, "its arrays are not finite float32"),
    ],
)
def test_a_file_that_holds_something_else_is_an_error_that_says_so(tmp_path, changed, said):
    planted().save(tmp_path)
    arrays = dict(np.load(tmp_path / FILE))
    np.savez(tmp_path / FILE, **(arrays | changed))
    with pytest.raises(DamagedFileError, match=said):
        load_fusion(tmp_path / FILE)
