"""`tandem serve` as a process: many clients at once, its page in a browser, its end, and what prevents it."""

import io
import random
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
import requests
from PIL import Image

import browser
from tandem.inference.export import write_model
from toy_model import CARD, colors_model

COLORS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
NUM_CLIENTS, NUM_REQUESTS = 16, 1000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    write_model(colors_model(num_views=2), CARD, folder / "model.onnx")
    for name, color in COLORS.items():
        Image.new("RGB", (64, 48), color).save(folder / f"{name}.png")
    (folder / "notes.txt").write_text("no image")
    return folder


def command(*options):
    return [sys.executable, "-c", "from tandem.cli.main import app; app()", "serve", *options]


@contextmanager
def serving(folder):
    """The process, and its address."""
    process = subprocess.Popen(
        command("--port", "0"), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        line = process.stdout.readline()
        assert line.startswith("colors is served at http://127.0.0.1:"), line
        yield process, line.split()[4].rstrip("/")
    finally:
        process.kill()
        process.wait(20)
        process.stdout.close()


def upload(name, color):
    data = io.BytesIO()
    Image.new("RGB", (64, 48), color).save(data, "PNG")
    return "files", (name, data.getvalue())


GOOD = {name: upload(f"{name}.png", color) for name, color in COLORS.items()}
BAD = ("files", ("notes.txt", b"no image"))


@pytest.mark.slow
def test_1000_good_and_bad_requests_of_16_clients_have_the_right_answers_in_flat_memory(folder):
    kinds = random.Random(0).choices([*GOOD, "bad", "both"], k=NUM_REQUESTS)
    with serving(folder) as (process, url):
        served = psutil.Process(process.pid)

        def ask(kind):
            sent = {"bad": [BAD], "both": [GOOD["red"], BAD]}.get(kind) or [GOOD[kind]]
            answer = requests.post(f"{url}/predict", files=sent, timeout=60)
            while answer.status_code == 503:
                answer = requests.post(f"{url}/predict", files=sent, timeout=60)
            return answer.status_code, answer.json()

        def ask_all(some):
            with ThreadPoolExecutor(NUM_CLIENTS) as clients:
                return list(clients.map(ask, some))

        answers = ask_all(kinds[: NUM_REQUESTS // 4])
        before = served.memory_info().rss
        answers += ask_all(kinds[NUM_REQUESTS // 4 :])
        grown = served.memory_info().rss - before
    for kind, (status, body) in zip(kinds, answers, strict=True):
        if kind in GOOD:
            assert (status, body["predictions"][0]["label"]) == (200, kind)
        else:
            assert (status, body["detail"][:23]) == (400, "notes.txt: not an image")
    assert grown < 30_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="only there a process's libraries are seen without being root")
def test_what_takes_seconds_to_import_is_there_before_the_first_request(folder):
    with serving(folder) as (process, _):
        libraries = {Path(each.path).name for each in psutil.Process(process.pid).memory_maps()}
        assert "libtorch_cpu.so" in libraries


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 130)])
def test_a_signal_ends_it_and_a_request_under_way_has_its_answer(folder, number, code):
    with serving(folder) as (process, url):
        address = url.removeprefix("http://").split(":")
        body = requests.Request("POST", f"{url}/predict", files=[GOOD["blue"]]).prepare()
        with socket.create_connection((address[0], int(address[1]))) as client:
            head = "".join(f"{name}: {value}\r\n" for name, value in body.headers.items())
            client.sendall(f"POST /predict HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode() + body.body[:50])
            assert requests.get(f"{url}/health", timeout=20).ok  # so that the other one has been read, too
            process.send_signal(number)
            client.sendall(body.body[50:])
            client.settimeout(20)
            assert client.recv(20).startswith(b"HTTP/1.1 200 OK")
        assert process.wait(20) == code
        assert "Traceback" not in process.stdout.read()


def test_a_port_that_is_taken_and_a_missing_model_are_errors(folder, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(command("--port", port), cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"error: nothing can listen at 127.0.0.1 port {port}: " in done.stderr
    done = subprocess.run(command(), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: there is no model at model.onnx")


@browser.needs_browser
def test_images_are_dropped_on_the_page_and_their_predictions_are_shown(folder, tmp_path):
    with serving(folder) as (_, url), browser.at(url) as page:
        page.set_input_files("#files", [folder / "blue.png", folder / "red.png"])
        page.wait_for_selector("article:nth-of-type(2)")
        assert page.locator("article h2").all_inner_texts() == ["blue.png", "red.png"]
        assert page.locator("article .label").all_inner_texts() == ["blue", "red"]
        page.wait_for_function(EXPLAINED)
        assert page.screenshot(path=tmp_path / "page.png")
        assert len(np.unique(np.asarray(Image.open(tmp_path / "page.png")).reshape(-1, 3), axis=0)) > 50
        page.set_input_files("#files", folder / "notes.txt")
        page.wait_for_function("document.getElementById('problem').textContent.startsWith('notes.txt: not an image')")
        page.evaluate(DROP, (folder / "green.png").read_bytes().hex())
        page.wait_for_function("document.querySelector('article .label').textContent == 'green'")


EXPLAINED = (
    "[...document.querySelectorAll('article')].every(each => each.querySelector('figure img')?.naturalWidth == 448)"
)
DROP = """
hex => {
  const bytes = Uint8Array.from(hex.match(/../g), pair => parseInt(pair, 16)), data = new DataTransfer();
  data.items.add(new File([bytes], "green.png", {type: "image/png"}));
  document.getElementById("drop").dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true}));
}
"""
