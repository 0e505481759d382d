"""What is kept, and what becomes of files that are damaged, full, in use or not to be written to."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from tandem.cache.store import CACHE_DIR, ResultStore, cache_dir

RECIPE = {"weights": "random", "size_px": 32}
MADE = {"engine": "torch float32", "dim": 6, "digest": "0" * 64}
IDS = [f"{number:032x}" for number in range(40)]
FEATURES = np.random.default_rng(0).normal(size=(40, 2, 3)).astype(np.float32)
GB = 10**9


OPENED = list[ResultStore]()


def opened(folder: Path, recipe: Mapping[str, object] = RECIPE, *, max_bytes: int = GB) -> ResultStore:
    OPENED.append(ResultStore(folder, recipe, max_bytes=max_bytes))
    return OPENED[-1]


@pytest.fixture(autouse=True)
def closed_afterwards() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


def fill(store: ResultStore, ids: list[str] = IDS, *, made: Mapping[str, object] = MADE) -> None:
    store.prepare(made, ids=ids, num_new=len(ids), row_bytes=24)
    store.write(ids, FEATURES[: len(ids)])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of a store that holds all of FEATURES."""
    store = opened(tmp_path)
    fill(store)
    store.close()
    return store.path


def test_what_was_written_comes_back_with_the_same_bytes(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = opened(path.parent)
    assert store.made == MADE
    assert store.intact([*IDS, "other"]).tolist() == [True] * 40 + [False]
    found = store.read(IDS[::-1])
    assert np.stack([found[id_] for id_ in IDS]).tobytes() == FEATURES.tobytes()
    assert capsys.readouterr().err == ""


def test_what_is_held_is_known_without_reading_it(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(FEATURES[3].tobytes())] ^= 1
    path.write_bytes(data)
    store = opened(path.parent)
    assert store.held(["other", *IDS]).tolist() == [False] + [True] * 40
    assert capsys.readouterr().err == ""
    assert store.intact(IDS).sum() == 39
    assert not opened(path.parent, RECIPE | {"size_px": 64}).held(IDS).any()


def test_a_folder_is_made_when_it_is_needed_and_without_a_limit_above_0_there_is_none(tmp_path: Path) -> None:
    store = opened(tmp_path / "a" / "b", max_bytes=0)
    fill(store)
    assert not store.intact(IDS).any()
    store.close()
    assert not (tmp_path / "a").exists()
    fill(opened(tmp_path / "a" / "b"))
    assert opened(tmp_path / "a" / "b").intact(IDS).all()


def test_another_recipe_has_another_file(path: Path) -> None:
    other = opened(path.parent, RECIPE | {"size_px": 64})
    assert other.made is None
    assert not other.intact(IDS).any()
    assert other.path != path


def test_rows_of_another_engine_go_and_never_mix_with_those_of_this_one(path: Path) -> None:
    slow, fast = opened(path.parent), opened(path.parent)
    fill(fast, IDS[:10], made=MADE | {"engine": "openvino bf16"})
    assert fast.intact(IDS).tolist() == [True] * 10 + [False] * 30
    assert not slow.intact(IDS).any()  # which the other process took from it
    assert opened(path.parent).made == MADE | {"engine": "openvino bf16"}


def test_values_that_are_not_finite_are_not_kept(tmp_path: Path) -> None:
    store, features = opened(tmp_path), FEATURES.copy()
    features[3, 1, 2] = np.nan
    store.prepare(MADE, ids=IDS, num_new=40, row_bytes=24)
    store.write(IDS, features)
    assert np.flatnonzero(~store.intact(IDS)).tolist() == [3]


# --- damage


def test_a_flipped_bit_is_found_in_whatever_column_it_is(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = bytearray(FEATURES[7].tobytes())
    data[5] ^= 1
    with sqlite3.connect(path) as database:
        database.execute("UPDATE rows SET data = ? WHERE id = ?", (bytes(data), IDS[7]))
        database.execute("UPDATE rows SET checksum = x'00' WHERE id = ?", (IDS[9],))
        database.execute("UPDATE rows SET data = 12 WHERE id = ?", (IDS[11],))
        database.execute("DELETE FROM rows WHERE id = ?", (IDS[12],))
        database.execute("UPDATE rows SET id = ? WHERE id = ?", (IDS[12], IDS[13]))
    database.close()
    store = opened(path.parent)
    assert np.flatnonzero(~store.intact(IDS)).tolist() == [7, 9, 11, 12, 13]
    assert capsys.readouterr().err == f"warning: {path} is damaged in part; those results are computed again\n"
    fill(store)
    assert opened(path.parent).intact(IDS).all()


@pytest.mark.parametrize("text", ['{"made": {"engine": "another", "dim": 6}}', "{", None])
def test_what_is_said_of_an_engine_is_checked_too(text: str | None, path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("UPDATE made SET text = ?", (text,))
    database.close()
    store = opened(path.parent)
    assert store.made is None
    assert not store.intact(IDS).any()


def no_database(path: Path) -> None:
    path.write_bytes(b"this is no database at all" * 100)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def overwritten(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:4096] + bytes(len(data) - 4096))


def other_tables(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE rows (name TEXT)")
    database.close()


@pytest.mark.parametrize("damage", [no_database, cut, overwritten, other_tables])
def test_a_damaged_file_is_begun_anew_with_one_warning(damage, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage(path)
    store = opened(path.parent)
    assert not store.intact(IDS).any()
    fill(store)
    store.close()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: {path} is damaged (")
    assert line.endswith("); what it held is computed again")
    assert opened(path.parent).intact(IDS).all()
    assert capsys.readouterr().err == ""


def test_any_flipped_byte_of_a_file_gives_the_same_features_or_none(path: Path) -> None:
    whole, expected = path.read_bytes(), dict(zip(IDS, FEATURES.reshape(40, 6), strict=True))
    rng = np.random.default_rng(0)
    num_lost = 0
    for place in rng.integers(0, len(whole), 60):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << int(rng.integers(8)))]) + whole[place + 1 :])
        store = opened(path.parent)
        found = store.read(IDS)
        store.close()
        assert store.made in (None, MADE)
        assert all(found[id_].tobytes() == expected[id_].tobytes() for id_ in found)
        num_lost += len(found) < 40
    assert num_lost > 0  # it was damage


# --- disks


def test_a_place_that_is_no_folder_costs_the_store_and_no_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    store = opened(tmp_path / "file")
    fill(store)
    assert not store.intact(IDS).any()
    store.close()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: results are not kept for later: {store.path} cannot be used (")


def test_a_full_disk_ends_writing_and_not_reading(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = opened(path.parent)
    [pages] = store._database.execute("PRAGMA page_count").fetchone()  # SQLite says the same of a full disk
    store._database.execute(f"PRAGMA max_page_count = {pages}")
    more = [f"more{number}" for number in range(300)]
    store.prepare(MADE, ids=[*IDS, *more], num_new=300, row_bytes=24)
    for _ in range(3):
        store.write(more, np.ones((300, 2, 3), np.float32))
    assert store.intact(IDS).all()
    assert not store.intact(more).any()
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (f"warning: results are not kept for later: {path} cannot be written to (database or disk is full)")


def test_what_can_only_be_read_is_read(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = opened(path.parent)
    store._database.execute("PRAGMA query_only = ON")  # root, who may run the tests, can write to any folder
    fill(store, ["new"])
    assert store.intact([*IDS, "new"]).tolist() == [True] * 40 + [False]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"kept for later: {path} cannot be written to (attempt to write a readonly database)")


# --- the limit


def test_files_that_were_used_least_recently_go_first(tmp_path: Path) -> None:
    stores = [opened(tmp_path, {"number": number}) for number in range(4)]
    for age, store in enumerate(stores[:3]):
        fill(store)
        store.close()
        os.utime(store.path, (1000 - age, 1000 - age))
    size = stores[0].path.stat().st_size
    opened(tmp_path, {"number": 2}).close()  # used now
    last = opened(tmp_path, {"number": 3}, max_bytes=3 * size + 500)
    last.prepare(MADE, ids=IDS[:2], num_new=2, row_bytes=24)
    assert [store.path.exists() for store in stores] == [True, False, True, True]


def test_the_oldest_rows_that_no_image_here_has_make_room(tmp_path: Path) -> None:
    store = opened(tmp_path, max_bytes=50 * 351)
    fill(store)
    ids = [*IDS[:5], *(f"more{number}" for number in range(20))]
    store.prepare(MADE, ids=ids, num_new=20, row_bytes=24)
    store.write(ids[5:], FEATURES[:20])
    assert store.intact(ids).all()
    assert store.intact(IDS).tolist() == [True] * 5 + [False] * 10 + [True] * 25


def test_what_has_no_room_is_not_kept_and_takes_none_from_what_is_in_use(tmp_path: Path) -> None:
    store = opened(tmp_path, max_bytes=30 * 351)
    fill(store)
    fill(store)
    assert store.intact(IDS).tolist() == [True] * 30 + [False] * 10


def test_a_lower_limit_shrinks_the_file(tmp_path: Path) -> None:
    store = opened(tmp_path)
    ids = [f"{number:032x}" for number in range(200)]
    store.prepare(MADE, ids=ids, num_new=200, row_bytes=4000)
    store.write(ids, np.ones((200, 1, 1000), np.float32))
    store.close()
    assert store.path.stat().st_size > 800_000
    smaller = opened(tmp_path, max_bytes=400_000)
    smaller.close()
    assert store.path.stat().st_size <= 400_000
    assert 60 < opened(tmp_path).intact(ids).sum() < 100


# --- several processes

FILLS = """
import sys
from pathlib import Path
import numpy as np
from tandem.cache.store import ResultStore
folder, first = Path(sys.argv[1]), int(sys.argv[2])
ids = [f"{number:032x}" for number in range(first, first + 300)]
store = ResultStore(folder, {"weights": "random", "size_px": 32}, max_bytes=10**9)
store.prepare({"dim": 6}, ids=ids, num_new=300, row_bytes=24)
for at in range(0, 300, 10):
    numbers = np.arange(first + at, first + at + 10, dtype=np.float32)
    store.write(ids[at : at + 10], np.repeat(numbers, 6).reshape(10, 6))
store.close()
"""


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    opened(tmp_path).prepare({"dim": 6}, ids=[], num_new=0, row_bytes=24)
    started = [
        subprocess.Popen([sys.executable, "-c", FILLS, str(tmp_path), str(first)], stderr=subprocess.PIPE, text=True)
        for first in (0, 150)
    ]
    assert [process.communicate(timeout=120)[1] for process in started] == ["", ""]
    ids = [f"{number:032x}" for number in range(450)]
    found = opened(tmp_path).read(ids)
    assert [found[id_].tolist() for id_ in ids] == [[number] * 6 for number in range(450)]


# --- where it lies


def test_the_folder_is_that_of_the_environment_or_the_users(tmp_path: Path) -> None:
    assert cache_dir({CACHE_DIR: str(tmp_path)}) == tmp_path / "computed"
    assert cache_dir({}).parts[-2:] == ("tandem", "computed")
    assert cache_dir() == Path(os.environ[CACHE_DIR]) / "computed"  # of the tests
