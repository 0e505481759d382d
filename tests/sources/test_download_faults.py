"""What can go wrong with a download, one row each: the real clients, mock servers, and a fault between them.

After each row the fault is taken away, and the next download into the same folder must be as good as a first one. It
is tried wherever a row leaves more in the folder than an empty lock: elsewhere it would be a first one.
docs/downloads.md shows the rows as a table.
"""

import hashlib
import io
import json
import os
import random
import re
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import time
import traceback
import zipfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from factories import source_of
from services import (
    KAGGLE_KEY,
    KAGGLE_TOKEN,
    KAGGLE_USERNAME,
    PORTAL,
    ROBOFLOW_KEY,
    ROBOFLOW_LINK_KEY,
    STORAGE_SIGNATURE,
    Fault,
    Services,
    zipped,
)
from services import PAIR as ENCODED_PAIR
from tandem.errors import SourceError
from tandem.sources.download import download
from tandem.sources.settings import KaggleSource, RoboflowSource
from tandem.sources.transfer.attempt import Limits

PAGE = Path(__file__).resolve().parents[2] / "docs" / "downloads.md"
NAME = "fruit"
VERSION, OTHER = 3, 4
PARAMETERS = {
    "kaggle": {"dataset": "wanda/fruit", "version": VERSION},
    "roboflow": {"project": "orchard/fruit", "version": VERSION, "format": "folder"},
}
DESCRIPTIONS = {"kaggle": KaggleSource, "roboflow": RoboflowSource}
ANOTHER = {"version": OTHER}
PAIR = {"KAGGLE_USERNAME": KAGGLE_USERNAME, "KAGGLE_KEY": KAGGLE_KEY}
CREDENTIALS = PAIR | {"ROBOFLOW_API_KEY": ROBOFLOW_KEY}
NONE = dict.fromkeys(CREDENTIALS)
TOKEN = NONE | {"KAGGLE_API_TOKEN": KAGGLE_TOKEN}
STALE_TOKEN = "KGAT_" + "5ca1ed00" * 4
WRONG_KEY = "deadbee7" * 4
WRONG_ROBOFLOW_KEY = "wrongKey0wrongKey1"
DUMMY_KEY = "NOLOWERCASE0123456789"
SECRETS = (
    *(KAGGLE_KEY, KAGGLE_TOKEN, ROBOFLOW_KEY, ROBOFLOW_LINK_KEY, STORAGE_SIGNATURE, ENCODED_PAIR),
    *(STALE_TOKEN, WRONG_KEY, WRONG_ROBOFLOW_KEY, DUMMY_KEY),
)
NOBODY = "http://127.0.0.1:1"  # a port on which nobody listens
REFUSED = {"http_proxy": NOBODY, "HTTP_PROXY": NOBODY, "API_URL": f"{NOBODY}/rf"}
NO_FOLDER = "/proc/no/such/folder"  # cannot be made, not even by root
LIMITS = Limits(silence_s=10, grace_s=20, wait_s=0.02, attempts=3, lock_s=0)
TWICE = {"attempts": 2}
SHORT = {"silence_s": 0.8, "attempts": 2}
SUCCEEDS = ""
NOTHING, PART, LEFTOVERS = "nothing", "part", "leftovers"
# Requests in their order. "interface" ends with the one that asks where the archive is; "range" asks the storage for
# what is missing of a part.
WORDS = {
    "kaggle": {"interface": "download", "attempt": "download storage", "licence": "dataset"},
    "roboflow": {
        "look": "key project project",
        "interface": "key project project version export",
        "attempt": "key project project version export link storage",
        "licence": "",
    },
}


def images(seed):
    """1.4 MB that do not compress: a half is several of the pieces that come one by one."""
    return {f"train/apple/{number}.jpg": random.Random(f"{seed} {number}").randbytes(480_000) for number in range(3)}


README = {"README.dataset.txt": b"License: MIT\n"}
MEMBERS = images("good") | README
GOOD = zipped(MEMBERS)
BETTER = zipped(images("better") | README)


def holding(name):
    """An archive of one small member."""
    return lambda: zipped({name: b"1"})


def with_link():
    info = zipfile.ZipInfo("link.jpg")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return zipped({info: b"/etc/passwd"})


def encrypted():
    data = bytearray(zipped({"secret.jpg": b"1"}))
    data[6] |= 1  # the flags of the local header
    data[data.index(b"PK\x01\x02") + 8] |= 1  # and of the central one
    return bytes(data)


