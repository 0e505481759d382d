"""Mock servers of Kaggle and Roboflow on 127.0.0.1, as far as their clients ask, with faults by kind of request.

Their answers follow the clients `kaggle` 2.2.4 and `roboflow` 1.7.3: that the clients work here is shown, that the real
services answer in this way is not.
"""

import base64
import hashlib
import io
import json
import re
import socket
import struct
import threading
import time
import traceback
import zipfile
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import google_crc32c

# Shaped like the real ones, so that what looks for secrets finds them.
KAGGLE_USERNAME = "wanda"
KAGGLE_KEY = "0badc0de" * 4
KAGGLE_TOKEN = "KGAT_" + "feedbee5" * 4
ROBOFLOW_KEY = "madeUpKey0madeUpKey1"
ROBOFLOW_LINK_KEY = "madeUpLnk2"
STORAGE_SIGNATURE = "5ca1ab1e" * 8

PAIR = base64.b64encode(f"{KAGGLE_USERNAME}:{KAGGLE_KEY}".encode()).decode()
STORAGE_HOST = "storage.googleapis.com.invalid"
LINK_HOST = "app.roboflow.com.invalid"
HOSTS = ("localhost", "127.0.0.1", STORAGE_HOST, LINK_HOST)
RPC = r"(?:/api)?/v1/"
DATASETS = RPC + r"datasets\.DatasetApiService/"
ROUTES = {
    "kaggle.introspect": ("POST", RPC + r"security\.OAuthService/IntrospectToken"),
    "kaggle.download": ("POST", DATASETS + "DownloadDataset"),
    "kaggle.metadata": ("POST", DATASETS + "GetDatasetMetadata"),
    "kaggle.dataset": ("POST", DATASETS + "GetDataset"),
    "kaggle.status": ("POST", DATASETS + "GetDatasetStatus"),
    "kaggle.files": ("POST", DATASETS + "ListDatasetFiles"),
    "kaggle.storage": ("GET", r"/kaggle-data-sets/.+"),
    "roboflow.key": ("POST", r"/rf/?"),
    "roboflow.workspace": ("GET", r"/rf/[^/]+"),
    "roboflow.project": ("GET", r"/rf/[^/]+/[^/]+"),
    "roboflow.version": ("GET", r"/rf/[^/]+/[^/]+/\d+"),
    "roboflow.export": ("GET", r"/rf/[^/]+/[^/]+/\d+/[^/]+"),
    "roboflow.link": ("GET", r"/ds/[^/]+"),
    "roboflow.storage": ("GET", r"/roboflow-exports/.+"),
}
MODIFIED = "Mon, 06 May 2024 07:08:09 GMT"
CREATED = "2024-05-06T07:08:09.123Z"
CREATED_S = 1714979289
PROJECT = {"type": "classification", "annotation": "things", "classes": {}, "colors": {}, "unannotated": 0}
PROJECT |= {"created": CREATED_S, "updated": CREATED_S, "public": False}
PORTAL = b"<html><body><h1>Welcome to the hotel</h1><p>Please accept the terms.</p></body></html>"


