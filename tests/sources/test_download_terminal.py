"""What a person sees of a download on a terminal, and that nothing is shown elsewhere."""

import os
import pty
import subprocess
import sys
import termios
import zipfile
from contextlib import suppress

import pytest

from services import KAGGLE_KEY, KAGGLE_USERNAME, ROBOFLOW_KEY, Fault, Services

CODE = """
import sys
from pathlib import Path
from tandem.sources import download as downloading
from tandem.sources.transfer.attempt import Limits
kind, folder = sys.argv[1:]
asked = {"kaggle": {"dataset": "a/b", "version": 1}, "roboflow": {"project": "a/b", "version": 1, "format": "folder"}}
source = {"kind": kind, kind: asked[kind]}
downloading.download("web", source, folder=Path(folder), limits=Limits(wait_s=0.2))
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


def seen_on_a_terminal(**process):
    outer, inner = pty.openpty()
    termios.tcsetwinsize(inner, (24, 120))
    with subprocess.Popen(**process, stdout=inner, stderr=inner, stdin=inner) as child:
        os.close(inner)
        seen = b""
        with suppress(OSError):  # Linux reports the end of a terminal as an error
            while piece := os.read(outer, 4096):
                seen += piece
        os.close(outer)
    assert child.returncode == 0, seen.decode()
    return seen.decode()


@pytest.mark.parametrize("kind", ["kaggle", "roboflow"])
def test_a_terminal_shows_bytes_rate_and_the_attempt_of_a_download(services, tmp_path, kind):
    seen = seen_on_a_terminal(**command(services, kind, tmp_path / "out"))
    assert f"{kind} a/b: " in seen
    assert "/3.00M" in seen
    assert "B/s]" in seen
    assert f"{kind} a/b: the connection to " in seen
    assert "the next attempt begins in " in seen
    assert f"{kind} a/b, attempt 2: " in seen


@pytest.mark.parametrize("kind", ["kaggle", "roboflow"])
def test_a_download_is_quiet_elsewhere(services, tmp_path, kind):
    done = subprocess.run(**command(services, kind, tmp_path / "out"), capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")