def bomb():
    return zipped({"zeros.jpg": bytes(70_000_000)}, zipfile.ZIP_DEFLATED)


def swelling():
    """Few bytes to download, many to unpack, but no bomb."""
    return zipped({"ones.jpg": b"1" * 6_000_000, **images("swelling"), **README}, zipfile.ZIP_DEFLATED)


def of_many():
    """Takes a while to unpack."""
    return zipped({f"apple/{number}.jpg": b"1" * 1000 for number in range(3000)} | README)


def exported_another_day():
    return zipped(MEMBERS | {"README.roboflow.txt": b"This dataset was exported via roboflow.com on another day"})


def digest_of(members):
    """As `tandem.files.dir_sha256` promises: sha256 of what sha256sum prints of the files in order of name."""
    lines = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(members.items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def contents(folder):
    """The files below a folder, by their path in it."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def wait_until(is_so, timeout_s=20):
    end = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def nothing(scene):
    """No state before; nothing to take away but the faults."""


@dataclass(frozen=True)
class Row:
    """requested: in WORDS. expected: SUCCEEDS, or what the message matches. asks: other parameters than usual.

    faults: their kinds without the service. left: of the archive after a failure: NOTHING, a PART that the next run
    resumes, or LEFTOVERS that it removes. again: requests of that run, if they do not follow from `left`. clean:
    its parameters, where the usual ones cannot be had.
    """

    service: str
    name: str
    requested: str
    expected: str = SUCCEEDS
    faults: tuple[Fault, ...] = ()
    archive: Callable = lambda: GOOD
    hashes: tuple[str, ...] | None = None
    environ: Mapping = field(default_factory=dict)
    asks: Mapping = field(default_factory=dict)
    limits: Mapping = field(default_factory=dict)
    before: Callable = nothing
    run: Callable = lambda scene: scene.run()
    undo: Callable = nothing
    left: str = NOTHING
    again: str | None = None
    clean: Mapping = field(default_factory=dict)
    at_least_s: float = 0

    def requests(self, words):
        return " ".join(WORDS[self.service].get(word, word) for word in words.split()).split()

    def requests_again(self):
        if self.again is not None or self.expected == SUCCEEDS:
            return self.requests(self.again or "")
        return self.requests("attempt range licence" if self.left == PART else "attempt licence")


DOWNLOADING = """
import json, signal, sys
from pathlib import Path
from tandem.pipeline.params import section
from tandem.pipeline.run import run
from tandem.sources.download import download
from tandem.sources.settings import Source
from tandem.sources.transfer.attempt import Limits
signal.signal(signal.SIGINT, signal.default_int_handler)
name, source, folder, limits = json.loads(sys.argv[1])
source = section({"sources": {name: source}}, f"sources.{name}", Source)

def main():
    download(name, source, folder=Path(folder), limits=Limits(**limits))

run(main)
"""


class Scene:
    """One row's services, and one source in a scratch folder."""

    def __init__(self, row, services, base, stack):
        self.row, self.services, self.base, self.stack = row, services, base, stack
        self.home, self.folder = base / "home", base / "downloads"
        self.home.mkdir()
        self.folder.mkdir()
        self.files = self.folder / "files" / NAME
        self.scratch = self.folder / "partial" / NAME
        self.archives, self.texts = {}, []
        self.serve(VERSION, row.archive())
        self.serve(OTHER, BETTER)

    def serve(self, version, archive):
        self.archives[version] = archive
        served = {"version": version, "archive": archive}
        if self.row.hashes is not None:
            served["hashes"] = self.row.hashes
        if self.row.service == "kaggle":
            self.services.add_kaggle(PARAMETERS["kaggle"]["dataset"], **served)
        else:
            self.services.add_roboflow(PARAMETERS["roboflow"]["project"], fmt="folder", num_images=3, **served)

    def plant(self, faults):
        self.services.faults[:] = [replace(fault, kind=f"{self.row.service}.{fault.kind}") for fault in faults]

    def environ(self, changes):
        """Nothing of a developer's own: neither credentials nor a proxy."""
        kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "LANG", "TMPDIR") if name in os.environ}
        values = kept | self.services.environ() | CREDENTIALS | {"HOME": str(self.home)} | changes
        return {name: value.format(base=self.base) for name, value in values.items() if value is not None}

    def source(self, asks):
        service = self.row.service
        return source_of(DESCRIPTIONS[service](**PARAMETERS[service] | asks))

    def run(self):
        """The message of a failure, "" after a success."""
        return self.download(self.row.asks, self.row.environ, self.row.limits)

    def download(self, asks, environ, limits):
        source, limits = self.source(asks), replace(LIMITS, **limits)
        try:
            download(NAME, source, folder=self.folder, limits=limits, environ=self.environ(environ))
        except SourceError as error:
            self.texts.extend(all_texts_of(error))
            assert str(error).startswith(f"source {NAME} ({self.row.service}: ")
            return str(error)
        return ""

    def start(self):
        """Another process that downloads."""
        limits = asdict(replace(LIMITS, **self.row.limits))
        source = {"kind": self.row.service, "format": "auto", self.row.service: self.source(self.row.asks).description}
        job = json.dumps([NAME, source, str(self.folder), limits], default=asdict)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        process = subprocess.Popen(
            [sys.executable, "-c", DOWNLOADING, job], env=self.environ(self.row.environ), **pipes
        )
        self.stack.enter_context(process)
        self.stack.callback(process.kill)
        return process

    def part(self):
        """What has come of the archive, as far as it is on the disk."""
        found = [path for path in self.scratch.glob("archive/files/*.zip*") if not path.name.endswith("-partial")]
        return found[0].read_bytes() if found else b""

    def left(self):
        if not self.scratch.exists():
            return NOTHING
        is_part = self.row.service == "kaggle" and self.part() and self.archives[VERSION].startswith(self.part())
        return PART if is_part else LEFTOVERS

    def published(self):
        """What the rest of the pipeline sees."""
        paths = (f"files/{NAME}/", f"receipts/{NAME}.json")
        return {name: content for name, content in contents(self.folder).items() if name.startswith(paths)}

    def kinds(self, start):
        """Of the requests since the log had this length."""
        requests = self.services.log[start:]
        return ["range" if "range" in each.headers else each.kind.partition(".")[2] for each in requests]


