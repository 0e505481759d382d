"""ONNX Runtime as it is started here: what is no model is said in a line, and its use is reported to nobody."""

import os
import subprocess
import sys

import pytest

from services import Services
from tandem.inference.runtime import start_session

PROGRAM = """
import os
import time
assert "ORT_DISABLE_TELEMETRY" not in os.environ
from tandem.inference.runtime import start_session
try:
    start_session(b"no model")
except ValueError:
    time.sleep(12)  # it reports after nine seconds
"""


def test_what_is_no_model_is_one_line() -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        start_session(b"no model")


@pytest.mark.slow
def test_its_use_is_not_reported_to_its_makers() -> None:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("ORT_")}
    with Services() as services:
        environ |= services.environ()
        subprocess.run([sys.executable, "-c", PROGRAM], env=environ, check=True, timeout=60)
        assert services.unexpected == []
