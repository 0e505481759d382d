"""What is made of a run's facts, once for the page and the cards: slices, mistakes, licences and statements."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tandem.reporting.facts import RunFacts
from tandem.reporting.licenses import Licensing, licensing
from tandem.reporting.mistakes import Mistakes, explained, worst_mistakes
from tandem.reporting.slices import Slices, find_slices
from tandem.reporting.statements import Statements, statements
from tandem.sources.receipts import NOT_STATED
from tandem.tables.features import load_features

_SEED = 0  # of k-means: the clusters are to be the same each time that a report is written


@dataclass(frozen=True, eq=False)
class Analysis:
    """All of it. said: what is known of the data in words."""

    slices: Slices
    mistakes: Mistakes
    licensing: Licensing
    said: Statements


def analyse(facts: RunFacts) -> Analysis:
    """Some seconds: k-means on the features that curate uses, and a map of each of the worst mistakes.

    Raises DamagedFileError where the features are missing.
    """
    samples = facts.samples
    suggested = {row["id"]: row["suggested_label"] for row in facts.tables.label_errors}
    worst = worst_mistakes(facts.predictions, samples.test, class_names=samples.class_names, suggested_labels=suggested)
    return Analysis(
        slices=find_slices(
            facts.predictions,
            samples.test,
            class_names=samples.class_names,
            measures=_measures(facts),
            features=_features(facts),
            seed=_SEED,
        ),
        mistakes=explained(worst, facts.images, facts.exported),
        licensing=_licensing(facts),
        said=statements(facts),
    )


def _measures(facts: RunFacts) -> dict[str, np.ndarray]:
    test, quality = facts.samples.test, facts.quality
    measures = {name: np.array([quality[name][id_] for id_ in test.ids]) for name in ("brightness", "blur")}
    return {"shorter side (px)": facts.index.min_sides[test.rows], **measures}


def _features(facts: RunFacts) -> np.ndarray:
    """(n, D) of the test images, by the frozen backbone that finds near duplicates."""
    folder = facts.data_dir / "extract" / facts.params["curate"]["backbone"]
    rows = facts.samples.test.rows
    return np.asarray(load_features(folder, ids=facts.index.ids).without_tta[rows], dtype=np.float64)


def _licensing(facts: RunFacts) -> Licensing:
    found = {name: facts.receipts[name].licence if name in facts.receipts else NOT_STATED for name in facts.other_files}
    section: Mapping[str, Any] = facts.params.get("report") or {}
    return licensing(found, section.get("licenses") or {})
