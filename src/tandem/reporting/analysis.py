"""What is made of a run's facts, once for the page and the cards: slices, mistakes, licenses and speed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tandem.reporting.facts import RunFacts
from tandem.reporting.licenses import Licensing, licensing
from tandem.reporting.mistakes import Mistakes, explained, worst_mistakes
from tandem.reporting.slices import Slices, find_slices
from tandem.reporting.speed import Speed, measure_speed
from tandem.sources.receipts import NOT_STATED


@dataclass(frozen=True, eq=False)
class Analysis:
    """Of the selected model on test, and of the sources. speed: None where it was not measured."""

    slices: Slices
    mistakes: Mistakes
    licensing: Licensing
    speed: Speed | None


def analyse(facts: RunFacts, *, with_speed: bool) -> Analysis:
    """Some seconds: k-means on the features that curate uses, a map of each of the worst mistakes, and the speed.

    with_speed: whether it is measured; nothing else differs from one call to the next.
    """
    samples = facts.samples
    suggested = {row["id"]: row["suggested_label"] for row in facts.tables.label_errors if row["kind"] == "mislabeled"}
    worst = worst_mistakes(facts.predictions, samples.test, class_names=samples.class_names, suggested_labels=suggested)
    return Analysis(
        slices=find_slices(
            facts.predictions,
            samples.test,
            class_names=samples.class_names,
            measures=_measures(facts),
            features=np.asarray(facts.features[samples.test.rows]),
            seed=facts.params["evaluate"]["seed"],
        ),
        mistakes=explained(worst, facts.images, facts.exported),
        licensing=_licensing(facts),
        speed=_speed(facts) if with_speed else None,
    )


def _measures(facts: RunFacts) -> dict[str, np.ndarray]:
    test, quality = facts.samples.test, facts.quality
    measures = {name: np.array([quality[name][id_] for id_ in test.ids]) for name in ("brightness", "blur")}
    return {"shorter side (px)": facts.index.min_sides[test.rows], **measures}


def _speed(facts: RunFacts) -> Speed | None:
    images = [facts.images[id_] for id_ in facts.samples.test.ids]
    return measure_speed(facts.model_path, images) if images else None


def _licensing(facts: RunFacts) -> Licensing:
    found = {name: facts.receipts[name].licence if name in facts.receipts else NOT_STATED for name in facts.other_files}
    section: Mapping[str, Any] = facts.params.get("report") or {}
    return licensing(found, section.get("licenses") or {})