def zipped(members, compression=zipfile.ZIP_STORED):
    """Name -> bytes as a zip archive."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return data.getvalue()


@dataclass(frozen=True)
class Fault:
    """What goes wrong with requests of one kind. times: how many of them, None for all; after: how many pass first.

    A fault counts all requests of its kind since it is in the list, those that another fault takes too.
    """

    kind: str
    times: int | None = None
    after: int = 0
    status: int | None = None  # with a body in the service's own error shape
    headers: dict = field(default_factory=dict)  # in place of those of the same name; None leaves one out
    silent: bool = False  # no answer until the client leaves or the server closes
    html: bool = False  # 200 with the page of a captive portal
    cut: float | None = None  # the connection ends after this fraction of the body
    reset: bool = False  # with cut: by RST, which may outrun the last bytes; alone: by RST before the first
    stall: float | None = None  # silence after this fraction of the body
    trickle: tuple | None = None  # (num_bytes, pause_s)
    length: int | None = None  # added to the true Content-Length; the body is cut to what is stated
    no_length: bool = False  # the body ends with the connection
    chunked: bool = False
    flip: bool = False  # one byte in the middle is another; the headers are those of the true body
    no_ranges: bool = False  # Range is neither offered nor obeyed
    body: bytes | None = None  # with status 200; the headers are those of the true body


NO_FAULT = Fault("none")


@dataclass(frozen=True)
class Request:
    """One request as it came; the names of its headers in lower case."""

    kind: str
    method: str
    path: str
    headers: dict
    body: bytes
    query: dict


@dataclass(frozen=True)
class Response:
    """A response. headers: pairs, as a name may come twice."""

    status: int
    body: bytes = b""
    headers: tuple = ()

    def but(self, headers):
        """With these headers in place of those of the same name, and without those of value None."""
        names = {name.lower() for name in headers}
        kept = [pair for pair in self.headers if pair[0].lower() not in names]
        return replace(self, headers=(*kept, *(pair for pair in headers.items() if pair[1] is not None)))


def page(status, text, content_type):
    return Response(status, text.encode(), (("Content-Type", content_type),))


def as_json(value, status=200):
    return page(status, json.dumps(value), "application/json")


def error(kind, status, message=None):
    """An error in the format of the service that answers requests of this kind."""
    message = message or responses.get(status, "Error")
    if kind.endswith(".storage"):
        inner = f"<Code>{message.replace(' ', '')}</Code><Message>{message}.</Message>"
        return page(status, f"<?xml version='1.0' encoding='UTF-8'?><Error>{inner}</Error>", "application/xml")
    if kind == "roboflow.link":
        return page(status, message, "text/plain")
    if kind.startswith("roboflow."):
        return as_json({"error": {"message": message, "status": status}}, status)
    return as_json({"code": status, "message": message}, status)


def redirect(path):
    """To the signed address of a stored object."""
    query = f"X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Expires=259200&X-Goog-Signature={STORAGE_SIGNATURE}"
    return as_json({}, 302).but({"Location": f"http://{STORAGE_HOST}{path}?{query}"})


@dataclass(frozen=True)
class Stored:
    """An object in the storage that both services use."""

    body: bytes
    hashes: tuple

    @cached_property
    def headers(self):
        digests = {"crc32c": google_crc32c.Checksum(self.body), "md5": hashlib.md5(self.body)}
        coded = {name: base64.b64encode(digest.digest()).decode() for name, digest in digests.items()}
        return (
            ("Content-Type", "application/zip"),
            ("Accept-Ranges", "bytes"),
            ("ETag", f'"{digests["md5"].hexdigest()}"'),
            ("Last-Modified", MODIFIED),
            ("x-goog-generation", f"{CREATED_S}{int(digests['crc32c'].hexdigest(), 16) % 1_000_000:06}"),
            *(("x-goog-hash", f"{name}={coded[name]}") for name in sorted(self.hashes)),
        )

    def answer(self, request):
        """The requested range, if the object is still the one that the client knows; else the whole."""
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        if not wanted or request.headers.get("if-range", MODIFIED) not in (dict(self.headers)["ETag"], MODIFIED):
            return Response(200, self.body, self.headers)
        size = len(self.body)
        start, end = int(wanted[1]), min(int(wanted[2] or size), size - 1)
        if start > end:
            return error(request.kind, 416).but({"Content-Range": f"bytes */{size}"})
        part = Response(206, self.body[start : end + 1], self.headers)
        return part.but({"Content-Range": f"bytes {start}-{end}/{size}"})


class Storage:
    """What both services have."""

    def __init__(self):
        self.stored = {}  # by path

    def storage(self, request):
        if request.query.get("X-Goog-Signature") != STORAGE_SIGNATURE:
            return error(request.kind, 403)
        return self.stored[request.path].answer(request) if request.path in self.stored else error(request.kind, 404)


class Kaggle(Storage):
    def __init__(self):
        super().__init__()
        self.versions = {}  # ref -> number -> Stored
        self.licences = {}

    def add(self, ref, version, stored, licence):
        self.versions.setdefault(ref, {})[version] = self.stored[self.path(ref, version)] = stored
        self.licences[ref] = licence

    @staticmethod
    def path(ref, version):
        return f"/kaggle-data-sets/{ref}/{version}/archive.zip"

    def answer(self, request):
        if request.kind == "kaggle.storage":
            return self.storage(request)
        fields = json.loads(request.body)
        if request.kind == "kaggle.introspect":
            good = fields["token"] == KAGGLE_TOKEN
            return as_json({"active": True, "username": KAGGLE_USERNAME} if good else {"active": False})
        if request.headers.get("authorization") not in (f"Basic {PAIR}", f"Bearer {KAGGLE_TOKEN}"):
            return error(request.kind, 401, "Unauthenticated")
        ref = f"{fields['ownerSlug']}/{fields['datasetSlug']}"
        version = fields.get("datasetVersionNumber") or max(self.versions.get(ref, [0]))
        if version not in self.versions.get(ref, {}):
            return error(request.kind, 404, f"{ref} version {version} was not found")
        return getattr(self, request.kind.partition(".")[2])(ref, version, fields)

    def download(self, ref, version, fields):
        return redirect(self.path(ref, version)) if "fileName" not in fields else error("kaggle.download", 501)

    def metadata(self, ref, version, fields):
        info = {"ownerUser": ref.split("/")[0], "datasetSlug": ref.split("/")[1], "title": f"Title of {ref}"}
        return as_json({"info": info | {"licenses": [{"name": self.licences[ref]}]}})

    def dataset(self, ref, version, fields):
        numbers = sorted(self.versions[ref], reverse=True)
        versions = [{"versionNumber": number, "creationDate": CREATED, "status": "Ready"} for number in numbers]
        about = {"ref": ref, "title": f"Title of {ref}", "licenseName": self.licences[ref], "lastUpdated": CREATED}
        size = len(self.versions[ref][version].body)
        return as_json(about | {"totalBytes": size, "currentVersionNumber": numbers[0], "versions": versions})

    def status(self, ref, version, fields):
        return as_json({"status": "READY"})

    def files(self, ref, version, fields):
        """One page of the archive's members; its token is the number of those before it."""
        with zipfile.ZipFile(io.BytesIO(self.versions[ref][version].body)) as archive:
            members = [each for each in archive.infolist() if not each.is_dir()]
        start = int(fields.get("pageToken") or 0)
        end = start + fields.get("pageSize", 20)
        listed = [{"name": each.filename, "totalBytes": each.file_size} for each in members[start:end]]
        files = [each | {"creationDate": CREATED} for each in listed]
        return as_json({"datasetFiles": files} | ({"nextPageToken": str(end)} if end < len(members) else {}))


