"""What the sections `curate` and `label_errors` hold; how params.yaml is checked against them: tests/pipeline."""

import pytest

from factories import curate_settings
from tandem.curation.settings import SimilarityThresholds, SplitFractions


def test_fractions_are_held_by_split() -> None:
    assert SplitFractions(train=0.7, val=0.1, test=0.2).by_split() == {"train": 0.7, "val": 0.1, "test": 0.2}


@pytest.mark.parametrize(("train", "total"), [(0.6, "0.9"), (0.7000001, "1.0000001")])
def test_fractions_add_up_to_1(train: float, total: str) -> None:
    with pytest.raises(ValueError, match=f"train, val and test must add up to 1; they add up to {total}$"):
        SplitFractions(train=train, val=0.1, test=0.2)


def test_candidates_have_the_thresholds_of_similar_images() -> None:
    candidates = curate_settings().candidates
    expected = SimilarityThresholds(candidates.min_similarity, candidates.max_hash_distance)
    assert candidates.thresholds == expected
