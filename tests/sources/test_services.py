"""The mock servers answer the unmodified clients, and each fault does on the wire what it says."""

import base64
import hashlib
import http.client
import json
import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import google_crc32c
import pytest

from services import (
    KAGGLE_KEY,
    KAGGLE_TOKEN,
    KAGGLE_USERNAME,
    PORTAL,
    ROBOFLOW_KEY,
    STORAGE_SIGNATURE,
    Fault,
    Services,
    error,
    zipped,
)

REF = "wanda/fruit"
PROJECT = "orchard/fruit"
RPC = "/api/v1/datasets.DatasetApiService"
LEGACY = {"KAGGLE_USERNAME": KAGGLE_USERNAME, "KAGGLE_KEY": KAGGLE_KEY}
AUTHORIZED = {"Authorization": f"Bearer {KAGGLE_TOKEN}", "Content-Type": "application/json"}


MEMBERS = {f"train/apple/{number}.jpg": random.Random(number).randbytes(9000) for number in range(3)}
ARCHIVE = zipped(MEMBERS)


@pytest.fixture
def services():
    """With two versions at Kaggle and two formats at Roboflow; a test in which something unexpected came fails."""
    with Services() as services:
        services.add_kaggle(REF, version=3, archive=ARCHIVE)
        services.add_kaggle(REF, version=4, archive=zipped({"new": b"4"}), licence="MIT")
        services.add_roboflow(PROJECT, version=2, fmt="folder", archive=ARCHIVE)
        services.add_roboflow(PROJECT, version=2, fmt="coco", archive=zipped({"coco": b"1"}))
        yield services
    assert services.unexpected == []


def run_client(services, home, code, credentials):
    """What the child wrote to stdout; it sees nothing of this process's environment."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)} | services.environ() | credentials
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=home, capture_output=True, encoding="utf-8", timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def ask(services, method, path, *, headers=(), body=None, timeout_s=5.0):
    with closing(http.client.HTTPConnection(urlsplit(services.url).netloc, timeout=timeout_s)) as connection:
        connection.request(method, path, body=body, headers=dict(headers))
        with connection.getresponse() as answer:
            yield answer


def call(services, method, headers=AUTHORIZED, **fields):
    owner, slug = REF.split("/")
    body = json.dumps({"ownerSlug": owner, "datasetSlug": slug} | fields)
    return ask(services, "POST", f"{RPC}/{method}", headers=headers, body=body)


def signed_path(services, version=3):
    """Of the archive in the storage, as the service states it."""
    with call(services, "DownloadDataset", datasetVersionNumber=version) as answer:
        location = urlsplit(answer.headers["Location"])
    return f"{location.path}?{location.query}"


def fetch(services, *faults, **options):
    """The storage's answer to a request that meets these faults."""
    path = signed_path(services)
    services.faults[:] = faults
    return ask(services, "GET", path, **options)


def test_the_kaggle_client_downloads_the_pinned_version_and_reads_about_it(services, tmp_path):
    code = f"""
import json
from kaggle.api.kaggle_api_extended import KaggleApi
from kagglesdk.datasets.types.dataset_api_service import ApiGetDatasetRequest
api = KaggleApi()
api.authenticate()
api.dataset_download_files("{REF}/3", path="here", quiet=True)
api.dataset_metadata("{REF}", "here")
files = api.dataset_list_files("{REF}/3", page_size=2)
more = api.dataset_list_files("{REF}/3", page_token=files.next_page_token)
request = ApiGetDatasetRequest()
request.owner_slug, request.dataset_slug = "{REF}".split("/")
with api.build_kaggle_client() as client:
    about = client.datasets.dataset_api_client.get_dataset(request)
print(json.dumps({{
    "status": json.loads(api.dataset_status("{REF}", format="json")),
    "files": [file.name for file in files.files + more.files],
    "versions": [version.version_number for version in about.versions],
    "about": [about.title, about.license_name, about.total_bytes, about.last_updated.isoformat()],
}}))
"""
    printed = json.loads(run_client(services, tmp_path, code, LEGACY).splitlines()[-1])
    assert (tmp_path / "here" / "fruit.zip").read_bytes() == ARCHIVE
    metadata = json.loads((tmp_path / "here" / "dataset-metadata.json").read_text(encoding="utf-8"))
    assert metadata["info"]["licenses"] == [{"name": "MIT"}]
    assert printed["status"] == {"status": "ready", "current_version_number": 4}
    assert printed["files"] == list(MEMBERS)
    assert printed["versions"] == [4, 3]
    assert printed["about"] == [
        "Title of wanda/fruit",
        "MIT",
        len(zipped({"new": b"4"})),
        "2024-05-06T07:08:09.123000",
    ]
    (download,) = services.asked("kaggle.download")
    assert json.loads(download.body)["datasetVersionNumber"] == 3
    assert download.headers["host"] == "localhost"
    (storage,) = services.asked("kaggle.storage")
    assert storage.query["X-Goog-Signature"] == STORAGE_SIGNATURE
    assert "authorization" not in storage.headers


