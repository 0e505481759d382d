"""What a run says of its OOD detectors, for the metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np

from tandem.evaluation.bootstrap import group_mean_interval
from tandem.evaluation.conformal import is_ood, ood_threshold
from tandem.evaluation.settings import EvaluateSettings
from tandem.ood.detector import joined_scores
from tandem.ood.held_out_class import held_out_class_scores, mean_over_classes
from tandem.ood.settings import OodSettings
from tandem.tables.samples import Samples


def ood_summary(
    distances: Mapping[str, np.ndarray],
    samples: Samples,
    *,
    model: str,
    read_by_model: Sequence[str],
    settings: OodSettings,
    evaluate: EvaluateSettings,
) -> dict[str, object]:
    """Of the selected model: how many test images are flagged, and how well each class would be told if it was unseen.

    distances: backbone -> (N, C), see OodDetector.distances. read_by_model: the backbones that the model reads.
    """
    of_model = {name: distances[name] for name in read_by_model}
    scores, val, test = joined_scores(list(of_model.values())), samples.val, samples.test
    threshold = ood_threshold(scores[val.rows], val.groups, false_alarm_rate=settings.false_alarm_rate)
    flagged = is_ood(scores[test.rows], threshold).astype(np.float64)
    false_alarms = group_mean_interval(flagged, test.groups, num_resamples=evaluate.num_resamples, seed=evaluate.seed)
    rate = settings.false_alarm_rate
    classes = held_out_class_scores(of_model, samples, false_alarm_rate=rate)
    return {
        "model": model,
        "backbones": list(read_by_model),
        "threshold": threshold,
        "false_alarm_rate": {"wanted": rate, **asdict(false_alarms)},
        "leave_one_class_out": {
            **mean_over_classes(classes),
            "classes": {name: asdict(each) for name, each in classes.items()},
            "backbones": {
                name: mean_over_classes(held_out_class_scores({name: each}, samples, false_alarm_rate=rate))
                for name, each in distances.items()
            },
        },
    }


def ood_in_words(summary: Mapping[str, object]) -> str:
    """What the stage ends with."""
    found = summary["false_alarm_rate"]
    assert isinstance(found, Mapping)
    return f"{100 * found['value']:.1f} % of test images flagged as being of no class"
