"""A group's split is a function of its name, the fractions and the seed; every class is in each split and fold."""

import hashlib
from collections import Counter
from math import sqrt
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from tandem.errors import LeakageError
from tandem.tables.samples import SPLITS
from tandem.tables.splits import assign_split, require_every_class, stratified_group_folds

FRACTIONS = {"train": 0.7, "val": 0.1, "test": 0.2}


def splits_of(groups: list[str], *, seed: int = 0) -> list[str]:
    return [assign_split(group, fractions=FRACTIONS, seed=seed) for group in groups]


@pytest.mark.parametrize("prefix", ["car/snapshots", "car/exports", "truck/snapshots"])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_fractions_hold_in_every_class_and_source(prefix: str, seed: int) -> None:
    num_groups = 4000
    counts = Counter(splits_of([f"{prefix}/{i:032x}" for i in range(num_groups)], seed=seed))
    for split, fraction in FRACTIONS.items():
        four_sigma = 4 * sqrt(num_groups * fraction * (1 - fraction))
        assert abs(counts[split] - num_groups * fraction) < four_sigma


def test_the_split_of_a_name_and_a_seed_is_the_same_in_every_version() -> None:
    """Another rule would deal the images of every user anew, and put what was trained on into test."""
    assert assign_split("x", fractions=FRACTIONS, seed=0) == "train"
    found = {seed: splits_of([f"{number:032x}" for number in range(12)], seed=seed) for seed in (0, 7)}
    assert ["".join(split[1] for split in splits) for splits in found.values()] == ["rrrrrrrrrrrr", "aarerrrrrrrr"]


def test_the_position_of_a_group_is_the_first_eight_bytes_of_its_digest() -> None:
    """Exactly at a limit the next split begins: fractions are half-open intervals in the order train, val, test."""
    for number in range(50):
        digest = hashlib.sha256(f"5/g{number}".encode()).hexdigest()
        position = int(digest[:16], 16) / 2**64
        below, above = position, np.nextafter(position, 1)
        at = assign_split(f"g{number}", fractions={"train": below, "val": 1 - below, "test": 0.0}, seed=5)
        beyond = assign_split(f"g{number}", fractions={"train": above, "val": 1 - above, "test": 0.0}, seed=5)
        assert (at, beyond) == ("val", "train")


def test_fractions_that_rounding_leaves_short_of_one_put_the_last_groups_into_test() -> None:
    short = {"train": 0.0, "val": 0.0, "test": 0.5}
    assert {assign_split(str(number), fractions=short, seed=0) for number in range(50)} == {"test"}


def test_the_folds_of_a_seed_are_the_same_in_every_version_and_those_of_another_seed_are_others() -> None:
    targets, groups = np.arange(40) % 3, np.arange(40) // 2
    folds = {seed: stratified_group_folds(targets, groups, num_folds=4, seed=seed) for seed in (0, 1, 2)}
    assert "".join(map(str, folds[0])) == "2233331111220022111111003333002200330022"
    assert len({fold_of.tobytes() for fold_of in folds.values()}) == 3


def test_another_seed_assigns_anew() -> None:
    groups = [str(i) for i in range(200)]
    agreeing = sum(a == b for a, b in zip(splits_of(groups), splits_of(groups, seed=1), strict=True))
    # two independent assignments agree with probability 0.7^2 + 0.1^2 + 0.2^2 = 0.54
    assert 80 < agreeing < 136


def test_adding_a_fifth_of_groups_moves_none() -> None:
    groups = [str(i) for i in range(100)]
    before = dict(zip(groups, splits_of(groups), strict=True))
    more = [f"new {i}" for i in range(20)] + groups[::-1]
    after = dict(zip(more, splits_of(more), strict=True))
    assert before == {group: after[group] for group in groups}


@given(st.text(), st.integers(0, 2**32))
def test_the_order_of_the_fractions_plays_no_part(group: str, seed: int) -> None:
    turned = dict(reversed(FRACTIONS.items()))
    found = [assign_split(group, fractions=fractions, seed=seed) for fractions in (FRACTIONS, turned)]
    assert found[0] == found[1]
    assert found[0] in SPLITS


def test_a_larger_train_share_takes_no_group_out_of_train() -> None:
    groups = [str(i) for i in range(300)]
    larger = {"train": 0.8, "val": 0.1, "test": 0.1}
    for group, split in zip(groups, splits_of(groups), strict=True):
        if split == "train":
            assert assign_split(group, fractions=larger, seed=0) == "train"


def test_classes_that_are_in_every_split_pass() -> None:
    require_every_class(["car", "truck"] * 3, [s for s in SPLITS for _ in range(2)], class_names=["car", "truck"])


def test_a_class_that_is_missing_from_a_split_is_an_error_with_the_class_the_split_and_the_counts() -> None:
    labels = ["car", "car", "car", "truck", "truck", "truck"]
    splits = ["train", "val", "test", "train", "train", ""]
    with pytest.raises(LeakageError, match=r"no image of truck in val; truck in test \(car: 3 .*, truck: 2 images\)"):
        require_every_class(labels, splits, class_names=["car", "truck"])


def test_a_class_without_any_image_is_named() -> None:
    with pytest.raises(LeakageError, match=r"bus in train; bus in val; bus in test .*bus: 0 images.*curate\.fractions"):
        require_every_class(["car"] * 3, SPLITS, class_names=["car", "bus"])


