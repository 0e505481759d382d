"""The status of sources before a download, of every kind, and its text; services are mock servers.

Covers sources.check, sources.status and the checks of archive, sample, kaggle and roboflow.
"""

import os
import struct
import zlib
from zipfile import ZipFile, ZipInfo

import pytest

from factories import source, source_of
from services import KAGGLE_KEY, KAGGLE_USERNAME, ROBOFLOW_KEY, Fault, Services, zipped
from tandem.sources.check import check_source, folder_names, format_statuses
from tandem.sources.settings import RoboflowSource
from tandem.sources.transfer.attempt import Limits

KEYS = {"KAGGLE_USERNAME": KAGGLE_USERNAME, "KAGGLE_KEY": KAGGLE_KEY, "ROBOFLOW_API_KEY": ROBOFLOW_KEY}
LIMITS = Limits(connect_s=5, silence_s=20, wait_s=0, attempts=2)
SHA256 = "a" * 64


@pytest.fixture
def services():
    with Services() as services:
        services.add_kaggle("wanda/fruit", version=3, archive=zipped({"1.jpg": b"3"}), licence="MIT")
        services.add_kaggle("wanda/fruit", version=4, archive=bytes(2_345_678), licence="CC0-1.0")
        services.add_roboflow(
            "orchard/fruit", version=2, fmt="folder", archive=zipped({"1.jpg": b"2"}), num_images=1234
        )
        yield services
    assert services.unexpected == []


@pytest.fixture
def environ(services, tmp_path):
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path)} | services.environ()


def check(stated, environ, *, is_online=True):
    return check_source("fruit", stated, limits=LIMITS, environ=environ, is_online=is_online)


def kaggle(version=4, **options):
    return source("kaggle", dataset="wanda/fruit", version=version, **options)


def roboflow(version=2):
    return source_of(RoboflowSource("orchard/fruit", version=version, format="folder"))


@pytest.mark.parametrize(
    ("sha256", "pin"), [(None, "no sha256: any is taken"), (SHA256, f"sha256 {SHA256}")], ids=["any", "pinned"]
)
def test_an_archive_that_exists_is_available(tmp_path, sha256, pin):
    (tmp_path / "mine.zip").touch()
    status = check(source("archive", path=str(tmp_path / "mine.zip"), sha256=sha256), {})
    assert status == ("fruit", f"archive {tmp_path}/mine.zip", {"pin": pin, "disk": "it is there"}, True)


def test_an_archive_that_is_missing_is_to_be_put_there(tmp_path):
    status = check(source("archive", path=str(tmp_path / "mine.zip")), {})
    assert (status.facts["disk"], status.is_available) == ("it is not there; put it there", False)


def test_the_sample_is_always_available():
    status = check(source("sample", style="kaggle", seed=7), {})
    assert status == ("fruit", "synthetic sample", {"pin": "seed 7"}, True)


def test_a_dataset_is_described_with_what_kaggle_states(services, environ):
    status = check(kaggle(sha256=SHA256), environ | KEYS)
    assert (status.name, status.what, status.is_available) == ("fruit", "kaggle wanda/fruit", True)
    assert status.facts == {
        "page": "https://www.kaggle.com/datasets/wanda/fruit",
        "credentials": "KAGGLE_USERNAME and KAGGLE_KEY",
        "pin": f"version 4, sha256 {SHA256}",
        "service": "version 4 is there, 4 is the current one; 2.3 MB; licence CC0-1.0",
    }
    assert services.asked("kaggle.download", "kaggle.storage") == []


def test_a_project_is_described_with_what_roboflow_states(services, environ):
    status = check(roboflow(), environ | KEYS)
    assert (status.name, status.what, status.is_available) == ("fruit", "roboflow orchard/fruit", True)
    assert status.facts == {
        "page": "https://universe.roboflow.com/orchard/fruit",
        "credentials": "ROBOFLOW_API_KEY",
        "pin": "version 2, no tree_sha256: any is taken",
        "service": "version 2 is there, 2 is the current one; 1,234 images",
    }
    assert services.asked("roboflow.export", "roboflow.link", "roboflow.storage") == []


@pytest.mark.parametrize(("stated", "versions"), [(kaggle(version=9), "3, 4"), (roboflow(version=9), "2")])
def test_a_version_that_is_missing_is_answered_by_those_that_are_there(environ, stated, versions):
    status = check(stated, environ | KEYS)
    assert status.facts["service"] == f"version 9 is not there; there are: {versions}; correct the version"
    assert not status.is_available


def test_a_dataset_without_versions_has_none(services, environ):
    services.faults.append(Fault("kaggle.dataset", body=b"{}"))
    status = check(kaggle(), environ | KEYS)
    assert status.facts["service"] == "version 4 is not there; there are: none; correct the version"


@pytest.mark.parametrize("stated", [kaggle(), roboflow()])
def test_without_credentials_no_service_is_asked(services, environ, stated):
    status = check(stated, environ)
    assert status.facts["credentials"].startswith("no credentials for ")
    assert (status.facts["service"], status.is_available) == ("not asked", False)
    assert services.log == []


@pytest.mark.parametrize("stated", [kaggle(), roboflow()])
def test_offline_no_service_is_asked_and_credentials_are_enough(services, environ, stated):
    status = check(stated, environ | KEYS, is_online=False)
    assert (status.facts["service"], status.is_available) == ("not asked", True)
    assert services.log == []


def test_a_service_that_fails_is_named_beside_credentials_that_were_found(services, environ):
    services.faults.append(Fault("kaggle.dataset", status=403))
    status = check(kaggle(), environ | KEYS)
    assert status.facts["credentials"] == "KAGGLE_USERNAME and KAGGLE_KEY"
    assert "answered 403" in status.facts["service"]
    assert not status.is_available


def test_the_text_has_a_paragraph_for_each_source(tmp_path):
    statuses = [check(source("sample", style="kaggle", seed=seed), {}) for seed in (7, 8)]
    assert format_statuses(statuses) == (
        "fruit: synthetic sample\n  pin          seed 7\n\nfruit: synthetic sample\n  pin          seed 8"
    )


def test_the_folders_of_a_zip_have_the_names_under_which_they_are_unpacked(tmp_path):
    info, name = ZipInfo("caminh-o/1.jpg"), "caminhão/1.jpg".encode()
    field = b"\x01" + struct.pack("<L", zlib.crc32(b"caminh-o/1.jpg")) + name
    info.extra = struct.pack("<HH", 0x7075, len(field)) + field  # Unicode Path, of Info-ZIP and WinRAR
    with ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, b"1")
        archive.writestr("car\\2.jpg", b"1")
    found = folder_names(source("archive", path=str(tmp_path / "a.zip"), sha256=None))
    assert found == {"caminhão", "car"}
