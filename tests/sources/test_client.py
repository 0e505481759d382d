"""In the child: what is reported of each request, as the parent reads it, of real requests to 127.0.0.1.

The clients here are a few lines of requests each, among them what the real ones do badly: no timeout, other timeouts,
retries of their own, errors swallowed.
"""

import base64
import gzip
import hashlib
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import google_crc32c
import pytest

from services import STORAGE_SIGNATURE, Fault, Services

ARCHIVE = random.Random(0).randbytes(300_000)
REF = "wanda/fruit"
PATH = f"/kaggle-data-sets/{REF}/3/archive.zip"
SECRET = "madeUpKey0madeUpKey1"
GET = "requests.get(job['url'], stream=True)"
CLIENT = """
import errno, io, json, os, sys, time, requests
from pathlib import Path
from tandem.sources.transfer import client
def work(job):
{}
    return {{}}
client.serve(work)
"""


@pytest.fixture
def services():
    with Services() as services:
        services.add_kaggle(REF, version=3, archive=ARCHIVE)
        yield services
    assert services.unexpected == []


@pytest.fixture
def url(services):
    """Of the archive in the storage; as signed URLs do, it holds a secret."""
    return f"{services.url}{PATH}?X-Goog-Signature={STORAGE_SIGNATURE}"


def reports(tmp_path, *lines, read_s=20.0, connect_s=5.0, **job):
    """What a client of these lines reports until its process has ended, which is no secret."""
    code = CLIENT.format("\n".join(f"    {line}" for line in lines))
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as child:
        try:
            child.stdin.write(json.dumps(job | {"connect_s": connect_s, "read_s": read_s}) + "\n")
            child.stdin.flush()  # and left open: the child ends with its parent
            found = child.stdout.read()
            reports = [json.loads(line) for line in found.splitlines()]
            assert child.wait(20) == (0 if reports and reports[-1]["event"] == "completed" else 1), child.stderr.read()
        finally:
            child.kill()
    assert SECRET not in found
    assert STORAGE_SIGNATURE not in found
    return reports


def failed(found):
    """The last report, that of a failure, without the fields that say nothing."""
    assert found[-1]["event"] == "failed"
    return {name: value for name, value in found[-1].items() if value and name != "event"}


def of(event, found):
    return [report for report in found if report["event"] == event]


def test_what_the_work_returns_is_reported_and_what_is_printed_goes_elsewhere(tmp_path):
    noise = ("print('print')", "os.system('echo of a child')", "os.write(1, b'raw')", "sys.stdout.write('no line end')")
    found = reports(tmp_path, *noise, "return {'word': job['word']}", word="ö")
    assert found == [{"event": "completed", "result": {"word": "ö"}}]


@pytest.mark.parametrize(
    ("raised", "kind", "detail"),
    [
        ("raise KeyError('export')", "client", "KeyError: 'export'"),
        ("raise TypeError", "client", "TypeError: "),
        ("raise PermissionError(errno.EACCES, 'denied')", "client", "PermissionError: [Errno 13] denied"),
        ("raise OSError(errno.ENOSPC, 'full')", "disk", "OSError: [Errno 28] full"),
        ("raise OSError(errno.EDQUOT, 'full')", "disk", f"OSError: [Errno {122}] full"),
        ("raise OSError(errno.EFBIG, 'large')", "disk", "OSError: [Errno 27] large"),
        ("sys.exit(1)", "credentials", "the client found none that it could use"),
        ("exit()", "credentials", "the client found none that it could use"),
        ("client.fail('credentials', detail='it could not log in')", "credentials", "it could not log in"),
    ],
)
def test_whatever_a_client_raises_is_reported(tmp_path, raised, kind, detail):
    assert reports(tmp_path, raised) == [{"event": "failed", "kind": kind, "detail": detail}]