def all_texts_of(error):
    """The texts of an error and of those behind it, hidden ones too."""
    while error is not None:
        yield from (str(error), repr(error), "".join(traceback.format_exception(error)))
        error = error.__cause__ or error.__context__


def home_file(name, text):
    def plant(scene):
        path = scene.home / name
        path.parent.mkdir(parents=True)
        path.write_text(text)

    return plant


def no_home(scene):
    scene.home.rmdir()


def env_file(scene):
    """Where roboflow's client looks for one: in every folder above its own, that of the project among them."""
    site = scene.base / "project" / ".venv" / "lib"
    site.mkdir(parents=True)
    (site / "roboflow").symlink_to(find_spec("roboflow").submodule_search_locations[0])
    (scene.base / "project" / ".env").write_text(f"http_proxy={NOBODY}\n")


def complete(scene):
    assert scene.download({}, {}, {}) == ""


def changed(scene):
    complete(scene)
    shard = scene.files / "files-00000.tar"
    content = MEMBERS["train/apple/1.jpg"]
    assert content in shard.read_bytes()
    shard.write_bytes(shard.read_bytes().replace(content, content[::-1]))


def foreign(scene):
    scene.files.mkdir(parents=True)
    (scene.files / "mine.jpg").write_bytes(b"somebody's work")


def no_files(scene):
    shutil.rmtree(scene.files)


def cut_before(scene):
    scene.plant(storage(cut=0.5))
    assert "are kept for the next run" in scene.download({}, {}, {"attempts": 1})


def replaced_after_a_cut(scene):
    cut_before(scene)
    scene.serve(VERSION, BETTER)


def small_disk(size):
    def mount(scene):
        options = ["-t", "tmpfs", "-o", f"size={size}", "tmpfs", scene.folder]
        mounted = subprocess.run(["mount", *options], capture_output=True, text=True)
        if mounted.returncode:
            pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
        scene.stack.callback(subprocess.run, ["umount", scene.folder], check=True)

    return mount


def larger_disk(scene):
    subprocess.run(["mount", "-o", "remount,size=64m", scene.folder], check=True)


