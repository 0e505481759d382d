"""The leakage check lets clean splits pass and names the first pair of a leak, by code of its own."""

import ast
import inspect
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageOps

from factories import curate_settings
from planted_images import NONE, similar_to, some_thumbnails
from tandem.curation import disputed, leak_check
from tandem.curation.across import bit_keys, buckets, exact
from tandem.curation.leak_check import LeakReport, check_leakage
from tandem.curation.settings import BurstSettings, CandidateSettings, CurateSettings, SimilarityThresholds
from tandem.errors import LeakageError
from tandem.images.hashing import as_signs, dihedral_phashes
from tandem.tables.decisions import Decision, Decisions
from tandem.tables.index import ImageRecord, Index, Origin

ROWS = {"train": np.arange(60), "val": np.arange(60, 75), "test": np.arange(75, 90)}
SETTINGS = curate_settings(
    candidates=CandidateSettings(min_similarity=0.99, max_hash_distance=40, num_neighbors=4),
    same_stem=SimilarityThresholds(min_similarity=0.8, max_hash_distance=60),
)


@pytest.fixture
def features() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(90, 64)).astype(np.float32)


@pytest.fixture
def hashes() -> np.ndarray:
    return np.stack([dihedral_phashes(smooth(seed)) for seed in range(90)])


def smooth(seed: int) -> Image.Image:
    """A smooth image of random colors."""
    colors = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(colors).resize((80, 80), Image.Resampling.BICUBIC)


def index_of(num_images: int, keys: dict[int, str] | None = None) -> Index:
    """image00, image01 ...; keys: row -> its provenance key."""
    origin = Origin("snapshots", "a.jpg", "car")
    return Index.of(
        ImageRecord(f"image{row:03}", "car", "a.jpg", 9, 9, tuple(filter(None, [(keys or {}).get(row)])), (origin,))
        for row in range(num_images)
    )


def check(
    features: np.ndarray, hashes: np.ndarray, rows=ROWS, *, keys=None, settings=SETTINGS, **changes
) -> LeakReport:
    given = {"linked": NONE, "rejected": NONE, "decisions": Decisions(), "thumbnails_of": some_thumbnails, **changes}
    index = index_of(len(features), keys)
    return check_leakage(index, rows, features=features, hashes=hashes, settings=settings, **given)


@pytest.mark.parametrize("module", [leak_check, disputed, exact, buckets, bit_keys])
def test_the_check_shares_no_code_with_what_it_checks(module) -> None:
    nodes = list(ast.walk(ast.parse(inspect.getsource(module))))
    imported = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    tables = {f"tandem.{name}" for name in ("errors", "files", "types", "curation.settings")}
    tables |= {"tandem.tables.decisions", "tandem.tables.index"}
    if module is leak_check:
        tables |= {"tandem.tables.captures"}  # how a capture is written as a key
        tables |= {"tandem.curation.disputed", *(each.__name__ for each in (exact, buckets, bit_keys))}
    if module is disputed:
        tables |= {"tandem.cache.once", "tandem.cache.recipe"}
    assert {name for name in imported if name.startswith("tandem")} <= tables


def test_clean_splits_pass_with_the_highest_similarity_across_them(features: np.ndarray, hashes: np.ndarray) -> None:
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    split = np.repeat([0, 1, 2], [60, 15, 15])
    found = check(features, hashes).similarities
    cosines = np.where(split[:, None] != split[None], unit @ unit.T, -1)
    np.testing.assert_allclose(found, cosines.max(axis=1), atol=1e-5)


@pytest.mark.parametrize(("one", "other"), [(3, 62), (59, 89), (60, 80)])
def test_a_near_duplicate_by_features_is_a_leak(one: int, other: int, features: np.ndarray, hashes: np.ndarray) -> None:
    features[other] = 2 * features[one] + 0.01
    side = {3: "train", 59: "train", 60: "val", 62: "val", 80: "test", 89: "test"}
    with pytest.raises(
        LeakageError,
        match=rf"1 pairs of near .* image0{one:02} in {side[one]} and image0{other} in {side[other]} \(cosine ",
    ):
        check(features, hashes)


