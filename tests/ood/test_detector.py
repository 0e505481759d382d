"""Distances to class means against a loop, and what is kept of them."""

import numpy as np
import pytest

from factories import samples_of
from tandem.errors import DamagedFileError
from tandem.ood.detector import (
    OodDetector,
    fit_detector,
    fit_detectors,
    joined_scores,
    load_detector,
    load_ood_scores,
    normalized,
    save_detectors,
    unit_features,
)
