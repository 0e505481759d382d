"""The Dockerfile, whose steps are run here one by one: in a folder and a Python of their own instead of a container."""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import requests
from packaging.utils import canonicalize_name
from PIL import Image
from uv import find_uv_bin

from dockerfile import COMMAND, HEALTHCHECK, INSTRUCTIONS, copied, value_of
from pages import ROOT, text_of
from tandem.images.transforms import load_transformed
from tandem.inference.export import write_model
from tandem.inference.exported import load_exported
from toy_model import CARD, colors_model

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder that the steps have filled, a model in it, and the environment of its processes."""
    folder, python = tmp_path_factory.mktemp("container"), tmp_path_factory.mktemp("python")
    subprocess.run([find_uv_bin(), "venv", "--quiet", "--clear", "--python", sys.executable, python], check=True)
    (python / "bin/pip").write_text(f'#!/bin/sh\nexec {find_uv_bin()} pip "$@"\n')  # the same, in a third of the time
    (python / "bin/pip").chmod(0o755)
    environ = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environ |= {"PATH": f"{python}/bin:{os.environ['PATH']}", "VIRTUAL_ENV": str(python)}
    for name, value in INSTRUCTIONS:
        if name == "COPY":
            copy(*shlex.split(value), folder=folder)
        elif name == "RUN":
            subprocess.run(value, shell=True, check=True, cwd=folder, env=environ)
    write_model(colors_model(num_views=2), CARD, folder / "model.onnx")
    Image.new("RGB", (40, 30), "green").save(folder / "green.png")
    return SimpleNamespace(folder=folder, environ=environ)


def copy(*sources, folder):
    """As COPY does it: files into a folder, and what is in a folder."""
    *sources, destination = sources
    (folder / destination if destination.endswith("/") else folder).mkdir(parents=True, exist_ok=True)
    for source in sources:
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, folder / destination, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, folder / destination)


def run(built, command):
    return subprocess.run(command, cwd=built.folder, env=built.environ, capture_output=True, text=True, timeout=120)


@contextmanager
def served(built, command):
    process = subprocess.Popen(command, cwd=built.folder, env=built.environ, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline().startswith("colors is served at http://0.0.0.0:")
        yield
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()


def pins(text):
    """(name, version) of each package that lines name."""
    found = re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)
    return {(canonicalize_name(name), version) for name, version in found}


def at_port(words, port):
    return [word.replace(value_of("EXPOSE"), port) for word in words]


def expected(built):
    """The probabilities of its image, by torch."""
    pixels = load_transformed(
        (built.folder / "green.png").read_bytes(), size_px=16, resize="squash", interpolation="bilinear", tta_views=2
    )
    probs = load_exported(built.folder / "model.onnx").probs(pixels)[0]
    return pytest.approx(dict(zip(CARD.class_names, probs.tolist(), strict=True)))


def test_its_command_serves_predictions_and_its_health_check_tells_whether_it_does(built):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    health_check = at_port(HEALTHCHECK, port)
    assert run(built, health_check).returncode == 1
    with served(built, at_port(COMMAND, port)):
        assert run(built, health_check).returncode == 0
        upload = ("files", ("green.png", (built.folder / "green.png").read_bytes()))
        answer = requests.post(f"http://127.0.0.1:{port}/predict", files=[upload], timeout=60)
    [found] = answer.json()["predictions"]
    assert found["probs"] == expected(built)


def test_many_files_are_predicted_without_torch_as_well(built):
    assert run(built, ["python", "-c", "import torch"]).stderr.endswith("No module named 'torch'\n")
    done = run(built, ["tandem", "predict", "--json", "--top-k", "3", *["green.png"] * 500])
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 500
    assert rows[-1]["probs"] == expected(built)


def test_it_installs_the_versions_of_the_lock_and_nothing_beside_them(built):
    installed = pins(run(built, ["pip", "freeze"]).stdout)
    assert len(installed) > 12
    assert installed <= pins(text_of(ROOT / "requirements.lock"))


def test_nothing_but_what_it_copies_is_sent_to_the_build():
    sent = {line[1:] for line in text_of(ROOT / ".dockerignore").splitlines() if line.startswith("!")}
    assert sent == set(copied())


def test_it_ends_as_a_user_without_rights():
    names = [name for name, _ in INSTRUCTIONS]
    assert value_of("USER") not in ("root", "0")
    assert "RUN" not in names[names.index("USER") :]
