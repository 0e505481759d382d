"""When images were taken, and by which camera, as `merge` hands it on: as provenance keys of the index.

An image has as many captures as different ones are stated by the files that hold its pixels. A camera is known by the
text that names it, and times with and without an offset from UTC are those of two cameras, since they do not compare.

A clock can be wrong. A time before 2001 is not believed: clocks that were reset count from 1970, 1980 or 2000, and
hardly a digital photograph is older. Nor is midnight of any January 1st, for the same reason, nor a second in which a
camera took more images than one can: it stood still, or a program set it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from tandem.errors import DataError

CAPTURED = "captured:"
FIRST_YEAR = 2001
MAX_A_SECOND = 60  # images; the fastest phones and sports cameras take 10 to 60 a second


def capture_key(captured_at: str, camera: str) -> str | None:
    """The provenance key of a capture; None where time or camera is not stated. captured_at: ISO 8601."""
    return f"{CAPTURED}{captured_at} {camera}" if captured_at and camera else None


@dataclass(frozen=True, eq=False)
class Captures:
    """Columns, one entry a capture whose time is believed, sorted by camera and time.

    rows: (C,) int64, of the index. cameras: (C,) int64, a number for each camera. seconds: (C,) float64, since 1970.
    num_images: that have a capture, believed or not. num_disbelieved: captures that are left out.
    """

    rows: np.ndarray
    cameras: np.ndarray
    seconds: np.ndarray
    num_images: int
    num_disbelieved: int

    @classmethod
    def of(cls, provenance_keys: Sequence[Collection[str]]) -> "Captures":
        """From the keys of each image. Raises DataError for a time that cannot be read."""
        stated = [
            (row, key.removeprefix(CAPTURED).partition(" "))
            for row, keys in enumerate(provenance_keys)
            for key in keys
            if key.startswith(CAPTURED)
        ]
        rows = np.array([row for row, _ in stated], dtype=np.int64)
        times = [_time_of(text) for _, (text, _, _) in stated]
        names = [(name, time.tzinfo is None) for (_, (_, _, name)), time in zip(stated, times, strict=True)]
        numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
        cameras = np.array([numbers[name] for name in names], dtype=np.int64)
        seconds = np.array([_seconds(time) for time in times], dtype=np.float64)
        can_be = np.array([_can_be(time) for time in times], dtype=bool) & ~_is_crowded(cameras, seconds)
        order = np.lexsort((rows, seconds, cameras))
        order = order[can_be[order]]
        num_images = len(np.unique(rows))
        return cls(rows[order], cameras[order], seconds[order], num_images, int((~can_be).sum()))

    def __len__(self) -> int:
        return len(self.rows)


def _time_of(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise DataError(f"{text!r} is not the time of a capture; run the merge stage again") from None


def _seconds(time: datetime) -> float:
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _can_be(time: datetime) -> bool:
    is_new_year = (time.month, time.day, time.hour, time.minute, time.second) == (1, 1, 0, 0, 0)
    return time.year >= FIRST_YEAR and not is_new_year


def _is_crowded(cameras: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """(C,) whether the camera took more than MAX_A_SECOND images in that second."""
    pairs = np.stack([cameras, np.floor(seconds).astype(np.int64)], axis=1)
    _, place, counts = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    return counts[place.reshape(-1)] > MAX_A_SECOND