FRACTION_MAPS = st.tuples(*[st.floats(0.05, 1)] * 3).map(
    lambda parts: dict(zip(SPLITS, (part / sum(parts) for part in parts), strict=True))
)
IMAGES = st.lists(st.tuples(st.text(max_size=4), st.sampled_from(["car", "truck"])), min_size=1, max_size=40)


@given(IMAGES, FRACTION_MAPS, st.integers(0, 9))
def test_any_data_have_every_class_in_every_split_and_no_group_in_two_splits_or_a_clear_error(
    images: list[tuple[str, str]], fractions: dict[str, float], seed: int
) -> None:
    splits = [assign_split(group, fractions=fractions, seed=seed) for group, _ in images]
    assert len({(group, split) for (group, _), split in zip(images, splits, strict=True)}) == len(dict(images))
    labels = [label for _, label in images]
    there = set(zip(labels, splits, strict=True))
    missing = [f"{name} in {split}" for name in ("car", "truck") for split in SPLITS if (name, split) not in there]
    if missing:
        with pytest.raises(LeakageError, match=f"no image of {'; '.join(missing)} "):
            require_every_class(labels, splits, class_names=["car", "truck"])
    else:
        require_every_class(labels, splits, class_names=["car", "truck"])


@given(IMAGES, IMAGES, FRACTION_MAPS, st.randoms(use_true_random=False))
def test_neither_the_order_of_images_nor_others_that_are_added_nor_their_classes_move_any(
    images: list[tuple[str, str]], added: list[tuple[str, str]], fractions: dict[str, float], rng: Random
) -> None:
    before = {group: assign_split(group, fractions=fractions, seed=0) for group, _ in images}
    more = [(group, "truck") for group, _ in images] + added
    rng.shuffle(more)
    after = {group: assign_split(group, fractions=fractions, seed=0) for group, _ in more}
    assert {group: after[group] for group in before} == before


@given(FRACTION_MAPS, st.integers(0, 5))
def test_any_fractions_hold_on_average(fractions: dict[str, float], seed: int) -> None:
    counts = Counter(assign_split(f"{number}", fractions=fractions, seed=seed) for number in range(400))
    for split, fraction in fractions.items():
        assert abs(counts[split] - 400 * fraction) < 6 * sqrt(400 * fraction * (1 - fraction))


GROUPED = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 15)), min_size=1, max_size=60)


@given(GROUPED, st.integers(2, 6), st.integers(0, 3))
def test_no_group_lies_in_two_folds_whatever_its_classes(
    images: list[tuple[int, int]], num_folds: int, seed: int
) -> None:
    targets, groups = (np.array(part) for part in zip(*images, strict=True))
    fold_of = stratified_group_folds(targets, groups, num_folds=num_folds, seed=seed)
    assert all(len(set(fold_of[groups == group].tolist())) == 1 for group in groups)
    assert set(fold_of.tolist()) <= set(range(num_folds))


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(2, 6), st.integers(0, 3))
def test_images_of_their_own_groups_are_balanced_to_the_image(targets: list[int], num_folds: int, seed: int) -> None:
    fold_of = stratified_group_folds(np.array(targets), np.arange(len(targets)), num_folds=num_folds, seed=seed)
    for target in {*targets, None}:
        members = [row for row, each in enumerate(targets) if target is None or each == target]
        counts = np.bincount(fold_of[members], minlength=num_folds)
        assert counts.max() - counts.min() <= 1


def deviation(targets: np.ndarray, fold_of: np.ndarray) -> float:
    """Standard deviation over the folds of the images of a class, in the mean of the classes."""
    counts = np.zeros((fold_of.max() + 1, targets.max() + 1))
    np.add.at(counts, (fold_of, targets), 1)
    return counts.std(axis=0).mean()


@pytest.mark.parametrize("mixed", [0, 0.2, 1])
@pytest.mark.parametrize("seed", [0, 1])
def test_classes_are_as_balanced_over_folds_as_by_scikit_learn(mixed: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(300), np.minimum(rng.geometric(0.3, 300), 40))
    targets = rng.integers(0, 4, 300)[groups]
    targets = np.where(rng.random(len(groups)) < mixed, rng.integers(0, 4, len(groups)), targets)
    ours = stratified_group_folds(targets, groups, num_folds=5, seed=seed)
    theirs = np.empty_like(ours)
    for fold, (_, rows) in enumerate(
        StratifiedGroupKFold(5, shuffle=True, random_state=seed).split(targets, targets, groups)
    ):
        theirs[rows] = fold
    assert deviation(targets, ours) <= deviation(targets, theirs) + 0.3


def test_rows_without_order_or_with_named_groups_have_the_same_folds() -> None:
    targets, groups = np.array([0, 1, 1, 0, 1]), np.array([4, 4, 7, 9, 7])
    by_number = stratified_group_folds(targets, groups, num_folds=2, seed=0)
    assert (stratified_group_folds(targets, [f"g{group}" for group in groups], num_folds=2, seed=0) == by_number).all()
    assert len(stratified_group_folds(np.zeros(0, np.int64), [], num_folds=2, seed=0)) == 0


def test_another_seed_deals_other_folds() -> None:
    targets, groups = np.zeros(50, dtype=np.int64), np.arange(50)
    one, again, other = (stratified_group_folds(targets, groups, num_folds=5, seed=seed) for seed in (0, 0, 1))
    assert (one == again).all()
    assert (one != other).any()
