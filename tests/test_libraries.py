"""Versions as the packages state them themselves."""

import os

import numpy as np

from tandem.libraries import silence_reports, versions_of


def test_a_library_that_is_not_there_has_no_version() -> None:
    assert versions_of(["numpy", "no-such-package-of-anybody"]) == {
        "numpy": np.__version__,
        "no-such-package-of-anybody": None,
    }


def test_what_a_user_says_of_reports_stays(monkeypatch) -> None:
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    silence_reports()
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    silence_reports()
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "0"