def test_a_near_duplicate_by_hash_is_a_leak(features: np.ndarray, hashes: np.ndarray) -> None:
    hashes[70] = dihedral_phashes(smooth(5).resize((60, 60)))
    with pytest.raises(
        LeakageError, match=r"two splits; .*: image005 in train and image070 in val \(hash distance \d+ of 256 <= 40"
    ):
        check(features, hashes)


@pytest.mark.parametrize(
    "turn", [ImageOps.mirror, ImageOps.flip, lambda image: image.transpose(Image.Transpose.ROTATE_90)]
)
def test_a_mirrored_or_turned_near_duplicate_is_a_leak(turn, features: np.ndarray, hashes: np.ndarray) -> None:
    hashes[70] = dihedral_phashes(turn(smooth(80)))
    with pytest.raises(
        LeakageError,
        match=r"1 pairs of near duplicates lie in two splits; the first: image070 in val and image080 in test",
    ):
        check(features, hashes)


def test_similar_pairs_that_were_rejected_are_no_leak_and_all_others_are(
    features: np.ndarray, hashes: np.ndarray
) -> None:
    features[70], hashes[80] = features[3], hashes[70]
    rejected = np.array([(3, 70), (70, 80)])
    check(features, hashes, rejected=rejected)
    features[71] = features[70]  # behind a more similar one that was rejected
    with pytest.raises(
        LeakageError,
        match=r"1 pairs of near duplicates lie in two splits; the first: image003 in train and image071 in val",
    ):
        check(features, hashes, rejected=rejected)


def test_near_duplicates_inside_one_split_are_no_leak(features: np.ndarray, hashes: np.ndarray) -> None:
    features[1], hashes[1] = features[0], hashes[0]
    check(features, hashes)


def test_images_in_no_split_are_not_checked(features: np.ndarray, hashes: np.ndarray) -> None:
    features[89], hashes[89] = features[0], hashes[0]
    rows = {**ROWS, "test": np.arange(75, 89)}
    check(features, hashes, rows)


def test_a_split_without_images_leaks_nothing(features: np.ndarray, hashes: np.ndarray) -> None:
    rows = {"train": np.arange(90), "val": np.zeros(0, dtype=np.int64), "test": np.zeros(0, dtype=np.int64)}
    assert check(features, hashes, rows).similarities.max() == -1


def test_the_hashes_of_flat_images_mean_nothing(features: np.ndarray, hashes: np.ndarray) -> None:
    for row in (0, 61, 76):
        hashes[row] = dihedral_phashes(Image.new("RGB", (80, 80), (row, row, row)))
    check(features, hashes)


def test_equal_features_are_a_leak_even_where_only_equal_ones_are(features: np.ndarray, hashes: np.ndarray) -> None:
    features[88] = 3 * features[20]
    with pytest.raises(LeakageError, match="image020 in train and image088 in test"):
        check(features, hashes, settings=replace(SETTINGS, candidates=CandidateSettings(1.0, 0, 4)))


def test_every_pair_of_hashes_is_counted_once_across_blocks() -> None:
    num_rows = 2 * exact._BLOCK + 20
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 256, (num_rows, 8, 32), dtype=np.uint8)
    rows = {"train": np.arange(num_rows - 20), "test": np.arange(num_rows - 20, num_rows)}
    for train, test in [(0, -1), (exact._BLOCK, -2), (2 * exact._BLOCK - 1, -3)]:
        hashes[test] = hashes[train, 0]  # every orientation alike: one pair nevertheless
    features = rng.normal(size=(num_rows, 32)).astype(np.float32)
    with pytest.raises(LeakageError, match=r"^3 pairs of near duplicates"):
        check(features, hashes, rows)


