"""The index of images: what it refuses, and that it comes back from disk as it went."""

from pathlib import Path

import pytest

from tandem.errors import DamagedFileError, DataError
from tandem.files import read_csv
from tandem.tables.index import (
    Excluded,
    ImageRecord,
    Index,
    Origin,
    load_excluded,
    load_index,
    save_excluded,
    save_index,
)


def record(id_: str, **changes: object) -> ImageRecord:
    origin = Origin("street", f"car/{id_}.jpg", "Carro")
    plain = ImageRecord(
        id=id_, label="car", file=f"{id_}.jpg", width=40, height=30, provenance_keys=(), origins=(origin,)
    )
    return plain._replace(**changes)  # type: ignore[arg-type]


UNUSUAL = record(
    "b",
    label="caminhão, grande",
    provenance_keys=('stem:a/b/"quoted"', "video:línea\nnext"),
    origins=(Origin("yard", "a, b/ç.jpg", "Caminhão"), Origin("street", 'x"y.png', "truck")),
)


def test_an_index_comes_back_from_disk(tmp_path: Path) -> None:
    index = Index.of((record("a"), UNUSUAL, record("c")))
    save_index(index, tmp_path / "index.csv")
    assert load_index(tmp_path / "index.csv") == index != Index.of((record("a"), record("c")))


def test_its_columns_are_what_it_was_made_of() -> None:
    records = (record("a"), UNUSUAL, record("c", width=7))
    index = Index.of(records)
    assert tuple(index) == records
    assert (index.labels.tolist(), index.widths.tolist()) == (["car", "caminhão, grande", "car"], [40, 40, 7])


def test_an_index_of_an_image_with_thousands_of_origins_comes_back(tmp_path: Path) -> None:
    origins = tuple(Origin("street", f"car/blank image {number}.jpg", "car") for number in range(5000))
    save_index(Index.of((record("a", origins=origins),)), tmp_path / "index.csv")
    assert load_index(tmp_path / "index.csv").origins == (origins,)


def test_the_same_index_is_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.csv", "two.csv"):
        save_index(Index.of((record("a"), UNUSUAL)), tmp_path / name)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


def test_the_first_origin_gives_the_source() -> None:
    assert Index.of((record("a"), UNUSUAL)).sources.tolist() == ["street", "yard"]


def test_a_file_is_named_once_for_all_of_its_boxes() -> None:
    origins = (Origin("web", "a.jpg", "car"), Origin("yard", "b.jpg", "car"), Origin("web", "a.jpg", "van"))
    index = Index.of((record("a", origins=origins), record("b")))
    assert index.found_in == (("web/a.jpg", "yard/b.jpg"), ("street/car/b.jpg",))


def test_the_shorter_side_is_that_of_the_image() -> None:
    index = Index.of((record("a"), record("b", width=20, height=700)))
    assert index.min_sides.tolist() == [30, 20]


def test_ids_stand_in_order() -> None:
    assert Index.of((record("a"), record("b"))).ids == ("a", "b")


def test_an_index_out_of_order_is_refused() -> None:
    with pytest.raises(DataError, match="unique ids, sorted; abc follows abd"):
        Index.of((record("abb"), record("abd"), record("abc")))


def test_an_index_with_an_id_twice_is_refused() -> None:
    with pytest.raises(DataError, match="unique ids, sorted; abc follows abc"):
        Index.of((record("abc"), record("abc")))


@pytest.mark.parametrize("changes", [{"label": ""}, {"origins": ()}])
def test_a_record_without_a_class_or_an_origin_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(DataError, match="record abc needs a class and at least one origin"):
        Index.of((record("abc", **changes),))


def test_what_is_not_used_is_written_with_its_reason(tmp_path: Path) -> None:
    save_excluded([Excluded("street", "a,b.jpg", "Ônibus", "ignored_label", "")], tmp_path / "excluded.csv")
    assert read_csv(tmp_path / "excluded.csv") == [
        {"source": "street", "path": "a,b.jpg", "label": "Ônibus", "reason": "ignored_label", "detail": ""}
    ]


def test_a_list_of_what_is_not_used_comes_back_and_one_without_a_column_is_refused(tmp_path: Path) -> None:
    excluded = [Excluded("street", "a,b.jpg", "Ônibus", "ignored_label", "")]
    save_excluded(excluded, tmp_path / "excluded.csv")
    assert load_excluded(tmp_path / "excluded.csv") == excluded
    (tmp_path / "excluded.csv").write_text("source,path,label,reason\n", encoding="utf-8")
    with pytest.raises(DamagedFileError, match=r"excluded\.csv.*its columns are source,path,label,reason, not "):
        load_excluded(tmp_path / "excluded.csv")


def test_a_list_of_nothing_has_its_header(tmp_path: Path) -> None:
    save_excluded([], tmp_path / "excluded.csv")
    assert (tmp_path / "excluded.csv").read_text() == "source,path,label,reason,detail\n"