def test_the_kaggle_client_resumes_after_a_cut_with_a_token(services, tmp_path):
    big = random.Random(0).randbytes(3 << 20)
    services.add_kaggle("wanda/big", version=1, archive=big)
    services.faults.append(Fault("kaggle.storage", times=1, cut=0.5, reset=True))
    code = """
from kaggle.api.kaggle_api_extended import KaggleApi
api = KaggleApi()
api.authenticate()
api.dataset_download_files("wanda/big/1", path="here")
"""
    run_client(services, tmp_path, code, {"KAGGLE_API_TOKEN": KAGGLE_TOKEN})
    assert (tmp_path / "here" / "big.zip").read_bytes() == big
    assert [each.headers.get("range") for each in services.asked("kaggle.storage")] == [None, "bytes=1048576-"]
    assert {each.headers["authorization"] for each in services.asked("kaggle.download")} == {f"Bearer {KAGGLE_TOKEN}"}


def test_the_roboflow_client_downloads_and_unpacks(services, tmp_path):
    code = f"""
import roboflow
workspace, project = "{PROJECT}".split("/")
roboflow.Roboflow().workspace().project(project).version(2).download("folder", "here")
roboflow.Roboflow().project("{PROJECT}").version(2).download("coco", "there")
"""
    run_client(services, tmp_path, code, {"ROBOFLOW_API_KEY": ROBOFLOW_KEY})
    for name, content in MEMBERS.items():
        assert (tmp_path / "here" / name).read_bytes() == content
    assert (tmp_path / "there" / "coco").read_bytes() == b"1"
    kinds = [each.kind.removeprefix("roboflow.") for each in services.log]
    assert kinds[:8] == ["key", "workspace", "project", "project", "version", "export", "link", "storage"]
    assert kinds[8:] == ["key", "project", "project", "version", "export", "link", "storage"]


def test_the_storage_states_what_google_cloud_storage_states(services):
    with fetch(services) as answer:
        assert answer.read() == ARCHIVE
    headers = answer.headers
    digests = {
        "crc32c": google_crc32c.Checksum(ARCHIVE).digest(),
        "md5": hashlib.md5(ARCHIVE).digest(),
    }
    stated = [f"{name}={base64.b64encode(digest).decode()}" for name, digest in digests.items()]
    assert headers.get_all("x-goog-hash") == stated
    assert headers["ETag"] == f'"{hashlib.md5(ARCHIVE).hexdigest()}"'
    assert headers["Content-Length"] == str(len(ARCHIVE))
    assert headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize(
    ("wanted", "if_range", "status", "content_range", "part"),
    [
        ("bytes=1000-", "ETag", 206, f"bytes 1000-{len(ARCHIVE) - 1}/{len(ARCHIVE)}", slice(1000, None)),
        ("bytes=10-19", "Last-Modified", 206, f"bytes 10-19/{len(ARCHIVE)}", slice(10, 20)),
        ("bytes=1000-", '"another"', 200, None, slice(None)),
    ],
)
def test_a_range_is_answered_while_the_object_is_the_same(services, wanted, if_range, status, content_range, part):
    with fetch(services) as whole:
        headers = {"Range": wanted, "If-Range": whole.headers.get(if_range, if_range)}
    with fetch(services, headers=headers) as answer:
        assert (answer.status, answer.headers["Content-Range"]) == (status, content_range)
        assert answer.read() == ARCHIVE[part]


def test_a_range_past_the_end_is_refused(services):
    with fetch(services, headers={"Range": f"bytes={len(ARCHIVE)}-"}) as answer:
        assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{len(ARCHIVE)}")


def test_a_wrong_signature_is_refused(services):
    with ask(services, "GET", "/kaggle-data-sets/wanda/fruit/3/archive.zip?X-Goog-Signature=0") as answer:
        assert answer.status == 403
        assert b"<Code>Forbidden</Code>" in answer.read()


@pytest.mark.parametrize(
    ("headers", "fields", "status"),
    [
        ({"Authorization": "Bearer KGAT_stale"}, {}, 401),
        ({}, {}, 401),
        (AUTHORIZED, {"datasetVersionNumber": 9}, 404),
        (AUTHORIZED, {"datasetSlug": "vegetables"}, 404),
        (AUTHORIZED, {}, 302),
    ],
)
def test_kaggle_refuses_in_json(services, headers, fields, status):
    with call(services, "DownloadDataset", headers, **fields) as answer:
        assert answer.status == status
        if status == 302:
            assert "/4/archive.zip" in answer.headers["Location"]
        else:
            assert json.loads(answer.read())["code"] == status