def test_an_archive_is_reported_from_the_question_to_the_last_byte(tmp_path, url):
    write = "Path('a.zip').write_bytes(b''.join(requests.get(job['url'], stream=True).iter_content(1 << 20)))"
    request, archive, *received, completed = reports(tmp_path, write, url=url)
    crc32c, md5 = google_crc32c.Checksum(ARCHIVE).digest(), hashlib.md5(ARCHIVE)
    hashes = f"crc32c={base64.b64encode(crc32c).decode()}, md5={base64.b64encode(md5.digest()).decode()}"
    assert request == {"event": "request", "endpoint": f"127.0.0.1{PATH}"}
    about = {"num_bytes": 300_000, "start": 0, "hashes": hashes, "etag": f'"{md5.hexdigest()}"'}
    assert archive == {"event": "archive", **about}
    assert received[-1] == {"event": "bytes", "num_bytes": 300_000}
    assert completed == {"event": "completed", "result": {}}
    assert (tmp_path / "a.zip").read_bytes() == ARCHIVE


@pytest.mark.parametrize("chunk_size", [1, 1024, 1 << 20, None])
def test_chunks_of_an_archive_are_of_64_kib_whatever_the_client_asks_for(tmp_path, url, chunk_size):
    take = f"return {{'sizes': [len(chunk) for chunk in {GET}.iter_content({chunk_size})]}}"
    sizes = reports(tmp_path, take, url=url)[-1]["result"]["sizes"]
    assert sizes == [65536] * 4 + [300_000 - 4 * 65536]


def test_what_is_no_archive_comes_as_the_client_asks_for_it(tmp_path, url):
    take = "return {'sizes': [len(chunk) for chunk in requests.get(job['url']).iter_content(100_000)]}"
    found = reports(tmp_path, take, url=url)
    assert found[-1]["result"]["sizes"] == [100_000] * 3
    assert [report["event"] for report in found] == ["request", "completed"]


def test_bytes_are_reported_while_they_come(tmp_path, services, url):
    services.faults.append(Fault("kaggle.storage", trickle=(60_000, 0.25)))
    found = reports(tmp_path, f"{GET}.content", url=url)
    numbers = [report["num_bytes"] for report in of("bytes", found)]
    assert len(numbers) >= 3
    assert numbers == sorted(numbers)
    assert numbers[-1] == 300_000


@pytest.mark.parametrize(
    ("headers", "start", "num_bytes"),
    [({}, 0, 300_000), ({"Range": "bytes=100000-"}, 100_000, 300_000), ({"Range": "bytes=5-9"}, 5, 300_000)],
)
def test_the_start_and_the_size_are_those_of_the_whole_archive(tmp_path, url, headers, start, num_bytes):
    (archive,) = of("archive", reports(tmp_path, GET.replace(", s", ", headers=job['h'], s"), url=url, h=headers))
    assert (archive["start"], archive["num_bytes"]) == (start, num_bytes)


@pytest.mark.parametrize("fault", [{"chunked": True}, {"no_length": True}])
def test_a_size_that_is_not_stated_is_not_known(tmp_path, services, url, fault):
    services.faults.append(Fault("kaggle.storage", **fault))
    found = reports(tmp_path, f"{GET}.content", url=url)
    assert of("archive", found)[0]["num_bytes"] is None
    assert found[-2]["num_bytes"] == 300_000


def test_hashes_of_what_is_coded_otherwise_on_the_way_are_not_those_of_the_file(tmp_path, services, url):
    packed = gzip.compress(ARCHIVE)
    services.add_kaggle(REF, version=3, archive=packed)
    services.faults.append(Fault("kaggle.storage", headers={"Content-Encoding": "gzip"}))
    take = f"return {{'size': len({GET}.content)}}"
    found = reports(tmp_path, take, url=url)
    assert of("archive", found)[0]["hashes"] == ""
    assert found[-1]["result"]["size"] == 300_000


