"""Versions as the packages state them themselves."""

import numpy as np

from tandem.libraries import versions_of


def test_a_library_that_is_not_there_has_no_version() -> None:
    assert versions_of(["numpy", "no-such-package-of-anybody"]) == {
        "numpy": np.__version__,
        "no-such-package-of-anybody": None,
    }
