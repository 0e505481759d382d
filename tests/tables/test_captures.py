"""Captures as provenance keys: which times are believed, and that only those that compare are of one camera."""

import numpy as np
import pytest

from tandem.errors import DataError
from tandem.tables.captures import MAX_A_SECOND, Captures, capture_key

EOS = "Canon / EOS 6D / 42"


def key(time: str, camera: str = EOS) -> str:
    found = capture_key(time, camera)
    assert found
    return found


def test_a_capture_is_written_as_a_key_and_read_again() -> None:
    keys = [("stem:a", key("2024-05-01T10:11:12.500000")), (), (key("2024-05-01T10:11:10"),)]
    captures = Captures.of(keys)
    assert captures.rows.tolist() == [2, 0]
    assert np.diff(captures.seconds).tolist() == [2.5]
    assert len(set(captures.cameras.tolist())) == 1
    assert (captures.num_images, captures.num_disbelieved) == (2, 0)


@pytest.mark.parametrize(("time", "camera"), [("", EOS), ("2024-05-01T10:11:12", "")])
def test_a_time_or_a_camera_alone_is_none(time: str, camera: str) -> None:
    assert capture_key(time, camera) is None


def test_without_captures_the_columns_are_empty() -> None:
    captures = Captures.of([(), ("video:v",)])
    assert (len(captures), captures.num_images, captures.num_disbelieved) == (0, 0, 0)


def test_times_in_two_zones_compare_and_those_without_one_are_of_another_camera() -> None:
    keys = [
        (key("2024-05-01T10:00:01+02:00"),),
        (key("2024-05-01T08:00:00+00:00"),),
        (key("2024-05-01T08:00:00"),),
        (key("2024-05-01T08:00:00+00:00", "Apple / iPhone 15"),),
    ]
    captures = Captures.of(keys)
    columns = zip(captures.rows.tolist(), captures.cameras.tolist(), captures.seconds.tolist(), strict=True)
    of_row = {row: (camera, second) for row, camera, second in columns}
    assert of_row[0][0] == of_row[1][0]
    assert of_row[0][1] - of_row[1][1] == 1
    assert len({of_row[row][0] for row in (1, 2, 3)}) == 3


@pytest.mark.parametrize(
    ("time", "is_believed"),
    [
        ("2000-01-01T00:00:00", False),
        ("1980-01-01T00:04:10", False),
        ("2000-12-31T23:59:59", False),
        ("2001-01-01T00:00:01", True),
        ("2016-01-01T00:00:00.500000+01:00", False),
        ("2016-01-01T00:00:01", True),
        ("2016-02-01T00:00:00", True),
    ],
)
def test_what_a_clock_shows_after_a_reset_is_not_believed_and_counted(time: str, is_believed: bool) -> None:
    captures = Captures.of([(key(time),)])
    assert (len(captures), captures.num_images, captures.num_disbelieved) == (is_believed, 1, not is_believed)


def test_a_second_with_more_images_than_a_camera_takes_is_not_believed() -> None:
    burst = [(key(f"2024-05-01T10:11:12.{number:06}"),) for number in range(MAX_A_SECOND)]
    assert len(Captures.of(burst)) == MAX_A_SECOND
    other = [(key("2024-05-01T10:11:13"),), (key("2024-05-01T10:11:12", "Apple"),)]
    crowded = Captures.of([*burst, *other, (key("2024-05-01T10:11:12.999999"),)])
    assert sorted(crowded.rows.tolist()) == [MAX_A_SECOND, MAX_A_SECOND + 1]
    assert crowded.num_disbelieved == MAX_A_SECOND + 1


def test_a_time_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(DataError, match="'soon' is not the time of a capture; run the merge stage again"):
        Captures.of([("captured:soon Canon",)])
