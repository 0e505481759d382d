"""The counts of the metrics, on planted images."""

from dataclasses import replace
from math import comb

import numpy as np
import pytest

from planted_images import CLASSES, NO_LEAKS, SETTINGS, Planted, similar_to, some_features, strangers
from tandem.curation.disputed import Disputed
from tandem.curation.leak_check import LeakReport
from tandem.curation.summary import curate_summary
from tandem.tables.decisions import Decision
from tandem.tables.samples import SPLITS


@pytest.fixture
def planted() -> Planted:
    return strangers()


def test_of_strangers_all_are_used_in_as_many_groups(planted: Planted) -> None:
    counts = planted.summary()
    assert counts["groups"] == counts["used"] == counts["images"] == 80
    assert counts["near_duplicate_pairs"] == counts["same_stem_pairs"] == counts["duplicate_sets"] == 0
    assert counts["largest_group"] == 1


def test_candidates_are_the_near_duplicates_and_the_rejected_pairs(planted: Planted) -> None:
    planted.add("a1", features=planted.features["car00"])
    curated = planted.curate()
    counts = planted.summary()
    assert counts["candidate_pairs"] == len(curated.near_duplicates) + len(curated.rejected) > 1
    assert counts["near_duplicate_pairs"] == len(curated.near_duplicates) == 1


def test_excluded_near_duplicates_and_their_sets_are_counted(planted: Planted) -> None:
    for number in range(3):
        planted.add(f"a{number}", features=similar_to(some_features(500), 0.999, number))
    counts = planted.summary()
    assert (counts["duplicates_excluded"], counts["duplicate_sets"], counts["largest_group"]) == (2, 1, 3)
    assert (counts["used"], counts["images"], counts["groups"]) == (81, 83, 81)
    together = planted.summary(replace(SETTINGS, duplicates="keep_together"))
    assert (together["duplicates_excluded"], together["used"]) == (0, 83)


def test_conflicts_are_counted_apart_from_near_duplicates(planted: Planted) -> None:
    for number, label in enumerate(("car", "truck", "car")):
        planted.add(f"a{number}", label, features=similar_to(some_features(500), 0.999, number))
    counts = planted.summary()
    assert (counts["conflicts_excluded"], counts["duplicates_excluded"]) == (3, 0)


def test_frames_of_a_video_are_one_group_and_no_set_of_near_duplicates(planted: Planted) -> None:
    for number in range(3):
        planted.add(f"a{number}", provenance_keys=["video:exports/clip"])
    counts = planted.summary()
    assert (counts["groups"], counts["largest_group"], counts["duplicate_sets"]) == (81, 3, 0)


def test_classes_and_sources_are_counted_by_split(planted: Planted) -> None:
    planted.add("a1", features=planted.features["car00"])
    for number in range(30):
        planted.add(f"b{number}", source="exports")
    samples, counts = planted.curate().samples, planted.summary()
    for split in SPLITS:
        for label in CLASSES:
            assert counts["splits"][split][label] == ((samples.splits == split) & (samples.labels == label)).sum()
        for source in ("exports", "snapshots"):
            assert counts["sources"][split][source] == ((samples.splits == split) & (samples.sources == source)).sum()


def test_a_set_of_several_classes_is_to_be_reviewed_with_the_ids_of_its_weakest_link(planted: Planted) -> None:
    for number, (label, similarity) in enumerate([("car", 1.0), ("car", 0.999), ("truck", 0.998)]):
        planted.add(f"a{number}", label, features=similar_to(some_features(500), similarity))
    [group] = planted.summary()["groups_to_review"]
    assert (group["size"], group["classes"], "a2" in group["weakest"]) == (3, {"car": 2, "truck": 1}, True)
    cut = [Decision("a2", "not_duplicate", id_) for id_ in ("a0", "a1")]
    assert planted.summary(decisions=cut)["groups_to_review"] == []


def test_what_a_random_split_leaks_fits_chance(planted: Planted) -> None:
    for number in range(60):
        planted.add(f"a{number:02}", features=some_features(500))
    leaked = planted.summary()["pairs_leaked_by_random_split"]
    assert leaked == pytest.approx(comb(60, 2) * (1 - 0.6**2 - 0.2**2 - 0.2**2), rel=0.2)


def test_decisions_are_counted_and_those_about_images_that_are_gone_change_nothing(planted: Planted) -> None:
    decisions = [
        Decision("zz", "drop"),
        Decision("zz", "duplicate", "car00"),
        Decision("yy", "not_duplicate", "zz"),
        Decision("xx", "relabel", "truck"),
    ]
    assert planted.curate(decisions=decisions).samples == planted.curate().samples
    counts = planted.summary(decisions=[*decisions, Decision("car01", "keep")])["decisions"]
    assert (counts["gone"], counts["keep"], counts["relabel"]) == (4, 1, 1)


def test_similarities_across_splits_are_a_number_and_a_histogram_and_brains_counts_stand_beside_them(
    planted: Planted,
) -> None:
    inputs, curated = planted.inputs(), planted.curate()
    brain = {"exact_duplicates": 1, "near_duplicates": 2}
    leaks = replace(NO_LEAKS, similarities=np.array([0.2, 0.93, 0.52]))
    counts = curate_summary(inputs, curated, SETTINGS, leaks=leaks, brain=brain)
    assert counts["max_cross_split_similarity"] == 0.93
    assert {name for name, count in counts["cross_split_similarities"].items() if count} == {"0.50-0.55", "0.93-0.94"}
    assert counts["brain"] == brain
    assert planted.summary()["max_cross_split_similarity"] == -1  # no image has another split to be compared with


def test_pairs_that_were_judged_twice_are_counted_and_so_are_those_that_are_disputed(planted: Planted) -> None:
    disputed = Disputed(np.array([[0, 1]]), np.array([0.95]), np.array([30]), np.array([0.9]), num_judged=7)
    leaks = LeakReport(np.zeros(0), disputed)
    counts = curate_summary(planted.inputs(), planted.curate(), SETTINGS, leaks=leaks, brain={})
    assert (counts["rejected_pairs_across_splits"], counts["disputed_pairs"]) == (7, 1)


def test_pairs_that_an_approximate_search_missed_are_counted_where_it_was_one(planted: Planted) -> None:
    name = "similar_pairs_missed_by_search"
    assert name not in planted.summary()
    leaks = replace(NO_LEAKS, num_missed=2)
    assert curate_summary(planted.inputs(), planted.curate(), SETTINGS, leaks=leaks, brain={})[name] == 2