@dataclass
class Version:
    """Of a Roboflow project. exports: the formats listed as ready; links: format -> id."""

    num_images: int
    exports: list = field(default_factory=list)
    links: dict = field(default_factory=dict)


class Roboflow(Storage):
    def __init__(self):
        super().__init__()
        self.projects = {}  # ref -> number -> Version
        self.license = ""  # that the service states of every project; the API leaves it out where there is none

    def add(self, ref, version, stored, *, fmt, num_images, exports):
        entry = self.projects.setdefault(ref, {}).setdefault(version, Version(num_images))
        entry.num_images = num_images
        entry.links[fmt] = hashlib.sha256(f"{ref}/{version}/{fmt}".encode()).hexdigest()[:10]
        entry.exports = list(dict.fromkeys([*entry.exports, fmt]) if exports is None else exports)
        self.stored[f"/roboflow-exports/{entry.links[fmt]}.zip"] = stored

    def answer(self, request):
        if request.kind == "roboflow.storage":
            return self.storage(request)
        _, *names = request.path.strip("/").split("/")
        if request.kind == "roboflow.link":
            path = f"/roboflow-exports/{names[0]}.zip"
            known = path in self.stored and request.query.get("key") == ROBOFLOW_LINK_KEY
            return redirect(path) if known else error(request.kind, 404)
        if request.query.get("api_key") != ROBOFLOW_KEY:
            return error(request.kind, 401, "This API key does not exist (or has been revoked).")
        try:
            return getattr(self, request.kind.partition(".")[2])(*names)
        except KeyError as missing:
            return error(request.kind, 404, f"{missing} does not exist, or the key gives no access to it.")

    def key(self):
        return as_json({"workspace": next(iter(self.projects), "nobody").split("/")[0]})

    def workspace(self, name):
        projects = [self.about(ref) for ref in self.projects if ref.startswith(f"{name}/")]
        return as_json({"workspace": {"name": name, "url": name, "projects": projects}})

    def project(self, workspace, name):
        ref = f"{workspace}/{name}"
        versions = [self.about_version(ref, number) for number in sorted(self.projects[ref], reverse=True)]
        return as_json({"project": self.about(ref), "versions": versions})

    def version(self, workspace, name, number):
        about = self.about_version(f"{workspace}/{name}", int(number))
        return as_json({"version": about | {"generating": False, "progress": 1}})

    def export(self, workspace, name, number, fmt):
        version = self.projects[f"{workspace}/{name}"][int(number)]
        if fmt not in version.exports:
            return error("roboflow.export", 400, f"{fmt} is no format; the valid ones: {', '.join(version.exports)}")
        if fmt not in version.links:
            return as_json({"progress": 0.5}, 202)
        link = f"http://{LINK_HOST}/ds/{version.links[fmt]}?key={ROBOFLOW_LINK_KEY}"
        return as_json({"export": {"format": fmt, "link": link}})

    def about(self, ref):
        num_images = max(version.num_images for version in self.projects[ref].values())
        stated = {"license": self.license} if self.license else {}
        about = {"id": ref, "name": ref.split("/")[1], "images": num_images, "splits": {"train": num_images}}
        return PROJECT | about | stated

    def about_version(self, ref, number):
        version = self.projects[ref][number]
        about = {"id": f"{ref}/{number}", "name": str(number), "created": CREATED_S, "exports": version.exports}
        splits = {"train": version.num_images}
        return about | {"images": version.num_images, "splits": splits, "preprocessing": {}, "augmentation": {}}


