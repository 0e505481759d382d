"""The worst mistakes of the selected model on test: those it was surest of, and what it looked at.

What is wrong in the model, in a label, or in the image itself shows in few images; the surest mistakes cost most where
predictions of high confidence are taken without a look (evaluation.selective). The map of each is the exported file's
(inference.explanation): by how much the log-odds of the predicted class fall without a part of the image.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tandem.errors import DataError
from tandem.evaluation.metrics import Predictions
from tandem.inference.explanation.explain import explanation_map
from tandem.inference.exported import ExportedModel
from tandem.inference.predict import predict_files
from tandem.tables.samples import Split
from tandem.types import Encoded

MAX_MISTAKES = 12  # a map of each takes 0.1 to some seconds, and as many are looked at


@dataclass(frozen=True, eq=False)
class WrongPrediction:
    """One image of test that is predicted wrong. row: in the index. actual, predicted: class names.

    confidence: the prob of the predicted class, in [0, 1]. prob_of_actual: of the class that it is labelled as.
    suggested_label: what the search for label errors suggests, "" where it lists the image not. view: (s, s, 3) uint8,
    the image as the model sees it; explanation: (s, s) float32, its map; None without a map.
    """

    row: int
    id: str
    source: str
    actual: str
    predicted: str
    confidence: float
    prob_of_actual: float
    suggested_label: str
    view: np.ndarray | None = None
    explanation: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Mistakes:
    """worst: the surest first. num_wrong: how many there are on test. without_maps: why there are none, "" otherwise.

    To draw one: inference.explanation.drawing.draw_explanation(view, explanation) is the image and beside it the image
    under its map; without a map, the stored image of its row. Below it: "predicted `predicted`, 93 % sure; labelled
    `actual`", and where suggested_label is the predicted class, that the label may be what is wrong.
    """

    worst: tuple[WrongPrediction, ...]
    num_wrong: int
    without_maps: str = ""


def worst_mistakes(
    predictions: Predictions,
    test: Split,
    *,
    class_names: Sequence[str],
    suggested_labels: Mapping[str, str],
    limit: int = MAX_MISTAKES,
) -> Mistakes:
    """The `limit` most confident of the wrong predictions of test, without maps; of equal ones the first.

    suggested_labels: image id -> the class that the search for label errors suggests.
    """
    wrong = np.flatnonzero(~predictions.is_right)
    order = wrong[np.argsort(-predictions.confidence[wrong], kind="stable")][:limit]
    worst = (
        WrongPrediction(
            row=int(test.rows[position]),
            id=test.ids[position],
            source=str(test.sources[position]),
            actual=class_names[predictions.targets[position]],
            predicted=class_names[predictions.predicted[position]],
            confidence=float(predictions.confidence[position]),
            prob_of_actual=float(predictions.probs[position, predictions.targets[position]]),
            suggested_label=suggested_labels.get(test.ids[position], ""),
        )
        for position in order.tolist()
    )
    return Mistakes(tuple(worst), len(wrong))


def explained(mistakes: Mistakes, images: Mapping[str, Encoded], exported: ExportedModel | None) -> Mistakes:
    """The same with the exported model's maps, of the classes that were predicted; where there are none, it says why.

    images: id -> the stored image. None is a model that was not exported.
    """
    if exported is None:
        return replace(mistakes, without_maps="no model was exported")
    names, found = exported.card.class_names, list[WrongPrediction]()
    encoded = [images[each.id] for each in mistakes.worst]
    for each, seen in zip(
        mistakes.worst, predict_files(encoded, exported, batch_size=len(encoded) or 1, workers=1), strict=True
    ):
        if seen.view is None:
            return replace(mistakes, without_maps=f"image {each.id} cannot be read any more: {seen.failure}")
        try:
            of_class = explanation_map(exported, seen.view, names.index(each.predicted))
        except DataError as error:
            return replace(mistakes, without_maps=str(error))
        found.append(replace(each, view=seen.view, explanation=of_class))
    return replace(mistakes, worst=tuple(found))