@pytest.mark.parametrize(("token", "active"), [(KAGGLE_TOKEN, True), ("KGAT_stale", False)])
def test_a_token_is_checked(services, token, active):
    path = "/api/v1/security.OAuthService/IntrospectToken"
    with ask(services, "POST", path, body=json.dumps({"token": token})) as answer:
        assert json.loads(answer.read())["active"] == active


@pytest.mark.parametrize(
    ("path", "key", "status", "text"),
    [
        (f"/rf/{PROJECT}", "wrong", 401, "This API key does not exist"),
        ("/rf/orchard/vegetables", ROBOFLOW_KEY, 404, "orchard/vegetables"),
        (f"/rf/{PROJECT}/9", ROBOFLOW_KEY, 404, "9 does not exist"),
        (f"/rf/{PROJECT}/2/yolov99", ROBOFLOW_KEY, 400, "folder, coco"),
    ],
)
def test_roboflow_refuses_in_json(services, path, key, status, text):
    with ask(services, "GET", f"{path}?api_key={key}") as answer:
        assert answer.status == status
        assert text in json.loads(answer.read())["error"]["message"]


def test_a_format_without_an_archive_never_gets_ready(services):
    services.add_roboflow(PROJECT, version=1, fmt="folder", archive=ARCHIVE, exports=["folder", "voc"])
    with ask(services, "GET", f"/rf/{PROJECT}/1/voc?api_key={ROBOFLOW_KEY}") as answer:
        assert (answer.status, json.loads(answer.read())) == (202, {"progress": 0.5})


def test_faults_count_the_requests_of_their_kind(services):
    services.faults += [
        Fault("roboflow.key", after=1, times=2, status=503),
        Fault("roboflow.key", after=2, times=2, status=429, headers={"Retry-After": "1"}),
        Fault("kaggle", status=500),
    ]
    answers = []
    for _ in range(5):
        with ask(services, "POST", f"/rf/?api_key={ROBOFLOW_KEY}") as answer:
            answers.append((answer.status, answer.headers["Retry-After"]))
    assert answers == [(200, None), (503, None), (503, None), (429, "1"), (200, None)]
    assert len(services.asked("roboflow")) == 5


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("kaggle.storage", "<?xml version='1.0' encoding='UTF-8'?><Error><Code>ServiceUnavailable</Code>"),
        ("kaggle.files", '{"code": 503, "message": "Service Unavailable"}'),
        ("roboflow.project", '{"error": {"message": "Service Unavailable", "status": 503}}'),
        ("roboflow.link", "Service Unavailable"),
    ],
)
def test_each_service_says_in_its_own_words_that_it_fails(kind, body):
    assert error(kind, 503).body.decode().startswith(body)


def test_a_page_or_another_body_comes_in_place_of_the_true_one(services):
    with fetch(services, Fault("kaggle.storage", html=True)) as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert answer.read() == PORTAL
    services.faults[:] = [Fault("kaggle.download", body=b"null")]
    with call(services, "DownloadDataset") as answer:
        assert (answer.status, answer.headers["Location"], answer.read()) == (200, None, b"null")
        assert answer.headers["Content-Type"] == "application/json"


