"""Whatever links images, curation (.curate) and the leakage check (.leak_check) agree, and splits stay as they are."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planted_images import SETTINGS, Planted, by_id, some_features, strangers
from tandem.errors import LeakageError
from tandem.tables.decisions import Decision, Decisions
from tandem.tables.samples import Sample

LINKS = st.lists(
    st.tuples(st.integers(0, 29), st.integers(0, 29), st.sampled_from(["features", "hash", "video", "stem"])),
    max_size=25,
)


def with_links(links: list[tuple[int, int, str]]) -> Planted:
    """Strangers of both classes, 30 of which are tied to one another."""
    planted = strangers()
    ids = sorted(planted.features)[25:55]
    provenance_keys: dict[str, list[str]] = {id_: [] for id_ in ids}
    for number, (one, other, kind) in enumerate(links):
        if kind == "features":
            planted.features[ids[other]] = 2 * planted.features[ids[one]]
        elif kind == "hash":
            planted.hashes[ids[other]] = planted.hashes[ids[one]][::-1]
        else:
            provenance_keys[ids[one]].append(f"{kind}:{number}")
            provenance_keys[ids[other]].append(f"{kind}:{number}")
    planted.records = [
        record._replace(provenance_keys=tuple(provenance_keys.get(record.id, ()))) for record in planted.records
    ]
    return planted


def groups_by_brute_force(planted: Planted) -> set[frozenset[str]]:
    """The partition that all pairs of images give, one comparison at a time."""
    groups = {id_: {id_} for id_ in planted.features}
    keys = {record.id: set(record.provenance_keys) for record in planted.records}
    unit = {id_: features.astype(float) / np.linalg.norm(features) for id_, features in planted.features.items()}
    bits = {id_: np.unpackbits(hashes, axis=1) for id_, hashes in planted.hashes.items()}
    for one, other in combinations(planted.features, 2):
        shared = {key.split(":")[0] for key in keys[one] & keys[other]}
        thresholds = SETTINGS.same_stem if "stem" in shared else SETTINGS.candidates
        is_link = unit[one] @ unit[other] >= thresholds.min_similarity or "video" in shared
        for upright, turned in [(one, other), (other, one)]:
            is_link |= (bits[upright][0] != bits[turned]).sum(axis=1).min() <= thresholds.max_hash_distance
        if is_link and groups[one] is not groups[other]:
            groups[one] |= groups[other]
            for id_ in groups[other]:
                groups[id_] = groups[one]
    return {frozenset(group) for group in groups.values()}


@settings(max_examples=10)
@given(LINKS, st.sampled_from(["keep_one", "keep_together"]))
def test_whatever_is_linked_no_group_lies_in_two_splits_and_nothing_leaks(
    links: list[tuple[int, int, str]], duplicates: str
) -> None:
    planted = with_links(links)
    curated = planted.curate(replace(SETTINGS, duplicates=duplicates))
    found = by_id(curated)
    groups: dict[str, set[str]] = {}
    for sample in found.values():
        groups.setdefault(sample.group, set()).add(sample.id)
    assert {frozenset(group) for group in groups.values()} == groups_by_brute_force(planted)
    assert all(len({found[id_].split for id_ in group} - {""}) <= 1 for group in groups.values())
    planted.check(curated)


@settings(max_examples=10)
@given(LINKS, st.lists(st.tuples(st.sampled_from("0z"), st.integers(0, 79), st.booleans()), min_size=16, max_size=16))
def test_adding_a_fifth_of_images_moves_none_whose_group_stays(
    links: list[tuple[int, int, str]], added: list[tuple[str, int, bool]]
) -> None:
    planted = with_links(links)
    before = by_id(planted.curate())
    old = sorted(planted.features)
    for number, (where, row, is_duplicate) in enumerate(added):  # ids before and after all others
        features = planted.features[old[row]] if is_duplicate else None
        planted.add(f"{where}{number:02}", before[old[row]].label, source="exports", features=features)
    after = by_id(planted.curate())

    def members(samples: dict[str, Sample], id_: str) -> set[str]:
        return {sample.id for sample in samples.values() if sample.group == samples[id_].group}

    same = [id_ for id_ in old if members(before, id_) == members(after, id_)]
    assert len(same) >= len(old) - 16 - 30
    assert [after[id_] for id_ in same] == [before[id_] for id_ in same]


def test_what_a_person_rejects_is_no_near_duplicate_and_no_leak() -> None:
    planted = strangers()
    for number in range(40):  # of so many pairs some lie in two splits
        for side in "xy":
            key = f"stem:exports/{number}"
            planted.add(f"{side}{number}", features=some_features(500 + number), provenance_keys=[key])
    decisions = [Decision(f"y{number}", "not_duplicate", f"x{number}") for number in range(40)]
    curated = planted.curate(decisions=decisions)
    found = by_id(curated)
    assert all(found[f"{side}{number}"].group == f"{side}{number}" for side in "xy" for number in range(40))
    assert any(found[f"x{number}"].split != found[f"y{number}"].split for number in range(40))
    planted.check(curated, decisions=Decisions(tuple(decisions)))
    with pytest.raises(LeakageError, match="both are of stem:exports/"):
        planted.check(curated)
