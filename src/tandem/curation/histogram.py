"""A histogram of similarities, whose upper end is what matters."""

import numpy as np

_EDGES = (*np.arange(0.5, 0.9, 0.05).round(2), *np.arange(0.9, 1.005, 0.01).round(2))


def similarity_histogram(values: np.ndarray) -> dict[str, int]:
    """How many lie where: from 0.5 on, in steps of 0.05, and of 0.01 from 0.9 on; the last one holds 1 too.

    values: (n,) cosines or correlations, in [-1, 1].
    """
    counts = np.histogram(values, _EDGES)[0]
    return {f"{low:.2f}-{high:.2f}": int(n) for low, high, n in zip(_EDGES, _EDGES[1:], counts, strict=False)}