def test_the_length_of_what_is_coded_otherwise_on_the_way_is_not_that_of_the_file(tmp_path, services, url):
    services.add_kaggle(REF, version=3, archive=gzip.compress(ARCHIVE))
    services.faults.append(Fault("kaggle.storage", headers={"Content-Encoding": "gzip"}))
    assert of("archive", reports(tmp_path, f"{GET}.content", url=url))[0]["num_bytes"] in (None, 300_000)


def test_a_redirect_is_followed_and_each_endpoint_reported(tmp_path, services):
    with answering(
        status=302, headers={"Location": f"{services.url}{PATH}?X-Goog-Signature={STORAGE_SIGNATURE}"}
    ) as at:
        found = reports(tmp_path, f"{GET}.content", url=f"{at}/ds/AbC?key={SECRET}")
    assert [report["endpoint"] for report in of("request", found)] == ["127.0.0.1/ds/AbC", f"127.0.0.1{PATH}"]
    assert len(of("archive", found)) == 1


SWALLOWING = (
    "for _ in range(3):",
    "    try:",
    f"        {GET}.raise_for_status()",
    "    except Exception:",
    "        pass",
)


@pytest.mark.parametrize("status", [400, 401, 404, 429, 503])
def test_an_error_response_ends_the_client_at_once(tmp_path, services, url, status):
    services.faults.append(Fault("kaggle.storage", status=status))
    found = reports(tmp_path, *SWALLOWING, url=url)
    assert failed(found) == {"kind": "http_error", "status": status, "endpoint": f"127.0.0.1{PATH}", "is_archive": True}
    assert len(services.log) == 1


@pytest.mark.parametrize("stated", ["7", "Mon, 06 May 2024 07:08:09 GMT"])
def test_the_pause_that_an_error_response_asks_for_is_passed_on_as_it_is(tmp_path, services, url, stated):
    services.faults.append(Fault("kaggle.storage", status=429, headers={"Retry-After": stated}))
    assert failed(reports(tmp_path, GET, url=url))["retry_after"] == stated


@contextmanager
def answering(*, status, body=b"", headers=None, delay_s=0.0):
    """The address of a server that answers every request in one way."""

    class Handler(BaseHTTPRequestHandler):
        def respond(self):
            time.sleep(delay_s)
            self.send_response(status)
            for name, value in {"Content-Length": len(body), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = respond

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("ask", ["requests.get(job['url'])", "requests.post(job['url'], stream=True)"])
def test_an_error_response_of_what_is_no_archive_is_not_of_the_archive(tmp_path, ask):
    with answering(status=404) as at:
        found = failed(reports(tmp_path, ask, url=f"{at}/x?api_key={SECRET}"))
    assert found == {"kind": "http_error", "status": 404, "endpoint": "127.0.0.1/x"}


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"code": 404, "message": "no such\\n  dataset"}', "no such dataset"),
        (b'{"error": {"message": "no such project", "status": 404}}', "no such project"),
        (b'{"error": "the format is wrong"}', "the format is wrong"),
        (b"plain\r\n words \xff", "plain words \ufffd"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", ""),
        (b"", ""),
        (b"null", "null"),
        (b"x" * 10_000, "x" * 200),
    ],
)
def test_what_the_body_of_an_error_response_says_is_reported_in_a_line(tmp_path, body, detail):
    with answering(status=404, body=body) as at:
        assert failed(reports(tmp_path, GET, url=at)).get("detail", "") == detail


def test_a_packed_error_response_is_unpacked(tmp_path):
    packed = gzip.compress(b'{"message": "no such dataset"}')
    with answering(status=404, body=packed, headers={"Content-Encoding": "gzip"}) as at:
        assert failed(reports(tmp_path, GET, url=at))["detail"] == "no such dataset"


@pytest.mark.parametrize("fault", [{"cut": 0.5}, {"stall": 0.5}])
def test_an_error_response_with_a_cut_body_is_still_one(tmp_path, services, url, fault):
    services.faults.append(Fault("kaggle.storage", status=503, **fault))
    found = failed(reports(tmp_path, GET, url=url, read_s=0.5))
    assert (found["kind"], found.get("status")) == ("http_error", 503)


