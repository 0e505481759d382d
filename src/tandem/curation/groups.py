"""Groups of images that belong together, and those to review: very large ones, and those of several classes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import coo_matrix

_MAX_CUTS = 500  # tried in a group of several classes, the weakest first
_MIN_OVERSIZED = 11  # images; a smaller group is never too large, however few images there are
_MAX_FRACTION = 0.02  # of all images; a larger group is oversized


@dataclass(frozen=True)
class GroupToReview:
    """size: of all its images. classes: images of each. weakest: rows, smaller first, of its weakest link.

    strength: correlation of that link, in [0, 1]. parts: sizes of what the link joins. crossing: links between these
    parts, of which `weakest` is the strongest; with all of them gone the group falls apart.
    """

    size: int
    classes: dict[str, int]
    weakest: tuple[int, int]
    strength: float
    parts: tuple[int, int]
    crossing: int


def connected_components(num_rows: int, links: np.ndarray) -> np.ndarray:
    """(num_rows,) int: the smallest row of each row's connected component under links (L, 2)."""
    from scipy.sparse import csgraph  # a quarter of a second

    labels = csgraph.connected_components(_graph(num_rows, links), directed=False)[1]
    smallest = np.full(labels.max(initial=-1) + 1, num_rows)
    np.minimum.at(smallest, labels, np.arange(num_rows))
    return smallest[labels]


def merge_components(component_of: np.ndarray, links: np.ndarray) -> np.ndarray:
    """The components (N,), as connected_components gives them, that these form under further links (L, 2)."""
    earlier = np.stack([component_of, np.arange(len(component_of))], axis=1)
    return connected_components(len(component_of), np.concatenate([earlier, links]))


def oversized_or_mixed(
    group_of: np.ndarray, links: np.ndarray, *, strengths: np.ndarray, labels: Sequence[str]
) -> list[GroupToReview]:
    """Groups of more than 2 % of all images (and more than 10), and those of several classes; largest first.

    group_of: (N,) a number for each image, the same for those that the links (L, 2) connect. strengths: (L,). The
    weakest link is that of the maximum spanning tree: of all ways to cut the group in two, it is the one whose
    strongest link is weakest. Of several classes: the tree link that parts the classes best, of equals the weakest.
    """
    sizes = np.bincount(group_of, minlength=1)
    targets = np.unique(labels, return_inverse=True)[1]
    first, second = links.T
    is_mixed = np.zeros(len(sizes), dtype=bool)
    is_mixed[group_of[first][targets[first] != targets[second]]] = True
    is_oversized = (sizes >= _MIN_OVERSIZED) & (sizes > _MAX_FRACTION * len(group_of))
    found = []
    for number in np.flatnonzero(is_oversized | is_mixed).tolist():
        members, is_inside = np.flatnonzero(group_of == number), group_of[first] == number
        found.append(_describe(members, links[is_inside], strengths[is_inside], labels))
    return sorted(found, key=lambda group: (-group.size, group.weakest))


def _describe(members: np.ndarray, links: np.ndarray, strengths: np.ndarray, labels: Sequence[str]) -> GroupToReview:
    local = np.searchsorted(members, links)
    tree, tree_strengths = _spanning_tree(len(members), local, strengths)
    classes = np.array([labels[row] for row in members.tolist()])
    edge, part = _best_cut(tree, tree_strengths, classes)
    one, other = sorted(members[tree[edge]].tolist())
    return GroupToReview(
        size=len(members),
        classes=dict(sorted(Counter(classes.tolist()).items())),
        weakest=(one, other),
        strength=float(tree_strengths[edge]),
        parts=(int(part.sum()), int((~part).sum())),
        crossing=int((part[local[:, 0]] != part[local[:, 1]]).sum()),
    )


def _best_cut(tree: np.ndarray, strengths: np.ndarray, classes: np.ndarray) -> tuple[int, np.ndarray]:
    """The link of the tree to cut at, and whether each row hangs together with its first row then."""
    num_tried = _MAX_CUTS if len(set(classes.tolist())) > 1 else 1
    tried = np.argsort(strengths, kind="stable")[:num_tried].tolist()
    cuts = [(edge, _part(len(classes), tree, edge)) for edge in tried]
    return max(cuts, key=lambda cut: _purity(classes, cut[1]))


def _spanning_tree(num_rows: int, links: np.ndarray, strengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(num_rows - 1, 2) links of the maximum spanning tree, and their strengths."""
    from scipy.sparse import csgraph

    ordered = np.sort(links, axis=1)
    order = np.lexsort((-strengths, ordered[:, 1], ordered[:, 0]))
    ordered, weights = ordered[order], strengths[order]
    is_new = np.append(True, (np.diff(ordered, axis=0) != 0).any(axis=1)) & (ordered[:, 0] != ordered[:, 1])
    tree = csgraph.minimum_spanning_tree(_graph(num_rows, ordered[is_new], 2 - weights[is_new])).tocoo()
    order = np.lexsort((tree.col, tree.row))
    return np.stack([tree.row, tree.col], axis=1)[order], 2 - tree.data[order]


def _part(num_rows: int, tree: np.ndarray, edge: int) -> np.ndarray:
    """(num_rows,) whether a row hangs together with the edge's first row once the edge is gone."""
    from scipy.sparse import csgraph

    graph = _graph(num_rows, np.delete(tree, edge, axis=0)).tocsr()
    part = np.zeros(num_rows, dtype=bool)
    part[csgraph.breadth_first_order(graph, tree[edge, 0], directed=False, return_predecessors=False)] = True
    return part


def _purity(classes: np.ndarray, part: np.ndarray) -> int:
    """How many images are of the most frequent class of their part."""
    return sum(int(np.unique(side, return_counts=True)[1].max()) for side in (classes[part], classes[~part]))


def _graph(num_rows: int, links: np.ndarray, weights: np.ndarray | None = None) -> "coo_matrix":
    from scipy.sparse import coo_matrix

    values = np.ones(len(links)) if weights is None else weights
    return coo_matrix((values, tuple(links.T)), shape=(num_rows, num_rows))
