"""An upper bound of the cosines of long rows, by the product of few columns.

With p the coordinates of a row x of length 1 in a few orthonormal directions and r the length of what lies outside
them, Cauchy and Schwarz give

    cosine(x, y) <= p(x) . p(y) + r(x) r(y) = [p(x), r(x)] . [p(y), r(y)],

a product of few columns instead of D. Only pairs whose bound reaches the limit are compared in full, so none is lost,
however badly the directions are chosen; well chosen, they hold most of every row, and few pairs are left.
"""

import numpy as np

from tandem.curation.duplicates.by_features.rows import UnitRows, blocks_of

SLACK = 1e-4  # what rounding may take from a bound, many times over
CHECK_COST = 40  # measured: one pair picked out and compared takes as long as 40 pairs in a block of a product
_BOUND_FROM = 16_384  # rows; fewer are compared in seconds, of which choosing directions would take a good part
_SAMPLE = 1024  # rows that directions are fitted to, and rows a side of the pairs that they are tried on
_NUM_DIRECTIONS = (32, 64, 128, 256)  # tried where they are at most a quarter of D


def cheapest_basis(rows: UnitRows, limit: float) -> np.ndarray:
    """(D, k) directions whose bound saves the most, as tried on a sample of pairs; k = 0 where none saves anything."""
    sizes = [size for size in _NUM_DIRECTIONS if 4 * size <= rows.dim and len(rows) >= _BOUND_FROM]
    if not sizes:
        return np.zeros((rows.dim, 0), dtype=np.float32)
    directions = leading_directions(rows, max(sizes))
    one, other = UnitRows(_sample(rows, 1)), UnitRows(_sample(rows, 2))

    def cost(size: int) -> float:
        """Columns multiplied for a pair, in the mean: those of the bound, and all where it does not settle the pair."""
        basis = directions[:, :size]
        fraction = np.mean(shortened(one, basis) @ shortened(other, basis).T >= limit - SLACK)
        return size + 1 + min(1, CHECK_COST * float(fraction)) * rows.dim

    costs = {0: rows.dim} | {size: cost(size) for size in sizes}
    return directions[:, : min(costs, key=costs.__getitem__)]


def leading_directions(rows: UnitRows, num_directions: int, *, num_rows: int = _SAMPLE) -> np.ndarray:
    """(D, k) orthonormal, those that hold most of a sample of rows first; k is num_directions, or less for few rows.

    num_rows: of the sample, about. By three rounds of subspace iteration: nearly the leading eigenvectors, in a tenth
    of their time.
    """
    sample = _sample(rows, 0, num_rows)
    sample = sample[np.isfinite(sample).all(axis=1)]
    directions = sample[:num_directions].T
    for _ in range(3):
        directions = np.linalg.qr(sample.T @ (sample @ directions)).Q
    return directions


def _sample(rows: UnitRows, part: int, num_rows: int = _SAMPLE) -> np.ndarray:
    """Rows from all over, num_rows or a few more where there are as many; others for part 0, 1 and 2."""
    step = max(1, len(rows) // (3 * num_rows))
    return rows[part * step :: 3 * step]


def shortened(rows: UnitRows, basis: np.ndarray) -> np.ndarray:
    """(N, k + 1): each row's coordinates in the basis and the length of the rest, whose products bound the cosines."""
    short = np.empty((len(rows), basis.shape[1] + 1), dtype=np.float32)
    for block in blocks_of(len(rows)):
        whole = rows[block]
        short[block, :-1] = inside = whole @ basis
        short[block, -1] = np.linalg.norm(whole - inside @ basis.T, axis=1)
    return short