def test_cosines_are_compared_block_by_block_and_in_whichever_order_the_rows_stand(
    monkeypatch, features, hashes
) -> None:
    whole = check(features, hashes).similarities
    monkeypatch.setattr(exact, "_ROWS", 7)
    np.testing.assert_allclose(check(features, hashes).similarities, whole, rtol=1e-12)
    features[50] = features[89]
    rows = {"test": ROWS["test"], "val": ROWS["val"], "train": ROWS["train"]}  # the first row of a pair is the larger
    for order in (rows, ROWS):
        with pytest.raises(LeakageError, match=r"1 pairs .*: image050 in train and image089 in test \(cosine 1.0000"):
            check(features, hashes, order)
        check(features, hashes, order, rejected=np.array([[50, 89]]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"linked": np.array([[3, 70]])}, r"image003 in train and image070 in val \(curation linked them\)"),
        ({"linked": np.array([[80, 3]])}, r"image003 in train and image080 in test \(curation linked them\)"),
        (
            {"decisions": Decisions((Decision("image003", "duplicate", "image070"),))},
            r"image003 in train and image070 in val \(a decision joins them\)",
        ),
        (
            {"keys": {3: "video:a", 4: "video:a", 70: "video:a"}},
            r"1 pairs .* image003 .* image070 .*both are of video:a",
        ),
        ({"keys": {3: "image:a", 80: "image:a"}}, r"image003 in train and image080 in test \(both are of image:a\)"),
    ],
)
def test_what_must_stay_together_whatever_it_looks_like_is_a_leak_in_two_splits(
    changes: dict, message: str, features: np.ndarray, hashes: np.ndarray
) -> None:
    with pytest.raises(LeakageError, match=message):
        check(features, hashes, rejected=np.array([[3, 70]]), **changes)


def shot(second: float, camera: str = "EOS 6D") -> str:
    return f"captured:2024-05-01T10:11:{second:09.6f} {camera}"


def bursts(within_seconds: float | None, *, by_name: bool = False) -> CurateSettings:
    return replace(SETTINGS, bursts=BurstSettings(by_name, within_seconds))


def test_what_one_camera_took_within_the_seconds_is_a_leak_in_two_splits_where_bursts_are_kept_together(
    features: np.ndarray, hashes: np.ndarray
) -> None:
    keys = {3: shot(1), 4: shot(2), 5: shot(3.4, "EOS 7D"), 70: shot(3.5), 80: shot(9)}
    message = r"1 pairs .*: image004 in train and image070 in val \(one camera took both within 1.5 s\)"
    with pytest.raises(LeakageError, match=message):
        check(features, hashes, keys=keys, settings=bursts(1.5))
    check(features, hashes, keys=keys, settings=bursts(1.4))
    check(features, hashes, keys=keys, settings=bursts(None))


def test_the_images_of_a_burst_leak_past_one_that_is_in_no_split(features: np.ndarray, hashes: np.ndarray) -> None:
    rows = {**ROWS, "train": np.arange(4, 60)}
    keys = {3: shot(2), 4: shot(1), 80: shot(2.5)}
    with pytest.raises(
        LeakageError, match=r"image004 in train and image080 in test \(one camera took both within 2 s\)"
    ):
        check(features, hashes, rows, keys=keys, settings=bursts(2))


@pytest.mark.parametrize("time", ["2000-06-01T00:00:00", "2016-01-01T00:00:00"])
def test_times_that_no_clock_means_tie_nothing(time: str, features: np.ndarray, hashes: np.ndarray) -> None:
    check(features, hashes, keys=dict.fromkeys((3, 70), f"captured:{time} EOS 6D"), settings=bursts(2))


def test_more_images_of_a_second_than_a_camera_takes_tie_nothing(features: np.ndarray, hashes: np.ndarray) -> None:
    few, many = ({row: shot(row / 1000) for row in range(90 - count, 90)} for count in (60, 61))
    check(features, hashes, keys=many, settings=bursts(2))
    with pytest.raises(LeakageError, match="one camera took both"):
        check(features, hashes, keys=few, settings=bursts(2))