def test_a_byte_is_flipped_and_the_headers_are_of_the_true_body(services):
    with fetch(services, Fault("kaggle.storage", flip=True)) as answer:
        body = answer.read()
    assert [at for at in range(len(ARCHIVE)) if body[at] != ARCHIVE[at]] == [len(ARCHIVE) // 2]
    assert answer.headers["ETag"] == f'"{hashlib.md5(ARCHIVE).hexdigest()}"'


def test_headers_are_replaced_or_removed(services):
    with fetch(services, Fault("kaggle.storage", headers={"X-Goog-Hash": "md5=no", "ETag": None})) as answer:
        assert (answer.headers.get_all("x-goog-hash"), answer.headers["ETag"]) == (["md5=no"], None)


def test_without_ranges_the_whole_comes(services):
    fault = Fault("kaggle.storage", no_ranges=True)
    with fetch(services, fault, headers={"Range": "bytes=1000-"}) as answer:
        assert (answer.status, answer.headers["Accept-Ranges"], answer.read()) == (200, None, ARCHIVE)


@pytest.mark.parametrize(
    ("fault", "length", "num_bytes"),
    [
        ({"cut": 0.5}, len(ARCHIVE), len(ARCHIVE) // 2),
        ({"cut": 0.0}, len(ARCHIVE), 0),
        ({"length": 1000}, len(ARCHIVE) + 1000, len(ARCHIVE)),
    ],
)
def test_less_comes_than_was_promised(services, fault, length, num_bytes):
    with (
        fetch(services, Fault("kaggle.storage", **fault)) as answer,
        pytest.raises(http.client.IncompleteRead) as caught,
    ):
        answer.read()
    assert answer.headers["Content-Length"] == str(length)
    assert caught.value.partial == ARCHIVE[:num_bytes]


def test_less_is_promised_than_there_is(services):
    with fetch(services, Fault("kaggle.storage", length=-1000)) as answer:
        assert answer.headers["Content-Length"] == str(len(ARCHIVE) - 1000)
        assert answer.read() == ARCHIVE[:-1000]


@pytest.mark.parametrize(("fault", "framing"), [({"no_length": True}, None), ({"chunked": True}, "chunked")])
def test_without_a_length_the_body_is_whole(services, fault, framing):
    with fetch(services, Fault("kaggle.storage", **fault)) as answer:
        assert (answer.headers["Content-Length"], answer.headers["Transfer-Encoding"]) == (None, framing)
        assert answer.read() == ARCHIVE


def test_a_cut_without_a_length_passes_for_the_whole_but_not_in_chunks(services):
    with fetch(services, Fault("kaggle.storage", no_length=True, cut=0.5)) as answer:
        assert answer.read() == ARCHIVE[: len(ARCHIVE) // 2]
    with (
        fetch(services, Fault("kaggle.storage", chunked=True, cut=0.5)) as answer,
        pytest.raises(http.client.IncompleteRead),
    ):
        answer.read()


def test_a_reset_comes_after_the_fraction_or_before_all(services):
    half = len(ARCHIVE) // 2
    with fetch(services, Fault("kaggle.storage", cut=0.5, reset=True)) as answer:
        assert answer.read(half) == ARCHIVE[:half]
        with pytest.raises(ConnectionResetError):
            answer.read()
    with pytest.raises(ConnectionResetError), fetch(services, Fault("kaggle.storage", reset=True)):
        pass


def test_silence_comes_after_the_fraction_or_before_all(services):
    half = len(ARCHIVE) // 2
    with fetch(services, Fault("kaggle.storage", stall=0.5), timeout_s=0.5) as answer:
        assert answer.read(half) == ARCHIVE[:half]
        with pytest.raises(TimeoutError):
            answer.read()
    with pytest.raises(TimeoutError), fetch(services, Fault("kaggle.storage", silent=True), timeout_s=0.5):
        pass
    assert len(services.asked("kaggle.storage")) == 2


def test_a_trickle_takes_its_time(services):
    started = time.monotonic()
    with fetch(services, Fault("kaggle.storage", trickle=(len(ARCHIVE) // 4, 0.1))) as answer:
        assert answer.read() == ARCHIVE
    assert time.monotonic() - started > 0.25


@pytest.mark.parametrize("fault", [{"silent": True}, {"stall": 0.5}, {"trickle": (10, 60.0)}])
def test_nobody_waits_when_the_services_close(fault):
    before = threading.active_count()
    with Services() as services:
        services.add_kaggle(REF, version=3, archive=ARCHIVE)
        path = signed_path(services)
        services.faults.append(Fault("kaggle.storage", **fault))
        client = socket.create_connection(urlsplit(services.url).netloc.split(":"))
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        time.sleep(0.1)
        started = time.monotonic()
    client.close()
    while threading.active_count() > before:
        assert time.monotonic() - started < 5, threading.enumerate()
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("line", "noted"),
    [
        ("CONNECT api.kaggle.com:443", "CONNECT api.kaggle.com:443"),
        (f"POST http://api.kaggle.com{RPC}/DownloadDataset", f"POST api.kaggle.com {RPC}/DownloadDataset"),
        ("DELETE /rf/orchard", "DELETE 127.0.0.1 /rf/orchard"),
        ("GET /", "GET 127.0.0.1 /"),
    ],
)
def test_what_fits_no_contract_is_noted(services, line, noted):
    host = (re.findall(r"api\.kaggle\.com\S{0,4}", line) or ["127.0.0.1"])[0].split("/")[0]
    with socket.create_connection(urlsplit(services.url).netloc.split(":")) as client:
        client.sendall(f"{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert client.makefile("rb").readline() == b"HTTP/1.1 501 Not Implemented\r\n"
    (line_noted,) = services.unexpected
    assert line_noted.startswith(noted)
    services.unexpected.clear()


def test_credentials_at_the_storage_are_noted(services):
    with fetch(services, headers=AUTHORIZED):
        pass
    assert services.unexpected == ["the storage was sent credentials: /kaggle-data-sets/wanda/fruit/3/archive.zip"]
    services.unexpected.clear()