def is_alive(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def half_is_there(scene):
    return len(scene.part()) > len(scene.archives[VERSION]) // 3


def is_unpacking(scene):
    return any(scene.scratch.glob(".*/apple/1*.jpg"))


def asks_for_licence(scene):
    return scene.services.asked("kaggle.dataset")


def ended(number, *, when):
    """Another process that downloads, ended by a signal: its client must end by itself."""

    def run(scene):
        process = scene.start()
        wait_until(lambda: when(scene))
        clients = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        printed, _ = process.communicate(timeout=20)
        scene.texts.append(printed)
        wait_until(lambda: not any(map(is_alive, clients)), timeout_s=5)
        return f"exit code {process.returncode}, printed {printed!r}"

    return run


def second_beside(scene):
    """A run while another one is under way: it asks for nothing, and the other one goes on."""
    process = scene.start()
    wait_until(scene.part)
    assert re.search(r"another run downloads it right now \(it holds .*\); wait for its end", scene.run())
    printed, _ = process.communicate(timeout=20)
    assert (process.returncode, printed) == (0, "")
    return ""


def interface(**fault):
    """Of the request that asks where the archive is."""
    return (Fault("download", **fault), Fault("export", **fault))  # of the two kinds, a service knows one


def storage(**fault):
    return (Fault("storage", **fault),)


def both(name, requested, expected=SUCCEEDS, *, kaggle=None, roboflow=None, **planted):
    """A row for each service; kaggle, roboflow: what is otherwise with one of them."""
    usual = {"requested": requested, "expected": expected} | planted
    of_service = {"kaggle": kaggle or {}, "roboflow": roboflow or {}}
    return [Row(service, name, **usual | changes) for service, changes in of_service.items()]


RESUMED = {"requested": "attempt attempt range licence"}
# What one service alone has, or our own code alone decides, is tried with one: a start of a client takes its time.
# fmt: off
ROWS = (
    *both("nothing goes wrong", "attempt licence"),
    *both("complete already, and no credentials", "", before=complete, environ=NONE),
    *both("another version than before", "attempt licence", before=complete, asks=ANOTHER),

    *both("no credentials", "", "no credentials for .* were found; .*set (KAGGLE_API_TOKEN|ROBOFLOW_API_KEY)",
          environ=NONE),
    Row("kaggle", "half of the pair", "", "half there: KAGGLE_KEY is missing", environ={"KAGGLE_KEY": None}),
    Row("kaggle", "kaggle.json", "attempt licence", environ=NONE, before=home_file(
        ".kaggle/kaggle.json", json.dumps({"username": KAGGLE_USERNAME, "key": KAGGLE_KEY}))),
    Row("kaggle", "broken kaggle.json", "", r"\.kaggle/kaggle\.json holds no username and key in JSON; download it",
        before=home_file(".kaggle/kaggle.json", f'{{"username": "wanda", "key": "{WRONG_KEY}"'), environ=NONE),
    Row("kaggle", "wrong key", "interface", "answered 401 .*does not accept KAGGLE_USERNAME and KAGGLE_KEY: create new",
        environ={"KAGGLE_KEY": WRONG_KEY}),
    Row("roboflow", "wrong key", "key", "answered 401 .*does not accept ROBOFLOW_API_KEY: set it to the private key",
        environ={"ROBOFLOW_API_KEY": WRONG_ROBOFLOW_KEY}),
    Row("roboflow", "impossible key", "", "ROBOFLOW_API_KEY cannot be a key of Roboflow's: it has 21 characters",
        environ={"ROBOFLOW_API_KEY": DUMMY_KEY}),
    Row("kaggle", "token", "introspect attempt introspect licence", environ=TOKEN),
    Row("kaggle", "token in a file", "introspect attempt introspect licence",
        before=home_file(".kaggle/access_token", f"{KAGGLE_TOKEN}\n"), environ=NONE),
    Row("kaggle", "stale token", "introspect", "does not accept KAGGLE_API_TOKEN: create new ones",
        environ=NONE | {"KAGGLE_API_TOKEN": STALE_TOKEN}),
    Row("kaggle", "stale token beside a good pair", "introspect", "not accept KAGGLE_API_TOKEN: KAGGLE_USERNAME and "
        "KAGGLE_KEY would do, but a token goes first: remove KAGGLE_API_TOKEN to use them",
        environ={"KAGGLE_API_TOKEN": STALE_TOKEN}),
    Row("kaggle", "token check answers 403", "introspect", "IntrospectToken answered 403 .*accept KAGGLE_API_TOKEN",
        faults=(Fault("introspect", status=403),), environ=TOKEN),
    Row("kaggle", "token check answers 500 once", "introspect introspect attempt introspect licence",
        faults=(Fault("introspect", status=500, times=1),), environ=TOKEN),

    *both("403", "interface", "answered 403 .*(accept its terms|use a key of its workspace)",
          faults=interface(status=403)),
    Row("kaggle", "unknown dataset", "download dataset", "answered 404 .*check the name and that the dataset is public",
        asks={"dataset": "wanda/pears"}),
    Row("roboflow", "unknown project", "key project key project", "answered 404 .*check the name at",
        asks={"project": "orchard/pears"}),
    *both("unknown version", "download dataset", "version 9 is not among those of .*: 3, 4; correct the version",
          roboflow={"requested": "look look"}, asks={"version": 9}),
    Row("roboflow", "unknown format", "look version version export look",
        r"answered 400 .*format 'fancy' may be wrong \(exported so far: folder\); correct", asks={"format": "fancy"}),
    *both("429 once", "interface attempt licence", faults=interface(status=429, times=1)),
    *both("429 once, Retry-After: 1", "interface attempt licence",
          faults=interface(status=429, headers={"Retry-After": "1"}, times=1), at_least_s=1),
    *both("429 always", "interface interface interface", "after 3 attempts: .*answered 429 .*again later",
          faults=interface(status=429)),
    *both("429, Retry-After: 3600", "interface", "429 .* asks for a pause of 3600 s; run it again later",
          faults=interface(status=429, headers={"Retry-After": "3600"})),
    *both("500 once", "interface attempt licence", faults=interface(status=500, times=1)),
    *both("500 always", "interface interface interface", "after 3 attempts: .*answered 500 .*again later",
          faults=interface(status=500)),
    *both("null for an answer", "interface", r"the client gave up \(TypeError", faults=interface(body=b"null"),
          environ={"TANDEM_TRACEBACK": "1", "VERBOSE": "true"}),
    Row("kaggle", "answer that repeats the key", "interface", r"the client gave up \(HTTPError: .*\*\*\*",
        faults=interface(body=json.dumps({"code": 400, "message": f"Basic {ENCODED_PAIR}, {KAGGLE_KEY}"}).encode()),
        environ={"TANDEM_TRACEBACK": "1", "VERBOSE": "true"}),
    *both("web page for an answer", "interface interface", "sent a web page in place of data; look for a login",
          faults=interface(html=True), limits=TWICE),
    Row("kaggle", "licence not told", "attempt licence", faults=(Fault("dataset", status=500),)),

    *both("connection refused", "", "after 3 attempts: the connection to .*Connection refused", environ=REFUSED),
    Row("roboflow", "silent interface once", "interface attempt", faults=interface(silent=True, times=1), limits=SHORT),
    *both("silent interface always", "interface interface", r"after 2 attempts: .*sent nothing for 0\.8 s",
          faults=interface(silent=True), limits=SHORT),
    *both("silent storage", "attempt attempt", r"after 2 attempts: .*sent nothing for 0\.8 s",
          faults=storage(silent=True), limits=SHORT),
    *both("stalled at half once", "attempt attempt licence", kaggle=RESUMED, faults=storage(stall=0.5, times=1),
          limits=SHORT),
    *both("stalled at half always", "attempt attempt", r"after 2 attempts: .*sent nothing for 0\.8 s",
          faults=storage(stall=0.5), limits=SHORT, kaggle={"requested": "attempt attempt range", "left": PART}),
    Row("kaggle", "slower than the deadline", "attempt", r"the attempt took too long \(more than 2\.5 s\)",
        faults=storage(trickle=(1 << 16, 0.3)), limits={"total_s": 2.5, "attempts": 1}, left=PART),
    *both("cut at half once", "attempt attempt licence", kaggle=RESUMED, faults=storage(cut=0.5, times=1)),
    *both("cut at half always", "attempt attempt", "after 2 attempts: .*it ended early", limits=TWICE,
          faults=storage(cut=0.5), kaggle={"requested": "attempt attempt range", "left": PART}),
    *both("reset at half once", "attempt attempt licence", kaggle=RESUMED,
          faults=storage(cut=0.5, reset=True, times=1)),

    Row("roboflow", "503 of the storage once", "attempt attempt", faults=storage(status=503, times=1)),
    *both("403 of the storage once", "attempt attempt licence", faults=storage(status=403, times=1)),
    Row("kaggle", "cut, then 503 for the rest", "attempt attempt range attempt licence",
        faults=storage(cut=0.5, times=1) + storage(status=503, after=2, times=1)),
    Row("kaggle", "cut once, and no ranges", "attempt attempt licence",
        faults=storage(cut=0.5, times=1, no_ranges=True) + storage(no_ranges=True)),
    Row("kaggle", "cut before, another archive now", "attempt licence", before=replaced_after_a_cut),
    Row("kaggle", "cut before, another version now", "attempt licence", before=cut_before, asks=ANOTHER),
    # The client sees that the part is one of another length, and begins anew.
    *both("length too long", "attempt attempt", "after 2 attempts: .*it ended early", faults=storage(length=1000),
          limits=TWICE, kaggle={"requested": "attempt attempt range", "left": PART, "again": "attempt licence"}),
    *both("length too short", "attempt attempt", "after 2 attempts: .*is corrupt", faults=storage(length=-1000),
          limits=TWICE),
    *both("no length", "attempt licence", faults=storage(no_length=True)),
    *both("no length, cut once", "attempt attempt licence", faults=storage(no_length=True, cut=0.5, times=1)),
    *both("chunked", "attempt licence", faults=storage(chunked=True)),
    *both("web page for the archive", "attempt attempt", "sent a web page in place of data",
          faults=storage(html=True), limits=TWICE),
    *both("web page named zip", "attempt attempt", "is corrupt .*(is no zip or tar archive|was promised)",
          faults=storage(body=PORTAL), limits=TWICE),

    *both("byte flipped once, hashes served", "attempt attempt licence", faults=storage(flip=True, times=1),
          hashes=("md5", "crc32c")),
    *both("byte flipped once, no hashes", "attempt attempt licence", faults=storage(flip=True, times=1), hashes=()),
    *both("byte flipped always, hashes served", "attempt attempt", "corrupt .*its (md5|crc32c) .*was promised",
          faults=storage(flip=True), limits=TWICE, hashes=("md5", "crc32c")),
    *both("byte flipped always, no hashes", "attempt attempt", "after 2 attempts: .*Bad CRC-32",
          faults=storage(flip=True), hashes=(), limits=TWICE),
    Row("kaggle", "right sha256", "attempt licence", asks={"sha256": hashlib.sha256(GOOD).hexdigest()}),
    Row("kaggle", "wrong sha256, hashes served", "attempt", "sha256 is [0-9a-f]{64}, but (11){32} is expected; another "
        "file is served now", asks={"sha256": "11" * 32}),
    Row("kaggle", "wrong sha256, no hashes", "attempt attempt", "(11){32} is expected; another file is served now",
        asks={"sha256": "11" * 32}, hashes=()),
    Row("kaggle", "wrong sha256 of what is there", "attempt", "(11){32} is expected", before=complete,
        asks={"sha256": "11" * 32}, again=""),
    Row("roboflow", "right tree_sha256", "attempt", asks={"tree_sha256": digest_of(MEMBERS)}),
    Row("roboflow", "right tree_sha256, exported another day", "attempt", archive=exported_another_day,
        asks={"tree_sha256": digest_of(MEMBERS)}),
    Row("roboflow", "wrong tree_sha256", "attempt", "tree_sha256 [0-9a-f]{64}, but (11){32} is expected; other files",
        asks={"tree_sha256": "11" * 32}),

    *both("member outside the folder", "attempt", r"'\.\./evil\.jpg' points outside the folder",
          archive=holding("../evil.jpg"), clean=ANOTHER),
    *both("member with an absolute path", "attempt", r"'/evil\.jpg' has an absolute path",
          archive=holding("/evil.jpg"), clean=ANOTHER),
    *both("symbolic link", "attempt", r"'link\.jpg' is a symbolic link", archive=with_link, clean=ANOTHER),
    *both("encrypted member", "attempt", r"'secret\.jpg' is encrypted", archive=encrypted, clean=ANOTHER),
    *both("two members of one name", "attempt", r"'A\.JPG' is there twice",
          archive=lambda: zipped({"a.jpg": b"1", "A.JPG": b"2"}), clean=ANOTHER),
    *both("bomb", "attempt", r"'zeros\.jpg' swells to .* times the archive's size", archive=bomb, clean=ANOTHER),
    *both("empty archive", "attempt", "holds no files", archive=lambda: zipped({}), clean=ANOTHER),
    Row("roboflow", "no images", "attempt", r"the export holds no images \(1 files: data\.yaml\)",
        archive=holding("data.yaml"), clean=ANOTHER),
    Row("roboflow", "packed over an unfinished download", "attempt", r"the export holds a roboflow\.zip",
        archive=holding("roboflow.zip"), clean=ANOTHER),
    Row("kaggle", "more bytes than allowed", "attempt", "sends too much .*above 1000000",
        limits={"max_bytes": 1_000_000}),
    Row("roboflow", "more bytes than allowed, no length", "attempt", "sends too much .*above 1000000",
        faults=storage(no_length=True), limits={"max_bytes": 1_000_000}),

    Row("kaggle", "no room for the archive", "attempt", r"\d+ bytes are needed at .*, \d+ are free\); make room there",
        before=small_disk("1m"), undo=larger_disk),
    *both("disk full while downloading", "attempt", "there is no room for the archive .*No space left",
          faults=storage(chunked=True), before=small_disk("1m"), undo=larger_disk),
    *both("disk full while unpacking", "attempt", r"cannot be unpacked .*No space left .* free\); make room",
          archive=swelling, before=small_disk("6m"), undo=larger_disk),
    *both("files that no receipt describes", "", "does not describe; they are not replaced: move them",
          before=foreign, undo=no_files),
    *both("files changed by hand", "", "does not describe; they are not replaced: move them",
          before=changed, undo=no_files),
    *both("new version fails, the old one stays", "attempt", "is corrupt", before=complete, asks=ANOTHER,
          faults=storage(flip=True), limits={"attempts": 1}, clean=ANOTHER),

    *both("killed at half", "attempt", "^exit code -9, printed ''$", run=ended(signal.SIGKILL, when=half_is_there),
          faults=storage(stall=0.5), kaggle={"left": PART}, roboflow={"left": LEFTOVERS}),
    *both("Ctrl-C at half", "attempt", "^exit code 130, printed ''$", run=ended(signal.SIGINT, when=half_is_there),
          faults=storage(stall=0.5), kaggle={"left": PART}),
    Row("roboflow", "killed while unpacking", "attempt", "^exit code -9, printed ''$", archive=of_many, left=LEFTOVERS,
        run=ended(signal.SIGKILL, when=is_unpacking)),
    Row("kaggle", "Ctrl-C while the licence is asked for", "attempt licence", "^exit code 130, printed ''$",
        run=ended(signal.SIGINT, when=asks_for_licence), faults=(Fault("dataset", silent=True),)),
    *both("two runs at once", "attempt licence", run=second_beside, faults=storage(trickle=(1 << 16, 0.03))),

    Row("kaggle", "KAGGLE_CONFIG_DIR cannot be made", "attempt licence", environ={"KAGGLE_CONFIG_DIR": NO_FOLDER}),
    Row("kaggle", "KAGGLE_PATH, KAGGLE_TOKEN and VERBOSE", "attempt licence",
        environ={"KAGGLE_PATH": NO_FOLDER, "KAGGLE_TOKEN": STALE_TOKEN, "VERBOSE": "true", "VERBOSE_OUTPUT": "true"}),
    Row("roboflow", "ROBOFLOW_CONFIG_DIR is a folder", "attempt", environ={"ROBOFLOW_CONFIG_DIR": "{base}"}),
    Row("kaggle", "HOME cannot be written", "attempt licence", environ={"HOME": NO_FOLDER}),
    Row("roboflow", "HOME missing", "attempt", before=no_home, environ={"HOME": None}),
    Row("roboflow", "another proxy in .env", "attempt", before=env_file,
        environ={"PYTHONPATH": "{base}/project/.venv/lib", "http_proxy": None}),
)
# fmt: on
NAMES = list(dict.fromkeys(row.name for row in ROWS))


def name_of(row):
    return re.sub(r"[^\w.]+", "-", f"{row.service} {row.name}")


@pytest.fixture
def scene(request, tmp_path, monkeypatch):
    with ExitStack() as stack, Services() as services:
        scene = Scene(request.param, services, tmp_path, stack)
        monkeypatch.setenv("HOME", str(scene.home))  # for rows whose own environment lacks one
        yield scene


def assert_tidy(scene):
    assert [path for path in scene.folder.rglob("*.partial") if scene.scratch not in path.parents] == []


def assert_no_secrets(scene, printed):
    on_disk = [f"{name} {content.decode('latin-1')}" for name, content in contents(scene.folder).items()]
    message = [*scene.texts, *printed, *on_disk]
    assert [secret for secret in SECRETS if any(secret in text for text in message)] == []


def assert_whole(scene, asks):
    """The files of the archive that was asked for, their receipt, and nothing else."""
    version = asks.get("version", VERSION)
    with zipfile.ZipFile(io.BytesIO(scene.archives[version])) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    found = contents(scene.folder)
    found.pop(f"partial/{NAME}.lock", None)
    with tarfile.open(fileobj=io.BytesIO(found.pop(f"files/{NAME}/files-00000.tar"))) as tar:
        found |= {f"files/{NAME}/{member.name}": tar.extractfile(member).read() for member in tar}
    receipt = json.loads(found.pop(f"receipts/{NAME}.json"))
    assert found == {f"files/{NAME}/{name}": content for name, content in members.items()}
    lasting = {name: content for name, content in members.items() if name != "README.roboflow.txt"}
    assert (receipt["version"], receipt["tree_sha256"]) == (str(version), digest_of(lasting))
    assert not scene.scratch.exists()
    assert_tidy(scene)


def assert_nothing_new(scene, before, message):
    """After a failure: what was published stays byte by byte, and the archive's part is as the row says."""
    assert scene.published() == before
    assert scene.left() == scene.row.left
    if scene.row.left != LEFTOVERS:
        assert_tidy(scene)
    if message.startswith("source"):
        kept = f"; the {len(scene.part())} bytes that came are kept for the next run"
        assert message.endswith(kept) == (scene.row.left == PART)


@pytest.mark.parametrize("scene", ROWS, indirect=True, ids=name_of)
def test_download(scene, capfd):
    row = scene.row
    row.before(scene)
    before, home, start = scene.published(), contents(scene.home), len(scene.services.log)
    scene.plant(row.faults)
    begun = time.monotonic()
    message = row.run(scene)
    assert time.monotonic() - begun >= row.at_least_s
    assert re.search(row.expected, message) if row.expected else message == ""
    assert scene.kinds(start) == row.requests(row.requested)
    if message:
        assert_nothing_new(scene, before, message)
    else:
        assert_whole(scene, row.asks)
    printed = capfd.readouterr()
    assert ("Traceback" in printed.err) == ("TANDEM_TRACEBACK" in row.environ)
    assert_no_secrets(scene, printed)

    row.undo(scene)
    scene.plant(())
    if row.before is not nothing or contents(scene.folder) not in ({}, {f"partial/{NAME}.lock": b""}):
        start, clean = len(scene.services.log), row.clean if message else row.asks
        assert scene.download(clean, {}, {}) == ""
        assert scene.kinds(start) == row.requests_again()
        assert_whole(scene, clean)
        assert_no_secrets(scene, capfd.readouterr())
    assert contents(scene.home) == home
    assert scene.services.unexpected == []


@pytest.mark.parametrize("scene", [row for row in ROWS if row.before is env_file], indirect=True, ids=name_of)
def test_the_env_file_lies_where_the_client_looks_when_it_is_not_prevented(scene):
    env_file(scene)
    (scene.base / "look.py").write_text("import os, roboflow; print(os.environ['http_proxy'])")
    look = [sys.executable, scene.base / "look.py"]
    environ = scene.environ(scene.row.environ)
    assert subprocess.run(look, env=environ, capture_output=True, text=True, check=True).stdout == f"{NOBODY}\n"


def cell(name, service):
    """What the page says of a row."""
    row = next((row for row in ROWS if (row.service, row.name) == (service, name)), None)
    if row is None:
        return "-"
    count = len(row.requests(row.requested))
    requests = f"{count or 'no'} request{'s' if count != 1 else ''}"
    return f"{'stops' if row.expected else 'succeeds'}, {requests}{', part kept' if row.left == PART else ''}"


def table():
    lines = [f"| {name} | {cell(name, 'kaggle')} | {cell(name, 'roboflow')} |" for name in NAMES]
    return "\n".join(["| what goes wrong | Kaggle | Roboflow |", "| --- | --- | --- |", *lines])


def test_the_page_shows_all_rows_and_no_others():
    page = PAGE.read_text(encoding="utf-8")
    shown = re.search(r"^\| what goes wrong \|.*?(?=\n\n|\n?\Z)", page, re.MULTILINE | re.DOTALL)
    assert shown
    assert shown[0].splitlines() == table().splitlines()
    assert f"{len(ROWS)} rows" in page
    assert len({(row.service, row.name) for row in ROWS}) == len(ROWS)