def test_times_with_and_without_an_offset_are_not_compared_and_those_of_two_zones_are(
    features: np.ndarray, hashes: np.ndarray
) -> None:
    keys = {3: "captured:2024-05-01T10:00:00+02:00 M", 70: "captured:2024-05-01T08:00:01+00:00 M"}
    with pytest.raises(LeakageError, match="image003 in train and image070 in val"):
        check(features, hashes, keys=keys, settings=bursts(2))
    check(features, hashes, keys={**keys, 70: "captured:2024-05-01T10:00:00 M"}, settings=bursts(2))


def test_frames_of_a_video_are_no_leak_where_names_bind_nothing_and_crops_are(
    features: np.ndarray, hashes: np.ndarray
) -> None:
    check(features, hashes, keys={3: "video:a", 70: "video:a"}, settings=bursts(2))
    with pytest.raises(LeakageError, match="both are of image:a"):
        check(features, hashes, keys={3: "image:a", 70: "image:a"}, settings=bursts(2))


def test_what_is_linked_inside_one_split_or_in_none_is_no_leak(features: np.ndarray, hashes: np.ndarray) -> None:
    rows = {**ROWS, "test": np.arange(76, 90)}
    check(features, hashes, rows, linked=np.array([[3, 4], [3, 75]]), keys={3: "video:a", 4: "video:a", 75: "video:a"})


def test_images_of_one_stem_are_a_leak_from_the_looser_limits_on(features: np.ndarray, hashes: np.ndarray) -> None:
    stems = {3: "stem:a", 70: "stem:a", 80: "stem:b"}
    features[70] = similar_to(features[3], 0.81)
    features[80] = similar_to(features[4], 0.81)
    check(features, hashes, keys={**stems, 70: "stem:b"})
    with pytest.raises(LeakageError, match=r"image003 in train and image070 in val \(both are of stem:a, cosine 0.81"):
        check(features, hashes, keys=stems, rejected=np.array([[3, 70]]))  # which excuses no image of one stem
    check(features, hashes, keys=stems, decisions=Decisions((Decision("image003", "not_duplicate", "image070"),)))
    features[70] = similar_to(features[3], 0.79)
    check(features, hashes, keys=stems)


def test_an_excused_pair_is_judged_by_a_second_measure_unless_a_person_decided(features, hashes) -> None:
    features[70], hashes[70] = features[3], hashes[3]
    rejected = np.array([[3, 70], [4, 71], [5, 6]])
    found = check(features, hashes, rejected=rejected).disputed
    assert (found.pairs.tolist(), found.num_judged) == ([[3, 70]], 2)  # the last of the pairs lies in one split
    with pytest.raises(LeakageError, match=r"1 of them like copies of one file.*image003 and image070 \(thumbnails"):
        check(features, hashes, rejected=rejected, thumbnails_of=lambda rows: some_thumbnails([0] * len(rows)))
    decisions = Decisions((Decision("image003", "not_duplicate", "image070"), Decision("gone", "drop")))
    decided = check(features, hashes, rejected=rejected, decisions=decisions).disputed
    assert (len(decided), decided.num_judged) == (0, 1)


def with_bits(num_bits: int) -> np.ndarray:
    """(8, 32) hashes of which so many bits are set, in every orientation the same."""
    bits = np.zeros((8, 256), dtype=np.uint8)
    bits[:, :num_bits] = 1
    return np.packbits(bits, axis=1)


@pytest.mark.parametrize(("num_bits", "means_something"), [(95, False), (96, True)])
def test_search_and_check_take_the_same_hashes_for_those_of_flat_images(
    num_bits: int, means_something: bool, features: np.ndarray, hashes: np.ndarray
) -> None:
    hashes[3] = hashes[70] = with_bits(num_bits)
    assert bool(as_signs(hashes[:, 0])[3].any()) == means_something
    assert disputed._hash_distance(hashes, np.array([[3, 70]])).tolist() == [0 if means_something else 256]
    assert exact._similar_hashes(hashes, np.array([3]), np.array([70]), 40) == [(3, 70, 0)] * (8 * means_something)