@pytest.mark.parametrize("ask", [GET, "requests.get(job['url'])"])
def test_a_web_page_in_place_of_data_ends_the_client(tmp_path, services, url, ask):
    services.faults.append(Fault("kaggle.storage", html=True))
    found = failed(reports(tmp_path, ask, url=url))
    assert found == {"kind": "web_page", "endpoint": f"127.0.0.1{PATH}"} | ({"is_archive": True} if ask == GET else {})


def test_a_part_that_does_not_say_where_it_belongs_is_corrupt(tmp_path):
    with answering(status=206, body=b"12345", headers={"Content-Length": "5"}) as at:
        found = failed(reports(tmp_path, f"{GET}.content", url=at))
    assert (found["kind"], found["detail"]) == ("corrupt", "a part that does not say where it belongs")


def test_a_redirect_in_the_form_of_a_web_page_is_none(tmp_path, services, url):
    headers = {"Location": url, "Content-Type": "text/html; charset=utf-8"}
    with answering(status=302, body=b"<a href='there'>Found</a>", headers=headers) as at:
        assert reports(tmp_path, f"{GET}.content", url=at)[-1]["event"] == "completed"


@pytest.mark.parametrize(
    ("fault", "detail"),
    [
        ({"cut": 0.5}, "it ended early"),
        ({"cut": 0.5, "chunked": True}, "it ended early"),
        ({"cut": 0.5, "reset": True}, "Connection reset by peer"),
    ],
)
@pytest.mark.parametrize("ask", [f"{GET}.content", "requests.get(job['url'])"])
def test_a_connection_that_fails_ends_the_client_at_once(tmp_path, services, url, fault, detail, ask):
    services.faults.append(Fault("kaggle.storage", **fault))
    found = failed(reports(tmp_path, "try:", f"    {ask}", "except Exception:", f"    {ask}", url=url))
    about = {"endpoint": f"127.0.0.1{PATH}"} | ({"is_archive": True} if ask.startswith(GET) else {})
    assert found == {"kind": "connection", "detail": detail} | about
    assert len(services.log) == 1


def test_a_connection_that_is_closed_without_an_answer_is_reported_as_that(tmp_path):
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def hang_up():
            connection, _ = server.accept()
            connection.recv(1 << 16)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        found = failed(reports(tmp_path, GET, url=f"http://127.0.0.1:{server.getsockname()[1]}/x?api_key={SECRET}"))
        thread.join()
    assert found == {
        "kind": "connection",
        "detail": "it was closed without an answer",
        "endpoint": "127.0.0.1/x",
        "is_archive": True,
    }


def test_chunks_that_cannot_be_read_are_a_failed_connection(tmp_path):
    with answering(status=200, body=b"5\r\nhello\r\nnonsense\r\n", headers={"Transfer-Encoding": "chunked"}) as at:
        found = failed(reports(tmp_path, f"{GET}.content", url=f"{at}/x"))
    assert found == {"kind": "connection", "detail": "it ended early", "endpoint": "127.0.0.1/x", "is_archive": True}


def closed_port():
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return server.getsockname()[1]


@pytest.mark.parametrize("is_proxy", [False, True])
def test_a_connection_that_is_refused_is_reported_without_the_secrets_of_its_url(tmp_path, is_proxy):
    at = f"http://127.0.0.1:{closed_port()}"
    ask = f"requests.get(job['url'], proxies={{'http': '{at}'}})" if is_proxy else "requests.get(job['url'])"
    host = "api.roboflow.com.invalid" if is_proxy else "127.0.0.1"
    found = reports(
        tmp_path, ask, url=f"http://{host}/ws?api_key={SECRET}" if is_proxy else f"{at}/ws?api_key={SECRET}"
    )
    assert failed(found) == {"kind": "connection", "detail": "Connection refused", "endpoint": f"{host}/ws"}


