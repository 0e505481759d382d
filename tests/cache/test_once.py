"""Which values are computed when some were before, and that the bytes are those of a run from nothing."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tandem.cache.once import compute_once, computed_one_by_one
from tandem.cache.store import CACHE_DIR

IDS = [f"{number:032x}" for number in range(600)]


class Roots:
    """Values that say of what they are, and which of them were computed."""

    def __init__(self, *, recipe: str = "one") -> None:
        self.recipe, self.computed = recipe, list[str]()

    def of(self, ids: Sequence[str], *, max_gb: float = 1) -> bytes:
        def compute(at: int) -> np.ndarray:
            self.computed.append(ids[at])
            return np.sqrt(int(ids[at], 16) + np.arange(6.0)).reshape(2, 3)

        values = compute_once(
            ids, compute, recipe={"of": self.recipe}, shape=(2, 3), dtype="<f8", max_gb=max_gb, desc="roots"
        )
        assert (values.shape, values.dtype) == ((len(ids), 2, 3), np.float64)
        return values.tobytes()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_DIR, str(tmp_path / "cache"))
    return tmp_path / "cache"


def from_nothing(ids: Sequence[str]) -> bytes:
    return np.sqrt([[int(id_, 16) + np.arange(6.0)] for id_ in ids]).tobytes()


def test_the_second_time_nothing_is_computed_and_the_bytes_are_the_same() -> None:
    first, second = Roots(), Roots()
    assert first.of(IDS) == second.of(IDS) == from_nothing(IDS)
    assert (first.computed, second.computed) == (IDS, [])


def test_of_ids_that_are_added_removed_and_in_another_order_the_new_ones_alone_are_computed() -> None:
    Roots().of(IDS[:590])
    roots, changed = Roots(), [*IDS[300:400], "abc", *IDS[20:280], *IDS[588:593]]
    assert roots.of(changed) == from_nothing(changed)
    assert roots.computed == ["abc", *IDS[590:593]]


def test_another_recipe_finds_nothing() -> None:
    Roots().of(IDS[:9])
    other = Roots(recipe="other")
    assert other.of(IDS[:9]) == from_nothing(IDS[:9])
    assert other.computed == IDS[:9]


def test_without_a_store_all_is_computed_and_nothing_kept(cache: Path) -> None:
    roots = Roots()
    assert roots.of(IDS[:9], max_gb=0) == roots.of(IDS[:9], max_gb=0) == from_nothing(IDS[:9])
    assert roots.computed == IDS[:9] * 2
    assert not cache.exists()


@pytest.mark.parametrize("is_cut", [True, False])
def test_a_damaged_store_costs_a_warning_and_what_it_lost(is_cut, cache: Path, capsys: pytest.CaptureFixture) -> None:
    expected = Roots().of(IDS[:99])
    (path,) = cache.rglob("*.sqlite")
    data = bytearray(path.read_bytes())
    data[data.index(expected[48 * 7 : 48 * 8]) + 5] ^= 1  # in the value of the eighth
    path.write_bytes(data[:5000] if is_cut else data)
    roots = Roots()
    assert roots.of(IDS[:99]) == expected
    assert roots.computed == (IDS[:99] if is_cut else [IDS[7]])
    assert f"warning: {path} is damaged" in capsys.readouterr().err
    assert (Roots().of(IDS[:99]), capsys.readouterr().err) == (expected, "")


def test_what_was_computed_before_a_run_broke_off_is_not_computed_again() -> None:
    def compute(at: int) -> float:
        if at == 400:
            raise KeyboardInterrupt
        return at

    given = {"recipe": {}, "shape": (), "dtype": "<f8", "max_gb": 1, "desc": "values"}
    with pytest.raises(KeyboardInterrupt):
        compute_once(IDS, compute, **given)
    again = list[int]()
    assert compute_once(IDS, lambda at: again.append(at) or at, **given).tolist() == list(range(600))
    assert again == list(range(256, 600))


def test_values_of_any_length_are_computed_once_all_of_them_before_the_first_is_asked_for() -> None:
    computed = list[int]()

    def compute(at: int) -> np.ndarray:
        computed.append(at)
        return np.arange(at, dtype=np.uint8)

    for _ in range(2):
        with computed_one_by_one(IDS[:210], compute, recipe={}, dtype="|u1", row_bytes=250, max_gb=1, desc="") as value:
            assert computed == list(range(210))
            assert [value(at).tolist() for at in (200, 3, 200)] == [list(range(200)), [0, 1, 2], list(range(200))]
    assert computed == list(range(210))
    with computed_one_by_one(IDS, compute, recipe={}, dtype="|u1", row_bytes=250, max_gb=0, desc="") as value:
        assert value(3).tolist() == [0, 1, 2]
    assert computed == [*range(210), 3]


def test_what_has_no_room_is_not_computed_ahead() -> None:
    computed = list[int]()

    def compute(at: int) -> np.ndarray:
        computed.append(at)
        return np.full(250, at % 250, np.uint8)

    with computed_one_by_one(IDS, compute, recipe={}, dtype="|u1", row_bytes=250, max_gb=0.0001, desc="") as value:
        num_ahead = len(computed)
        assert num_ahead < 300
        assert value(599).tolist() == [599 % 250] * 250
    assert computed == [*range(num_ahead), 599]


def test_no_id_gives_no_value() -> None:
    assert Roots().of([]) == b""
