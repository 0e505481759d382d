"""The recipe's claims by planted curves: which epoch is chosen, on which images, and what each fault adds."""

import pytest

import seed_recipe
from seed_recipe import DRIFT, FAULTS, ON_TEST, RANDOM_SPLIT, RAW

# (split, is normalized) -> accuracy: validation is best in the second epoch, test in the first
FIRST = {("val", True): 0.7, ("test", True): 0.9, ("val", False): 0.5, ("test", False): 0.6}
SECOND = {("val", True): 0.8, ("test", True): 0.85, ("val", False): 0.6, ("test", False): 0.4}


@pytest.mark.parametrize(
    ("faults", "expected"),
    [((), 0.85), ((ON_TEST,), 0.9), ((RAW,), 0.4), ((RAW, ON_TEST), 0.6), ((DRIFT, RANDOM_SPLIT), 0.85)],
)
def test_a_claim_is_the_test_accuracy_of_the_epoch_that_was_chosen(faults, expected):
    assert seed_recipe.claim([FIRST, SECOND], faults) == expected


def test_the_effect_of_each_fault_alone_is_in_points_of_the_claim():
    better = [{key: value + 0.1 for key, value in SECOND.items()}]
    curves = {
        (0, drifts, is_random): better if is_random else [SECOND]
        for drifts in (True, False)
        for is_random in (True, False)
    }
    values = {figure.what: figure.value for figure in seed_recipe.claim_figures(curves, [0.9])}
    effects = {fault: values[f"effect alone of: {fault}, points"] for fault in FAULTS}
    assert effects == pytest.approx({RAW: -45.0, DRIFT: 0.0, RANDOM_SPLIT: 10.0, ON_TEST: 0.0})


@pytest.mark.parametrize(("accuracy", "is_reached"), [(0.9, True), (0.87, False)])
def test_our_own_head_is_required_to_reach_its_figure(accuracy, is_reached):
    curves = {(0, drifts, is_random): [SECOND] for drifts in (True, False) for is_random in (True, False)}
    assert seed_recipe.claim_figures(curves, [accuracy])[-1].is_reached == is_reached
