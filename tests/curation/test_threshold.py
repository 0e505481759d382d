"""The threshold lies where pairs are fewest, checked against counting one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.curation.duplicates.threshold import format_suggestion, suggest_threshold, suggestion_as_dict
from tandem.curation.histogram import similarity_histogram
from tandem.errors import DataError


def test_between_near_duplicates_and_others_the_middle_of_the_empty_stretch_is_suggested():
    correlation = np.concatenate([np.linspace(0.2, 0.9, 50), np.linspace(0.98, 1, 50)])
    found = suggest_threshold(correlation)
    assert found.correlation == pytest.approx((0.9 + 0.98) / 2, abs=0.002)
    assert found.num_near == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_no_other_threshold_has_fewer_pairs_near(values):
    correlation = np.array([*values, 0.97])
    found = suggest_threshold(correlation)

    def near(threshold):
        return sum(abs(value - threshold) <= 0.015 for value in correlation.tolist())

    fewest = min(near(threshold / 1000) for threshold in range(850, 986))
    assert abs(near(found.correlation) - fewest) <= sum(  # pairs that lie on the edge to a rounding
        abs(abs(value - found.correlation) - 0.015) < 1e-9 for value in correlation.tolist()
    )
    assert 0.85 <= found.correlation <= 0.985


def test_without_near_duplicates_there_is_nothing_to_suggest_a_threshold_by() -> None:
    with pytest.raises(DataError, match=r"none of 2 pairs correlates by 0\.85 or more: .* any curate\.min_correlation"):
        suggest_threshold(np.array([0.1, 0.8]))


def test_a_pair_just_above_0_85_is_enough_for_a_suggestion() -> None:
    assert suggest_threshold(np.array([0.1, 0.8504])).num_near == 0


def test_a_terminal_shows_bins_the_suggestion_and_the_pairs_it_hangs_on():
    values = [0.6, 0.61, 0.7, 0.99, 0.995]
    pairs = [{"first": f"a{n}", "second": f"b{n}", "correlation": str(value)} for n, value in enumerate(values)]
    names = {f"{side}{n}": f"web/{side}{n}.jpg" for n in range(5) for side in "ab"}
    text = format_suggestion(pairs, names, min_correlation=0.96)
    assert "5 candidates that correlate by 0.5 or more" in text
    assert "0.60-0.65        2  ########################################" in text
    assert "suggested: curate.min_correlation: 0.9" in text
    assert "(now 0.96); 0 pairs lie within 0.015 of it" in text
    assert text.splitlines()[-5:] == [
        "  0.995 near duplicate  web/a4.jpg  web/b4.jpg",
        "  0.990 near duplicate  web/a3.jpg  web/b3.jpg",
        "  0.700 rejected        web/a2.jpg  web/b2.jpg",
        "  0.610 rejected        web/a1.jpg  web/b1.jpg",
        "  0.600 rejected        web/a0.jpg  web/b0.jpg",
    ]
    assert text.splitlines()[-6] == "pairs nearest to it, for a look:"


@pytest.mark.parametrize(("empty_from", "empty_to", "expected"), [(0.8, 0.867, 0.851), (0.966, 0.998, 0.982)])
def test_thresholds_from_0_85_to_0_985_are_tried(empty_from: float, empty_to: float, expected: float) -> None:
    values = np.arange(0.7, 1.0001, 0.0005)
    found = suggest_threshold(values[(values < empty_from) | (values > empty_to)])
    assert (found.correlation, found.num_near) == (pytest.approx(expected, abs=0.0011), 0)


def test_five_pairs_on_either_side_of_the_threshold_are_shown_and_no_more() -> None:
    values = [*np.linspace(0.6, 0.8, 9), *np.linspace(0.991, 0.999, 9)]
    pairs = [{"first": f"a{n}", "second": f"b{n}", "correlation": str(value)} for n, value in enumerate(values)]
    names = {f"{side}{n}": f"{side}{n}" for n in range(18) for side in "ab"}
    text = format_suggestion(pairs, names, min_correlation=0.96)
    assert text.count(" near duplicate  ") == text.count(" rejected        ") == 5
    lines = text.splitlines()[-10:]
    assert [line.split()[-2] for line in lines] == [f"a{n}" for n in range(13, 3, -1)]


def test_of_several_stretches_without_pairs_the_middle_of_the_longest_is_suggested() -> None:
    values = np.arange(0.7, 1.0001, 0.0005)
    is_left_out = ((values > 0.87) & (values < 0.905)) | ((values > 0.925) & (values < 0.965))
    found = suggest_threshold(values[~is_left_out])
    free = [t / 1000 for t in range(850, 986) if 0.925 + 0.015 < t / 1000 < 0.965 - 0.015]
    assert (found.correlation, found.num_near) == (pytest.approx(free[len(free) // 2], abs=1e-9), 0)


def test_a_suggestion_for_programs_has_the_same_numbers_and_the_bins() -> None:
    values = [0.6, 0.61, 0.7, 0.99, 0.995]
    pairs = [{"first": "a", "second": "b", "correlation": str(value)} for value in values]
    found = suggest_threshold(np.array(values))
    histogram = similarity_histogram(np.array(values))
    assert suggestion_as_dict(pairs, min_correlation=0.96) == {
        "suggested": found.correlation,
        "min_correlation": 0.96,
        "pairs": 5,
        "pairs_near_suggested": 0,
        "histogram": histogram,
    }
    assert histogram["0.60-0.65"] == 2
