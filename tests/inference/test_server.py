"""The server's answers, over real HTTP: predictions, and one sentence where a request cannot be answered."""

import io
import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import requests
import uvicorn
from PIL import Image

from tandem.images.transforms import load_transformed
from tandem.inference.explanation.drawing import draw_explanation
from tandem.inference.explanation.explain import explanation_map
from tandem.inference.exported import load_exported
from tandem.inference.serving.server import SERVER_LIMITS, create_app

LIMITS = replace(SERVER_LIMITS, max_bytes=400_000, max_images=4, max_pixels=90_000)
COLORS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


def encoded(color, size=(40, 30), kind="PNG"):
    data = io.BytesIO()
    Image.new("RGB", size, color).save(data, kind)
    return data.getvalue()


def noise(size):
    """As many bytes as pixels need: nothing can be compressed."""
    data = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)).save(data, "PNG")
    return data.getvalue()


@contextmanager
def served(app):
    """The address at which an application answers."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    end = time.monotonic() + 20
    while not server.started and time.monotonic() < end:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def url(exported):
    with served(create_app(load_exported(exported), limits=LIMITS)) as url:
        yield url


def sent(url, *named):
    return requests.post(f"{url}/predict", files=[("files", pair) for pair in named], timeout=20)


def figures(url):
    lines = requests.get(f"{url}/metrics", timeout=20).text.splitlines()
    return {name: float(value) for name, value in (line.split() for line in lines if not line.startswith("#"))}


def test_images_have_their_predictions_in_order(url, exported):
    answer = sent(url, *((f"{name}.png", encoded(COLORS[name])) for name in ("blue", "red", "green")))
    assert answer.status_code == 200
    found = answer.json()["predictions"]
    assert [(each["name"], each["label"]) for each in found] == [(f"{n}.png", n) for n in ("blue", "red", "green")]
    pixels = load_transformed(
        encoded(COLORS["blue"]), size_px=16, resize="squash", interpolation="bilinear", tta_views=2
    )
    expected = load_exported(exported).probs(pixels)[0]
    assert [found[0]["probs"][name] for name in COLORS] == pytest.approx(expected.tolist())
    assert (found[0]["reject"], found[0]["confidence"]) == (False, pytest.approx(expected.max()))


def test_a_query_takes_top_k_and_nothing_else(url):
    pair = ("files", ("red.png", encoded(COLORS["red"])))
    first = requests.post(f"{url}/predict?top_k=2", files=[pair], timeout=20).json()["predictions"][0]
    assert next(iter(first["probs"])) == "red" and len(first["probs"]) == 2
    for query, words in (
        ("top_k=0", "top_k: Input should be greater than or equal to 1"),
        ("topk=2", "topk: Extra inputs"),
    ):
        answer = requests.post(f"{url}/predict?{query}", files=[pair], timeout=20)
        assert answer.status_code == 422
        assert answer.json()["detail"].startswith(words)
        assert answer.json()["detail"].endswith("; correct what follows ? in the address")


def test_a_file_is_called_by_its_own_name(url):
    boundary = "frontier"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="a %22b%22 é.png"\r\n\r\n'.encode()
    body = head + encoded(COLORS["red"]) + f"\r\n--{boundary}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    answer = requests.post(f"{url}/predict", data=body, headers=kind, timeout=20)
    assert [each["name"] for each in answer.json()["predictions"]] == ['a "b" é.png']


def explained(url, name, data):
    return requests.post(f"{url}/explain", files={"file": (name, data)}, timeout=60)


def test_an_image_is_drawn_beside_what_its_prediction_rests_on(url, exported):
    answer = explained(url, "red.png", encoded(COLORS["red"]))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    model, views = load_exported(exported), np.full((16, 16, 3), COLORS["red"], np.uint8)
    with Image.open(io.BytesIO(answer.content)) as drawn:
        assert np.array_equal(np.asarray(drawn), draw_explanation(views, explanation_map(model, views, 0)))


def test_what_cannot_be_explained_says_why_in_one_sentence(url, monkeypatch):
    assert explained(url, "text.png", b"no image").json()["detail"].startswith("text.png: not an image in a known")
    large = explained(url, "large.png", encoded(COLORS["red"], (301, 300)))
    assert (large.status_code, list(large.json())) == (413, ["detail"])
    assert requests.post(f"{url}/explain", timeout=20).json()["detail"].startswith("file: Field required")
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    missing = explained(url, "red.png", encoded(COLORS["red"]))
    assert missing.status_code == 501
    assert missing.json()["detail"].startswith("an explanation needs Captum and torch, and ")


def test_an_explanation_takes_no_query(url):
    pair = ("file", ("red.png", encoded(COLORS["red"])))
    answer = requests.post(f"{url}/explain?top_k=1", files=[pair], timeout=20)
    assert answer.status_code == 422
    assert answer.json() == {"detail": "top_k: Extra inputs are not permitted; correct what follows ? in the address"}


def test_there_is_one_explanation_at_a_time(url, monkeypatch):
    is_started, may_end = threading.Event(), threading.Event()

    def slow(_model, _views):
        is_started.set()
        may_end.wait(20)
        return b""

    monkeypatch.setattr("tandem.inference.serving.server._explanation", slow)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(explained, url, "red.png", encoded(COLORS["red"]))
        is_started.wait(20)
        second = explained(url, "red.png", encoded(COLORS["red"]))
        may_end.set()
        assert (first.result().status_code, second.status_code, second.headers["retry-after"]) == (200, 503, "1")


def test_an_uncertain_prediction_is_left_to_a_person(url):
    [found] = sent(url, ("gray.jpg", encoded((100, 100, 100), kind="JPEG"))).json()["predictions"]
    assert found["reject"] is True


def test_an_image_of_no_class_is_flagged_and_has_every_class_in_its_set(url):
    found = sent(url, ("gray.png", encoded((100, 100, 100))), ("red.png", encoded(COLORS["red"]))).json()["predictions"]
    assert [each["none_of_these"] for each in found] == [True, False]
    assert [sorted(each["set"]) for each in found] == [sorted(COLORS), ["red"]]
    assert found[0]["ood_score"] == pytest.approx((1 - 3**-0.5 - 0.1) / 0.1, abs=0.01)


@pytest.mark.parametrize(
    ("named", "status", "detail"),
    [
        ([("notes.txt", b"no image")], 400, "notes.txt: not an image in a known format"),
        ([("cut.png", encoded(COLORS["red"])[:60])], 400, "cut.png: the image's data ends early or is corrupt"),
        ([("empty.png", b"")], 400, "empty.png: the file is empty"),
        ([("large.png", encoded(COLORS["red"], (301, 300)))], 413, "large.png: 301 x 300 pixels; at most 90000"),
        ([("large.jpg", encoded(COLORS["red"], (301, 300), "JPEG"))], 413, "large.jpg: 301 x 300 pixels; at most"),
        ([(f"{n}.png", encoded(COLORS["red"])) for n in range(5)], 422, "files: List should have at most 4 items"),
        ([("big.png", noise((400, 400)))], 413, "the request is larger than 400000 bytes; send fewer or smaller"),
    ],
    ids=["text", "cut", "empty", "pixels", "pixels of a JPEG", "images", "bytes"],
)
def test_a_request_that_cannot_be_answered_says_why_in_one_sentence(url, named, status, detail):
    answer = sent(url, *named)
    assert answer.status_code == status
    assert list(answer.json()) == ["detail"]
    assert answer.json()["detail"].startswith(detail)


# Starlette leaves the temporary file of what came to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_body_without_a_stated_length_is_cut_off_as_well(url):
    boundary = "b0undary"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'.encode()

    def body():
        yield head
        for _ in range(1000):
            yield bytes(10_000)

    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    answer = requests.post(f"{url}/predict", data=body(), headers=kind, timeout=20)
    assert (answer.status_code, answer.json()["detail"][:30]) == (413, "the request is larger than 400")


@pytest.mark.parametrize("given", [{}, {"files": {"image": ("a.png", encoded(COLORS["red"]))}}, {"json": {"a": 1}}])
def test_a_request_without_images_says_what_to_send(url, given):
    answer = requests.post(f"{url}/predict", **given, timeout=20)
    assert answer.status_code == 422
    assert answer.json()["detail"] == "files: Field required; send images as the form field of that name"


@pytest.mark.parametrize(
    ("method", "path", "given", "status"),
    [
        ("GET", "/nowhere", {}, 404),
        ("GET", "/predict", {}, 405),
        ("GET", "/health", {"data": bytes(LIMITS.max_bytes + 1)}, 413),
    ],
)
def test_what_is_no_operation_and_what_is_too_large_for_any_is_answered_in_the_same_shape(
    url, method, path, given, status
):
    answer = requests.request(method, f"{url}{path}", **given, timeout=20)
    assert (answer.status_code, list(answer.json())) == (status, ["detail"])


def test_health_version_and_the_description_of_the_interface(url, exported):
    assert requests.get(f"{url}/health", timeout=20).json() == {"status": "ok"}
    found = requests.get(f"{url}/version", timeout=20).json()
    assert (found["sha256"], found["card"]["class_names"]) == (load_exported(exported).sha256, list(COLORS))
    described = requests.get(f"{url}/openapi.json", timeout=20).json()["paths"]
    assert set(described) == {"/predict", "/explain", "/health", "/version", "/metrics"}
    assert set(described["/predict"]["post"]["responses"]) == {"200", "400", "413", "422", "503"}
    assert set(described["/metrics"]["get"]["responses"]["200"]["content"]) == {"text/plain"}
    assert requests.get(f"{url}/docs", timeout=20).status_code == 200


def test_answers_are_as_the_description_says_for_requests_that_schemathesis_generates(url, tmp_path):
    """All of its checks: no 5xx, documented codes, types and bodies, and what fits the description is accepted."""
    before = figures(url)["tandem_images_total"]
    options = "--seed 0 --max-examples 10 --generation-database none --suppress-health-check all --request-timeout 60"
    done = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", *options.split()],
        cwd=tmp_path,
        env={**os.environ, "SCHEMATHESIS_HOOKS": str(Path(__file__).parents[1] / "generated_uploads.py")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Tested: 5\n" in done.stdout  # operations
    assert figures(url)["tandem_images_total"] > before  # some requests reach the model


def test_figures_for_monitoring_count_images_failures_and_seconds(url):
    before = figures(url)
    sent(url, *((f"{n}.png", encoded(COLORS["red"])) for n in range(3)))
    sent(url, ("notes.txt", b"no image"))
    after = figures(url)
    grown = {name: after[name] - before[name] for name in after if "_total" in name or name.endswith("_count")}
    assert grown == {
        "tandem_images_total": 3,
        "tandem_failed_requests_total": 1,
        "tandem_request_seconds_count": 2,
    }


def test_more_requests_than_are_handled_at_once_are_told_to_come_again(exported):
    app = create_app(load_exported(exported), limits=replace(LIMITS, max_requests=1, batch_wait_s=2.0))
    with served(app) as url, ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(lambda _: sent(url, ("red.png", encoded(COLORS["red"]))), range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 503, 503, 503]
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert refused.json()["detail"] == "too many requests at once; try again in a moment"
    assert refused.headers["Retry-After"] == "1"
