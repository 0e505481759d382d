"""Groups that deserve a look: very large ones, and copies under several classes, each with where it may be cut."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

_MOST_CUTS = 500  # tried in a group of several classes, the weakest first
_SMALLEST = 10  # images; a smaller group is never too large, however few images there are


@dataclass(frozen=True)
class Group:
    """size: of all its images. classes: images of each. weakest: rows, smaller first, of its weakest link.

    strength: of that link, in [0, 1]. parts: sizes of what the link joins. crossing: links between these parts, of
    which `weakest` is the strongest; with all of them gone the group falls apart.
    """

    size: int
    classes: dict[str, int]
    weakest: tuple[int, int]
    strength: float
    parts: tuple[int, int]
    crossing: int


def oversized_or_mixed(
    group_of: np.ndarray, links: np.ndarray, strengths: np.ndarray, labels: Sequence[str], *, max_share: float = 0.02
) -> list[Group]:
    """Groups of more than max_share of all images (and more than 10), and those of several classes; largest first.

    group_of: (N,) a number for each image, the same for those that the links (L, 2) connect. strengths: (L,). The
    weakest link is that of the maximum spanning tree: of all ways to cut the group in two, it is the one whose
    strongest link is weakest. Of several classes: the tree link that parts the classes best, of equals the weakest.
    """
    sizes = np.bincount(group_of, minlength=1)
    names = np.unique(labels, return_inverse=True)[1]
    is_mixed = np.zeros(len(sizes), dtype=bool)
    is_mixed[group_of[links[:, 0]][names[links[:, 0]] != names[links[:, 1]]]] = True
    wanted = np.flatnonzero((sizes > max(_SMALLEST, max_share * len(group_of))) | is_mixed)
    found = [_described(number, group_of, links, strengths, labels) for number in wanted.tolist()]
    return sorted(found, key=lambda group: (-group.size, group.weakest))


def _described(
    number: int, group_of: np.ndarray, links: np.ndarray, strengths: np.ndarray, labels: Sequence[str]
) -> Group:
    members = np.flatnonzero(group_of == number)
    inside = group_of[links[:, 0]] == number
    local = np.searchsorted(members, links[inside])
    weights = strengths[inside]
    tree, tree_weights = _spanning_tree(len(members), local, weights)
    classes = np.array([labels[int(row)] for row in members])
    tried = np.argsort(tree_weights, kind="stable")[: _MOST_CUTS if len(set(classes.tolist())) > 1 else 1].tolist()
    cuts = [_part(len(members), tree, edge) for edge in tried]
    best = max(range(len(cuts)), key=lambda cut: (_purity(classes, cuts[cut]), -cut))
    part, (one, other) = cuts[best], sorted(members[tree[tried[best]]].tolist())
    return Group(
        size=len(members),
        classes=dict(sorted(Counter(classes.tolist()).items())),
        weakest=(one, other),
        strength=float(tree_weights[tried[best]]),
        parts=(int(part.sum()), int((~part).sum())),
        crossing=int((part[local[:, 0]] != part[local[:, 1]]).sum()),
    )


def _spanning_tree(num_rows: int, links: np.ndarray, strengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(num_rows - 1, 2) links of the maximum spanning tree, and their strengths."""
    ordered = np.sort(links, axis=1)
    order = np.lexsort((-strengths, ordered[:, 1], ordered[:, 0]))
    ordered, weights = ordered[order], strengths[order]
    is_new = np.append(True, (np.diff(ordered, axis=0) != 0).any(axis=1)) & (ordered[:, 0] != ordered[:, 1])
    graph = coo_matrix((2 - weights[is_new], tuple(ordered[is_new].T)), shape=(num_rows, num_rows))
    tree = minimum_spanning_tree(graph).tocoo()
    order = np.lexsort((tree.col, tree.row))
    return np.stack([tree.row, tree.col], axis=1)[order], 2 - tree.data[order]


def _part(num_rows: int, tree: np.ndarray, edge: int) -> np.ndarray:
    """(num_rows,) whether a row hangs together with the edge's first row once the edge is gone."""
    rest = np.delete(tree, edge, axis=0)
    graph = coo_matrix((np.ones(len(rest)), tuple(rest.T)), shape=(num_rows, num_rows)).tocsr()
    part = np.zeros(num_rows, dtype=bool)
    part[breadth_first_order(graph, tree[edge, 0], directed=False, return_predecessors=False)] = True
    return part


def _purity(classes: np.ndarray, part: np.ndarray) -> int:
    """How many images are of the most frequent class of their part."""
    return sum(int(np.unique(side, return_counts=True)[1].max()) for side in (classes[part], classes[~part]))