def test_a_hash_distance_at_the_limit_is_similar_and_one_beyond_is_not(
    features: np.ndarray, hashes: np.ndarray
) -> None:
    for distance in (40, 41):
        bits = np.unpackbits(with_bits(128), axis=1)
        bits[:, 108 : 108 + distance] ^= 1
        hashes[3], hashes[70] = with_bits(128), np.packbits(bits, axis=1)
        found = exact._similar_hashes(hashes, np.array([3]), np.array([70]), 40)
        assert [each[2] for each in found] == [40] * 8 * (distance == 40)


def test_an_images_highest_cosine_is_over_all_other_splits(features: np.ndarray, hashes: np.ndarray) -> None:
    features[61] = similar_to(features[3], 0.9)  # of val and train; its highest to test, which comes later, is lower
    found = check(features, hashes).similarities
    assert found[[3, 61]] == pytest.approx([0.9, 0.9], abs=1e-5)


def test_a_rejected_pair_of_which_an_image_is_in_no_split_is_not_judged(
    features: np.ndarray, hashes: np.ndarray
) -> None:
    rows = {**ROWS, "test": np.arange(76, 90)}
    features[75], hashes[75] = features[3], hashes[3]
    found = check(features, hashes, rows, rejected=np.array([[3, 75], [4, 71]])).disputed
    assert (len(found), found.num_judged) == (0, 1)


def test_a_rejected_pair_excuses_no_other_pair(features: np.ndarray, hashes: np.ndarray) -> None:
    features[70] = features[3]
    pairs = np.argwhere(np.triu(np.ones((90, 90)), 1))
    others = pairs[(pairs != [3, 70]).any(axis=1)]
    with pytest.raises(LeakageError, match="image003 in train and image070 in val"):
        check(features, hashes, rejected=others)


def test_a_decision_on_an_image_that_is_gone_ties_nothing(features: np.ndarray, hashes: np.ndarray) -> None:
    check(features, hashes, decisions=Decisions((Decision("image003", "duplicate", "gone"),)))


def test_an_image_of_a_video_that_is_in_no_split_hides_no_leak_of_the_others(
    features: np.ndarray, hashes: np.ndarray
) -> None:
    rows = {**ROWS, "train": np.arange(3, 60)}
    with pytest.raises(LeakageError, match=r"image003 in train and image070 in val \(both are of video:a"):
        check(features, hashes, rows, keys={2: "video:a", 3: "video:a", 70: "video:a"})


def beyond_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leak_check, "COMPARED_TO", 10)


def test_beyond_the_bound_a_few_similar_pairs_may_have_been_missed_and_are_counted(
    monkeypatch, features: np.ndarray, hashes: np.ndarray
) -> None:
    assert check(features, hashes).num_missed is None
    beyond_the_bound(monkeypatch)
    assert check(features, hashes).num_missed == 0
    hashes[89, 2] = hashes[3, 0]  # train and test
    features[61] = features[4]  # of train and val
    found = check(features, hashes)
    assert (found.num_missed, found.disputed.num_judged) == (2, 2)
    assert check(features, hashes, rejected=np.array([[3, 89]])).num_missed == 1
    assert found.similarities.max() == pytest.approx(1)


def test_beyond_the_bound_more_than_the_recall_explains_are_leaks_and_so_is_a_copy(
    monkeypatch, features: np.ndarray, hashes: np.ndarray
) -> None:
    beyond_the_bound(monkeypatch)
    hashes[89] = hashes[3]
    features[89] = features[3]
    with pytest.raises(LeakageError, match="1 of them like copies of one file"):
        check(features, hashes, thumbnails_of=lambda rows: np.stack([some_thumbnails([0])[0]] * len(rows)))
    features[85:89] = features[4:8]
    with pytest.raises(LeakageError, match="5 pairs of near duplicates lie in two splits"):
        check(features, hashes)
    linked = np.array([[0, 1]] * 200)
    assert check(features, hashes, linked=linked).num_missed == 5
