"""A source whose archive lies in an object store: by the real client from an S3-compatible server on 127.0.0.1."""

import io
import json
import secrets
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import fsspec
import pytest
import requests

from tandem.errors import SourceError
from tandem.files import sha256
from tandem.sources import archive
from tandem.sources.check import archive_problem, folder_names
from tandem.sources.download import download
from tandem.sources.receipts import Fetched
from tandem.sources.settings import ArchiveSource, Source
from tandem.sources.transfer.attempt import Limits
from tandem.sources.transfer.fetch import REQUEST_TAG
from tandem.sources.transfer.object_client import _OBJECT_TAG

TREE = {"Car/1.jpg": b"car" * 3000, "Truck/2.jpg": secrets.token_bytes(6_000_000)}
URL = "s3://team/sets/mine.zip"
LIMITS = Limits(silence_s=20, grace_s=20, total_s=120, attempts=1, wait_s=0.01)
SECRET = secrets.token_hex(20)


def zipped(tree: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, data in tree.items():
            file.writestr(zipfile.ZipInfo(name), data)
    return buffer.getvalue()


ARCHIVE = zipped(TREE)


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    requests.put(f"http://{host}:{port}/team", timeout=60).raise_for_status()
    put(f"http://{host}:{port}", URL, ARCHIVE)
    yield f"http://{host}:{port}"
    server.stop()


def put(store: str, url: str, data: bytes) -> str:
    """The ETag."""
    answer = requests.put(f"{store}/{url.removeprefix('s3://')}", data=data, timeout=60)
    answer.raise_for_status()
    return answer.headers["ETag"].strip('"')


@pytest.fixture
def environ(store: str, tmp_path: Path) -> dict[str, str]:
    return environ_of(store, tmp_path)


def environ_of(address: str, home: Path) -> dict[str, str]:
    given = {"AWS_ENDPOINT_URL": address, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": SECRET}
    return {
        "HOME": str(home),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_DEFAULT_REGION": "us-east-1",
        **given,
    }


def fetch(
    root: Path, environ: Mapping[str, str], url: str = URL, pin: str | None = None, limits: Limits = LIMITS
) -> Fetched:
    return archive.fetch(
        root / "out", ArchiveSource(url, pin), scratch=root / "scratch", limits=limits, environ=environ
    )


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def digest_of(data: bytes, folder: Path) -> str:
    (folder / "bytes").write_bytes(data)
    return sha256(folder / "bytes")


def test_an_archive_in_a_bucket_is_unpacked_and_named_by_its_bytes(tmp_path: Path, environ: dict[str, str]) -> None:
    pin = digest_of(ARCHIVE, tmp_path)
    fetched = fetch(tmp_path, environ, pin=pin)
    assert contents(tmp_path / "out") == TREE
    assert (fetched.what, fetched.sha256, fetched.archive_bytes) == (URL, pin, len(ARCHIVE))
    assert len(fetched.served_hash) == 32, "its ETag"
    assert fetched.client.startswith("fsspec ")
    assert ", s3fs " in fetched.client
    assert not (tmp_path / "scratch").exists()


def plant_part(root: Path, store: str, part: bytes, *, etag: str = "") -> None:
    """What a killed run has left, of the object that is there or of another one."""
    folder = root / "scratch/files"
    folder.mkdir(parents=True)
    (folder / "archive").write_bytes(part)
    job = {"do": "download", "url": URL, "archive": "archive"}
    (root / "scratch" / REQUEST_TAG).write_text(json.dumps(job), encoding="utf-8")
    info = fsspec.filesystem("s3", key="key", secret="s", client_kwargs={"endpoint_url": store}).info(URL)
    tag = {"size": info["size"], "ETag": etag or info["ETag"], "LastModified": str(info["LastModified"])}
    (folder / _OBJECT_TAG).write_text(json.dumps(tag), encoding="utf-8")


class Faulty(BaseHTTPRequestHandler):
    """A store of one object that answers as a test wants it: `cuts` ranges are cut; from `changes_at` on it is another.

    ranges: where those that were asked for begin.
    """

    cuts, changes_at = 0, 10**9
    ranges: ClassVar[list[int]] = []

    def do_HEAD(self) -> None:
        self._answer(200, len(ARCHIVE))

    def do_GET(self) -> None:
        begin, end = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
        self.ranges.append(begin)
        data = ARCHIVE[begin : end + 1]
        self._answer(206, len(data), **{"Content-Range": f"bytes {begin}-{end}/{len(ARCHIVE)}"})
        is_cut = begin > 0 and type(self).cuts > 0
        type(self).cuts -= is_cut
        self.wfile.write(data[: len(data) // 2] if is_cut else data)

    def _answer(self, status: int, num_bytes: int, **headers: str) -> None:
        etag = "old" if len(self.ranges) < self.changes_at else "new"
        self.send_response(status)
        for name, value in {"Content-Length": str(num_bytes), "ETag": f'"{etag}"', **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_what_came_before_a_cut_is_kept_and_not_asked_for_again(tmp_path: Path) -> None:
    class Cut(Faulty):
        cuts, ranges = 1, []

    with serving(Cut) as address:
        given = environ_of(address, tmp_path)
        with pytest.raises(SourceError, match=rf"failed .*; the {2**22} bytes that came are kept for the next run"):
            fetch(tmp_path, given)
        fetch(tmp_path, given)
    assert contents(tmp_path / "out") == TREE
    assert Cut.ranges == [0, 2**22, 2**22]


def test_an_object_that_is_replaced_while_it_is_read_is_not_used(tmp_path: Path) -> None:
    class Replaced(Faulty):
        changes_at, ranges = 1, []

    with serving(Replaced) as address, pytest.raises(SourceError, match="it was replaced while it was read"):
        fetch(tmp_path, environ_of(address, tmp_path))
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "scratch").exists()


def test_a_part_of_another_object_is_not_used(tmp_path: Path, store: str, environ: dict[str, str]) -> None:
    plant_part(tmp_path, store, bytes(5_000_000), etag='"other"')
    fetch(tmp_path, environ)
    assert contents(tmp_path / "out") == TREE


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "s3://team/sets/none.zip",
            r"s3://team/sets/none\.zip answered 404; there is no such file; correct the source",
        ),
        ("s3://team/sets", r"the client gave up \(it is a folder of the store, not a file\); name a zip or a tar"),
        (
            "nosuch://team/mine.zip",
            r"Protocol not known: nosuch\); name a zip or a tar at an address",
        ),
    ],
)
def test_what_is_not_there_is_named(url: str, message: str, tmp_path: Path, environ: dict[str, str]) -> None:
    with pytest.raises(SourceError, match=message):
        fetch(tmp_path, environ, url)
    assert not (tmp_path / "out").exists()


def test_another_digest_is_an_error_and_nothing_is_written(tmp_path: Path, environ: dict[str, str]) -> None:
    with pytest.raises(SourceError, match=f"but {'a' * 64} is expected"):
        fetch(tmp_path, environ, pin="a" * 64)
    assert not (tmp_path / "out").exists()


def test_what_is_no_archive_is_an_error(tmp_path: Path, store: str, environ: dict[str, str]) -> None:
    put(store, "s3://team/notes.txt", b"no archive")
    with pytest.raises(SourceError, match=r"sent is corrupt \("):
        fetch(tmp_path, environ, "s3://team/notes.txt")


class Forbidding(Faulty):
    """Refuses everything."""

    def do_HEAD(self) -> None:
        self._answer(403, 0)

    do_GET = do_HEAD


def without_credentials(address: str, home: Path) -> dict[str, str]:
    return {name: value for name, value in environ_of(address, home).items() if "KEY" not in name}


def test_a_public_object_takes_no_credentials_and_another_one_says_which_it_takes(tmp_path: Path) -> None:
    class Public(Faulty):
        ranges: ClassVar[list[int]] = []

    with serving(Public) as address:
        fetch(tmp_path, without_credentials(address, tmp_path))
    assert contents(tmp_path / "out") == TREE
    with serving(Forbidding) as address, pytest.raises(SourceError, match=r"answered 403.*AWS_ACCESS_KEY_ID and"):
        fetch(tmp_path, without_credentials(address, tmp_path))


def test_refused_credentials_say_which_to_give_and_never_show_a_secret(tmp_path: Path) -> None:
    message = r"answered 403.*AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    with serving(Forbidding) as address, pytest.raises(SourceError, match=message) as caught:
        fetch(tmp_path, environ_of(address, tmp_path))
    assert SECRET not in str(caught.value)


def test_a_server_that_is_not_there_is_a_failed_connection(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"the connection to s3://team/sets/mine\.zip failed .*; check the network"):
        fetch(tmp_path, environ_of("http://127.0.0.1:9", tmp_path))


def source_of(pin: str | None = None) -> Source:
    return Source(kind="archive", format="auto", archive=ArchiveSource(URL, pin))


def test_a_pinned_object_that_is_here_is_not_asked_for_again(tmp_path: Path, environ: dict[str, str]) -> None:
    pinned = source_of(digest_of(ARCHIVE, tmp_path))
    receipt = download("mine", pinned, folder=tmp_path / "data", limits=LIMITS, environ=environ)
    assert (receipt.what, receipt.num_files, receipt.archive_bytes) == (URL, 2, len(ARCHIVE))
    nowhere = environ_of("http://127.0.0.1:9", tmp_path)
    assert download("mine", pinned, folder=tmp_path / "data", limits=LIMITS, environ=nowhere) == receipt
    with pytest.raises(SourceError, match=r"source mine \(archive: path s3://team/sets/mine\.zip\): the connection"):
        download("mine", source_of(), folder=tmp_path / "data", limits=LIMITS, environ=nowhere)


def test_a_check_asks_the_store_where_it_may(tmp_path: Path, environ: dict[str, str]) -> None:
    asked = archive.check("mine", ArchiveSource(URL), limits=LIMITS, environ=environ)
    assert (asked.facts["store"], asked.is_available) == (f"it is there, {len(ARCHIVE) / 1e6:.1f} MB", True)
    missing = archive.check("mine", ArchiveSource("s3://team/none.zip"), limits=LIMITS, environ=environ)
    assert not missing.is_available
    assert "answered 404; there is no such file" in missing.facts["store"]
    offline = archive.check("mine", ArchiveSource(URL), limits=LIMITS, environ={}, is_online=False)
    assert (offline.facts["store"], offline.is_available) == ("not asked", True)


def test_what_can_be_said_without_the_store_is_said(tmp_path: Path) -> None:
    assert archive_problem("mine", source_of(), may_be_gone=lambda: False) == ""
    assert folder_names(source_of()) is None
    unknown = Source(kind="archive", format="auto", archive=ArchiveSource("nosuch://team/mine.zip"))
    problem = archive_problem("mine", unknown, may_be_gone=lambda: False)
    assert problem == (
        "sources.mine.archive.path is 'nosuch://team/mine.zip', which cannot be read (Protocol not known: nosuch); "
        "for s3:// install tandem[s3]"
    )
