"""When an exported file counts as the model that was scored."""

import numpy as np
import onnx
import pytest

from factories import extract_settings
from tandem.errors import DataError
from tandem.inference.classifier import TrainedModels
from tandem.inference.converted import FEATURES, save_converted
from tandem.inference.export import write_model
from tandem.inference.exported import PIXELS, load_exported
from tandem.inference.parity import (
    MAX_DIFFERENCE,
    ProbDifference,
    check_exported,
    difference,
    require_same,
)
from tandem.inference.runtime import start_session
from tandem.training.linear import Linear
from toy_model import CARD, pooled, pooled_model

REFERENCE = np.array([[0.7, 0.2, 0.1], [0.45, 0.45, 0.1], [0.2, 0.5, 0.3]])
VIEWS, CHANNELS = 2, {"one": 4, "two": 5}


def test_the_largest_difference_and_the_classes_that_change_are_counted():
    probs = np.array([[0.2, 0.7, 0.1], [0.45, 0.45, 0.1], [0.2, 0.501, 0.299]])
    assert difference(probs, REFERENCE) == ProbDifference(pytest.approx(0.5), 1, 3)


def test_a_class_that_changes_at_a_tie_does_not_count():
    probs = REFERENCE + np.array([[0, 0, 0], [0, 0.0001, -0.0001], [0, 0, 0]])
    assert difference(probs, REFERENCE) == ProbDifference(pytest.approx(0.0001), 0, 3)


def test_no_images_differ_in_nothing():
    assert difference(REFERENCE[:0], REFERENCE[:0]) == ProbDifference(0.0, 0, 0)


@pytest.mark.parametrize(
    "found", [ProbDifference(0.002, 0, 9), ProbDifference(0.0005, 1, 9), ProbDifference(float("nan"), 0, 9)]
)
def test_a_file_that_differs_is_refused_with_the_numbers(found):
    with pytest.raises(
        DataError,
        match=rf"differs by \S+ in a prob and in {found.changed_classes} classes of 9 images from torch in fp32",
    ):
        require_same(found, 0.0)


def test_a_file_whose_ood_score_differs_is_refused_with_the_number():
    with pytest.raises(DataError, match=r"differs by 2\.0e-02 in the OOD score of one of 9 images .* at most 0\.01"):
        require_same(ProbDifference(0.0, 0, 9), 0.02)


def test_a_file_that_hardly_differs_is_not_refused():
    require_same(ProbDifference(0.0009, 0, 9), 0.009)


def test_another_class_counts_unless_it_is_as_probable_in_the_reference() -> None:
    reference = np.array([[0.4, 0.35, 0.25], [0.5, 0.5 - MAX_DIFFERENCE / 2, MAX_DIFFERENCE / 2], [0.1, 0.2, 0.7]])
    turned = reference[:, [1, 0, 2]]
    found = difference(turned, reference)
    assert (found.changed_classes, found.images) == (1, 3)  # of the first image alone
    assert found.largest == pytest.approx(0.1)
    assert difference(reference, reference).changed_classes == 0


class Run:
    """What convert wrote of two backbones and seven images, and a file that was exported of them."""

    def __init__(self, folder, *, error=0.0):
        rng = np.random.default_rng(0)
        self.filters = {name: rng.normal(0, 0.01, (n, 3, 4, 4)).astype(np.float32) for name, n in CHANNELS.items()}
        self.pixels = rng.integers(0, 256, (7 * VIEWS, 16, 16, 3), dtype=np.uint8)
        dim = sum(CHANNELS.values())
        self.head = Linear(rng.normal(size=dim), np.ones(dim), rng.normal(size=(3, dim)), rng.normal(size=3))
        self.trained = TrainedModels(tuple(CHANNELS), extract_settings(tta_views=VIEWS), None, "abc", folder)
        for name, filters in self.filters.items():
            data = pooled(filters).SerializeToString()
            [features] = start_session(data).run([FEATURES], {PIXELS: self.pixels})
            features = features.reshape(7, VIEWS, -1)
            save_converted(
                data, self.trained.converted_dir(name), features=features, reference=features + error, meta={}
            )
        self.path = folder / "model.onnx"
        self.export(pooled_model(self.filters, self.head, num_views=VIEWS))

    def export(self, model):
        write_model(model, CARD, self.path)


def test_the_probs_are_those_that_the_file_predicts_of_the_images(tmp_path):
    run = Run(tmp_path)
    outputs = load_exported(run.path).outputs(run.pixels)
    predicted, ood_scores = outputs[:, :-1], outputs[:, -1]
    parity = check_exported(run.path, run.trained, scored=np.roll(predicted, 1, axis=0), scored_ood=np.zeros(7))
    np.testing.assert_allclose(parity.probs, predicted, atol=1e-6)
    assert (parity.fp32.largest, parity.fp32.images) == (0, 7)
    assert parity.scored == difference(parity.probs, np.roll(predicted, 1, axis=0))
    assert parity.scored.largest > 0.01
    np.testing.assert_allclose(parity.ood_scores, ood_scores, atol=1e-4)
    assert (parity.ood_fp32, parity.ood_scored) == (0, pytest.approx(np.abs(ood_scores).max(), abs=1e-4))


def test_a_graph_whose_features_are_others_than_those_of_torch_is_refused(tmp_path):
    run = Run(tmp_path, error=0.1)
    with pytest.raises(DataError, match=r"from torch in fp32; at most 0\.001 is allowed"):
        check_exported(run.path, run.trained, scored=np.zeros((7, 3)), scored_ood=np.zeros(7))


def test_a_file_with_another_backbone_than_was_converted_is_refused(tmp_path):
    run = Run(tmp_path)
    run.filters["two"][0, 0, 0, 0] += 1e-4
    run.export(pooled_model(run.filters, run.head, num_views=VIEWS))
    with pytest.raises(DataError, match=r"the exported model has another graph of two than was converted; run `dvc"):
        check_exported(run.path, run.trained, scored=np.zeros((7, 3)), scored_ood=np.zeros(7))


def test_a_file_that_was_changed_is_refused(tmp_path):
    run = Run(tmp_path)
    model = onnx.load(run.path)
    model.graph.node[0].name = "changed"
    onnx.save(model, run.path)
    with pytest.raises(DataError, match="was changed after it was exported"):
        check_exported(run.path, run.trained, scored=np.zeros((7, 3)), scored_ood=np.zeros(7))


def test_a_model_that_reads_one_backbone_needs_no_other(tmp_path):
    run = Run(tmp_path)
    head = run.head._replace(**{key: getattr(run.head, key)[..., :4] for key in ("mean", "std", "weight")})
    run.export(pooled_model({"one": run.filters["one"]}, head, num_views=VIEWS))
    parity = check_exported(run.path, run.trained, scored=np.zeros((7, 3)), scored_ood=np.zeros(7))
    np.testing.assert_allclose(parity.probs, load_exported(run.path).probs(run.pixels), atol=1e-6)
