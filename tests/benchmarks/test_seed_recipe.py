"""The recipe's claims by planted curves: which epoch is chosen, on which images, and what each fault adds."""

import numpy as np
import pytest
import torch

import seed_recipe
from seed_recipe import BY_FILE, DRIFT, FAULTS, ON_TEST, RAW, claim, table
from tandem.features.backbones.backbone import IMAGENET_MEAN, IMAGENET_STD

# (split, is normalised) -> accuracy: validation is best in the second epoch, test in the first
FIRST = {("val", True): 0.7, ("test", True): 0.9, ("val", False): 0.5, ("test", False): 0.6}
SECOND = {("val", True): 0.8, ("test", True): 0.85, ("val", False): 0.6, ("test", False): 0.4}


@pytest.mark.parametrize(
    ("faults", "expected"),
    [((), 0.85), ((ON_TEST,), 0.9), ((RAW,), 0.4), ((RAW, ON_TEST), 0.6), ((DRIFT, BY_FILE), 0.85)],
)
def test_a_claim_is_the_test_accuracy_of_the_epoch_that_was_chosen(faults: tuple[str, ...], expected: float) -> None:
    assert claim([FIRST, SECOND], faults) == expected


def test_the_table_tells_each_fault_s_effect_in_points_of_the_claim() -> None:
    better = [{key: value + 0.1 for key, value in SECOND.items()}]
    curves = {
        (0, drifts, is_by_file): better if is_by_file else [SECOND]
        for drifts in (True, False)
        for is_by_file in (True, False)
    }
    told = {}
    fault = ""
    for figure in table(curves, [0.9]):
        fault = figure.what.removeprefix("alone: ") if figure.what.startswith("alone: ") else fault
        if figure.what.startswith("  the fault's effect") and fault:
            told[fault] = figure.value
    assert told == pytest.approx({RAW: -45.0, DRIFT: 0.0, BY_FILE: 10.0, ON_TEST: 0.0})
    assert set(told) == set(FAULTS)


@pytest.mark.parametrize(("accuracy", "is_reached"), [(0.9, True), (0.87, False)])
def test_our_own_head_is_required_to_reach_its_figure(accuracy: float, is_reached: bool) -> None:
    curves = {(0, drifts, is_by_file): [SECOND] for drifts in (True, False) for is_by_file in (True, False)}
    assert table(curves, [accuracy])[-1].is_reached == is_reached


def test_images_are_normalised_as_the_weights_want_it_or_left_in_0_to_1() -> None:
    pixels = torch.from_numpy(np.full((1, 2, 2, 3), 255, np.uint8))
    assert seed_recipe._prepared(pixels, is_normalised=False).eq(1).all()
    normalised = seed_recipe._prepared(pixels, is_normalised=True)[0, :, 0, 0].tolist()
    assert normalised == pytest.approx([(1 - m) / s for m, s in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)])