@pytest.mark.parametrize(
    "ask",
    [
        "requests.get(job['url'])",
        "requests.get(job['url'], timeout=600)",
        "requests.get(job['url'], timeout=(600, None), stream=True)",
        "requests.Session().send(requests.Request('GET', job['url']).prepare())",
    ],
)
def test_a_silent_server_is_waited_for_no_longer_than_the_job_says(tmp_path, services, url, ask):
    services.faults.append(Fault("kaggle.storage", silent=True))
    found = failed(reports(tmp_path, ask, url=url, read_s=0.3))
    assert (found["kind"], found["detail"], found["endpoint"]) == ("silence", "for 0.3 s", f"127.0.0.1{PATH}")
    assert len(services.log) == 1


def test_a_body_that_stalls_is_waited_for_no_longer_than_the_job_says(tmp_path, services, url):
    services.faults.append(Fault("kaggle.storage", stall=0.5))
    found = failed(reports(tmp_path, f"{GET}.content", url=url, read_s=0.3))
    assert found == {"kind": "silence", "detail": "for 0.3 s", "endpoint": f"127.0.0.1{PATH}", "is_archive": True}


def test_a_client_that_is_less_patient_than_the_job_waits_all_the_same(tmp_path):
    with answering(status=200, body=b"late", delay_s=0.4) as at:
        assert reports(tmp_path, "requests.get(job['url'], timeout=0.05)", url=at)[-1]["event"] == "completed"


def test_a_server_that_takes_no_connection_is_waited_for_no_longer_than_the_job_says(tmp_path):
    with closing(socket.socket()) as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting = [socket.socket() for _ in range(4)]  # more than its queue holds
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(server.getsockname())
        at = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        found = failed(reports(tmp_path, "requests.get(job['url'], timeout=600)", url=at, connect_s=0.4))
        for each in waiting:
            each.close()
    assert found == {"kind": "silence", "detail": "for 0.4 s", "endpoint": "127.0.0.1/x"}


ON_AND_ON = (
    "client.stop_after_archive({'client': 'mine'})",
    "requests.get(job['first'])",
    "answer = requests.get(job['url'], stream=True)",
    "length = int(answer.headers['Content-Length'])",
    "with open('a.zip', 'wb') as file:",
    "    for chunk in answer.iter_content(1024):",
    "        file.write(chunk)",
    "        file.flush()",
    "Path('further').touch()",
)


@pytest.mark.parametrize("fault", [{}, {"no_length": True}, {"chunked": True}])
def test_a_client_goes_no_further_than_the_whole_archive(tmp_path, services, url, fault):
    services.faults.append(Fault("kaggle.storage", after=1, **fault))
    found = reports(tmp_path, *ON_AND_ON, first=url, url=url)
    assert found[-2:] == [
        {"event": "bytes", "num_bytes": 300_000},
        {"event": "completed", "result": {"client": "mine"}},
    ]
    assert (tmp_path / "a.zip").read_bytes() == ARCHIVE
    assert not (tmp_path / "further").exists()
    assert len(services.log) == 2


def test_a_redirect_on_the_way_to_the_archive_is_not_its_end(tmp_path, url):
    with answering(status=302, body=b"<a href='there'>Found</a>", headers={"Location": url}) as at:
        found = reports(tmp_path, *ON_AND_ON, first=url, url=at)
    assert found[-1] == {"event": "completed", "result": {"client": "mine"}}
    assert (tmp_path / "a.zip").read_bytes() == ARCHIVE


def test_a_client_that_is_to_go_no_further_ends_badly_without_the_whole_archive(tmp_path, services, url):
    services.faults.append(Fault("kaggle.storage", after=1, cut=0.5))
    found = reports(tmp_path, *ON_AND_ON, first=url, url=url)
    assert failed(found)["detail"] == "it ended early"
    assert not (tmp_path / "further").exists()
