"""What all tables check alike when they are made, and so when they are read: finite values and unique ids.

Read within tandem.files.reading, what is refused here is told with the file and the stage that writes it.
"""

from collections.abc import Sequence

import numpy as np

from tandem.errors import DataError

_BLOCK = 2**22  # values checked at a time


def require_finite(values: np.ndarray, ids: Sequence[str], *, what: str, advice: str = "") -> None:
    """Raise DataError for the first row of values (N, ...) that is not finite, by its id; block by block."""
    rows = max(1, _BLOCK // max(1, values[:1].size))
    for start in range(0, len(values), rows):
        is_finite = np.isfinite(values[start : start + rows]).reshape(len(values[start : start + rows]), -1).all(axis=1)
        if not is_finite.all():
            id_ = ids[start + int(is_finite.argmin())]
            raise DataError(f"{what} of image {id_} hold a value that is not finite{advice and f'; {advice}'}")


def require_unique(names: Sequence[str], *, what: str) -> None:
    """Raise DataError for a name that stands there twice, or is empty."""
    seen = set[str]()
    for name in names:
        if not isinstance(name, str) or not name or name in seen:
            raise DataError(f"{what} must be unique and not empty; {name!r} is not")
        seen.add(name)
