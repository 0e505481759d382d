"""A linear probe: multinomial logistic regression on standardised feature rows, in seconds and without a seed.

For questions about the data, such as which labels its images do not bear out; models are trained by tandem.training.heads.
"""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

_STRENGTH = (
    1e-2  # C of scikit-learn: rows have as many columns as there are rows, so a weak penalty learns them by heart
)
_MAX_ITERATIONS = 1000


def probe(x: np.ndarray, targets: np.ndarray, of: np.ndarray, *, num_classes: int) -> np.ndarray:
    """(m, C) float64 class probabilities of the rows `of` (m, D) by a probe fitted to x (n, D) and targets (n,).

    targets: class indices below num_classes, balanced by weight; a class that has no row gets probability 0. With rows
    of one class alone, that class gets 1. The same bytes whatever the number of cores.
    """
    present = np.unique(targets)
    probs = np.zeros((len(of), num_classes))
    if len(present) == 1:
        probs[:, present[0]] = 1
        return probs
    head = LogisticRegression(C=_STRENGTH, class_weight="balanced", max_iter=_MAX_ITERATIONS)
    with threadpool_limits(limits=1):
        model = make_pipeline(StandardScaler(), head).fit(np.asarray(x, dtype=np.float64), targets)
        probs[:, present] = model.predict_proba(np.asarray(of, dtype=np.float64))
    return probs
