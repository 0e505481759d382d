"""The bins of similarities."""

import numpy as np
import pytest

from tandem.curation.histogram import similarity_histogram


def test_the_bins_hold_every_value_from_a_half_on() -> None:
    counts = similarity_histogram(np.array([-1, 0.1, 0.5, 0.52, 0.899, 0.9, 0.955, 1.0, 1.0]))
    assert {name: count for name, count in counts.items() if count} == {
        "0.50-0.55": 2,
        "0.85-0.90": 1,
        "0.90-0.91": 1,
        "0.95-0.96": 1,
        "0.99-1.00": 2,
    }
    assert len(counts) == 18


@pytest.mark.parametrize("values", [[], [0.2, -1]])
def test_without_similar_values_all_bins_are_empty(values: list[float]) -> None:
    assert set(similarity_histogram(np.array(values)).values()) == {0}