def with_fault(response, fault):
    """The response with another content; what goes wrong on the wire is the handler's."""
    if fault.html:
        response = page(200, PORTAL.decode(), "text/html; charset=utf-8")
    if fault.body is not None:
        response = replace(response.but({"Location": None, "Content-Range": None}), status=200, body=fault.body)
    if fault.no_ranges:
        response = response.but({"Accept-Ranges": None})
    if fault.flip:
        middle = len(response.body) // 2
        other = bytes([response.body[middle] ^ 0xFF])
        response = replace(response, body=response.body[:middle] + other + response.body[middle + 1 :])
    return response.but(fault.headers)


class Handler(BaseHTTPRequestHandler):
    """One connection: reads requests, and sends the responses with what is to go wrong on the wire."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # the chunks of a trickle travel one by one

    def handle(self):
        with suppress(ConnectionError):  # a client may leave when it wants
            super().handle()

    def log_message(self, *_):
        """Nothing: Services.log has it."""

    def respond(self):
        request = self.read_request()
        fault = self.server.services.fault_of(request)
        if fault.silent:
            self.linger()
        elif fault.reset and fault.cut is None:
            self.abort()
        else:
            self.send(self.server.services.answer(request, fault), fault)

    do_GET = do_POST = do_HEAD = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_CONNECT = respond

    def read_request(self):
        """Through the proxy settings a client can ask for any host; for others than our own there is no kind."""
        target = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        fits = [kind for kind, (method, path) in ROUTES.items() if re.fullmatch(path, target.path)]
        known = [kind for kind in fits if ROUTES[kind][0] == self.command and (target.hostname or HOSTS[0]) in HOSTS]
        kind = known[0] if known else "unexpected"
        return Request(kind, self.command, target.path, headers, body, dict(parse_qsl(target.query)))

    def send(self, response, fault):
        stated = max(0, len(response.body) + (fault.length or 0))
        whole = response.body[:stated]
        fraction = next((each for each in (fault.cut, fault.stall) if each is not None), 1)
        self.send_head(response, fault, stated)
        self.send_chunks(whole[: int(len(whole) * fraction)], fault)
        if fault.stall is not None:
            self.linger()
        elif fault.cut is not None and fault.reset:
            self.abort()
        elif fault.cut is None and fault.chunked:
            self.wfile.write(b"0\r\n\r\n")

    def send_head(self, response, fault, stated):
        framing = {"Transfer-Encoding": "chunked"} if fault.chunked else {"Content-Length": stated}
        if fault.no_length:
            framing = {"Connection": "close"}
        self.send_response(response.status)
        for name, value in [*response.headers, *framing.items()]:
            self.send_header(name, value)
        self.end_headers()
        self.close_connection |= fault.no_length or fault.cut is not None or fault.length is not None

    def send_chunks(self, body, fault):
        num_bytes, pause_s = fault.trickle or (1 << 16, 0)
        for start in range(0, len(body), num_bytes):
            chunk = body[start : start + num_bytes]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if fault.chunked else chunk)
            if pause_s:
                self.server.closing.wait(pause_s)

    def linger(self):
        """Silence until the client leaves or the server shuts the connection."""
        self.close_connection = True
        while self.rfile.read1():
            pass

    def abort(self):
        """RST in place of FIN."""
        time.sleep(0.05)  # what is still on its way would be lost with the connection
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()  # holds the socket open
        self.connection.close()


class Server(ThreadingHTTPServer):
    """Knows its open connections, to end the threads that wait on them."""

    request_queue_size = 32

    def __init__(self, services):
        self.services = services
        self.closing = threading.Event()
        self.connections = set()
        super().__init__(("127.0.0.1", 0), Handler)

    def process_request(self, request, client_address):
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request, client_address):
        self.services.unexpected.append(traceback.format_exc())

    def close(self):
        self.closing.set()
        self.shutdown()
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()


class Services:
    """Both services at one address, while a `with` block lasts."""

    def __init__(self):
        self.log = []
        self.faults = []
        self.unexpected = []
        self.kaggle = Kaggle()
        self.roboflow = Roboflow()
        self._seen = {}  # id of a fault -> (requests of its kind, the fault: while it is here, no other has its id)
        self._lock = threading.Lock()
        self._server = Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.close()
        self._thread.join()

    def add_kaggle(self, ref, *, version, archive, licence="CC0-1.0", hashes=("md5", "crc32c")):
        body = archive.read_bytes() if isinstance(archive, Path) else archive
        self.kaggle.add(ref, version, Stored(body, hashes), licence)

    def add_roboflow(self, ref, *, version, fmt, archive, num_images=1, exports=None, hashes=()):
        """exports: formats to list in place of those that were added; one without an archive never gets ready."""
        body = archive.read_bytes() if isinstance(archive, Path) else archive
        self.roboflow.add(ref, version, Stored(body, hashes), fmt=fmt, num_images=num_images, exports=exports)

    def environ(self):
        proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), self.url)
        addresses = dict.fromkeys(("API_URL", "APP_URL", "UNIVERSE_URL"), f"{self.url}/rf")
        return {"KAGGLE_API_ENVIRONMENT": "LOCALHOST", "no_proxy": "", "NO_PROXY": ""} | proxies | addresses

    def asked(self, *kinds):
        return [each for each in list(self.log) if any(f"{each.kind}.".startswith(f"{kind}.") for kind in kinds)]

    def fault_of(self, request):
        """Log the request; the fault that is due for it."""
        with self._lock:
            self.log.append(request)
            if request.kind.endswith(".storage") and ("authorization" in request.headers or "api_key" in request.query):
                self.unexpected.append(f"the storage was sent credentials: {request.path}")
            of_kind = [fault for fault in self.faults if f"{request.kind}.".startswith(f"{fault.kind}.")]
            due = [fault for fault in of_kind if self._is_due(fault)]
        return due[0] if due else NO_FAULT

    def _is_due(self, fault):
        count, _ = self._seen.get(id(fault), (0, fault))
        self._seen[id(fault)] = (count + 1, fault)
        return fault.after <= count and (fault.times is None or count < fault.after + fault.times)

    def answer(self, request, fault):
        if request.kind == "unexpected":
            self.unexpected.append(f"{request.method} {request.headers.get('host')} {request.path}")
            return error(request.kind, 501)
        if fault.status is not None:
            return with_fault(error(request.kind, fault.status), fault)
        if fault.no_ranges:
            request = replace(request, headers=request.headers | {"range": ""})
        service = self.kaggle if request.kind.startswith("kaggle.") else self.roboflow
        return with_fault(service.answer(request), fault)
