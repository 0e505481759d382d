"""What a download shows on a terminal, and that it shows nothing elsewhere."""

import os
import subprocess
import sys
import zipfile

import pytest

from services import KAGGLE_KEY, KAGGLE_USERNAME, ROBOFLOW_KEY, Fault, Services
from terminal import output_on_a_terminal

CODE = """
import sys
from pathlib import Path
from tandem.sources.download import download
from tandem.sources.settings import KaggleSource, RoboflowSource, Source
from tandem.sources.transfer.attempt import Limits
kind, folder = sys.argv[1:]
description = {"kaggle": KaggleSource("a/b", version=1), "roboflow": RoboflowSource("a/b", version=1, format="folder")}
source = Source(kind=kind, format="auto", **{kind: description[kind]})
download("web", source, folder=Path(folder), limits=Limits(wait_s=0.2))
"""


@pytest.fixture
def services(zipped_images):
    with Services() as services:
        services.add_kaggle("a/b", version=1, archive=zipped_images)
        services.add_roboflow("a/b", version=1, fmt="folder", archive=zipped_images)
        for kind in ("kaggle", "roboflow"):
            services.faults.append(Fault(f"{kind}.storage", cut=0.5, times=1))
            services.faults.append(Fault(f"{kind}.storage", trickle=(400_000, 0.15)))
        yield services


@pytest.fixture
def zipped_images(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("car/1.jpg", os.urandom(3_000_000))
    return tmp_path / "a.zip"


def command(services, kind, folder):
    keys = {"KAGGLE_USERNAME": KAGGLE_USERNAME, "KAGGLE_KEY": KAGGLE_KEY, "ROBOFLOW_API_KEY": ROBOFLOW_KEY}
    environment = os.environ | services.environ() | keys | {"HOME": str(folder)}
    return {"args": [sys.executable, "-c", CODE, kind, str(folder)], "env": environment}


@pytest.mark.parametrize("kind", ["kaggle", "roboflow"])
def test_a_terminal_shows_bytes_rate_and_the_attempt_of_a_download(services, tmp_path, kind):
    output = output_on_a_terminal(**command(services, kind, tmp_path / "out"))
    assert f"{kind} a/b: " in output
    assert "/3.00M" in output
    assert "B/s]" in output
    assert f"{kind} a/b: the connection to " in output
    assert "the next attempt begins in " in output
    assert f"{kind} a/b, attempt 2: " in output


@pytest.mark.parametrize("kind", ["kaggle", "roboflow"])
def test_a_download_is_quiet_elsewhere(services, tmp_path, kind):
    done = subprocess.run(**command(services, kind, tmp_path / "out"), capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")
