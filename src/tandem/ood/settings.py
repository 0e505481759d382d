"""`ood` in params.yaml: when an image counts as one of none of the classes."""

from dataclasses import dataclass

from tandem.types import ProperFraction, Section


@dataclass(frozen=True)
class OodSettings(Section):
    """false_alarm_rate: of images that are of a class, the fraction that may be flagged as being of none."""

    false_alarm_rate: ProperFraction
