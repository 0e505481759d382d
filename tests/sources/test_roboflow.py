"""Roboflow's official client, watched in its child, against a mock server on 127.0.0.1.

Covers sources.roboflow and transfer.roboflow_client.
"""

import hashlib
import json
import os
from base64 import b64encode
from importlib.metadata import version

import pytest

from factories import source_of
from services import PROJECT, ROBOFLOW_KEY, ROBOFLOW_LINK_KEY, STORAGE_SIGNATURE, Fault, Services, zipped
from tandem.errors import SourceError
from tandem.sources import roboflow
from tandem.sources.download import download
from tandem.sources.settings import RoboflowSource
from tandem.sources.transfer.attempt import Limits

REF = "orchard/fruit"
PAGE = "https://universe.roboflow.com/orchard/fruit"
KEY = {"ROBOFLOW_API_KEY": ROBOFLOW_KEY}
LIMITS = Limits(connect_s=5, silence_s=20, wait_s=0, attempts=2)
README = (
    "\nfruit - v2\n==============================\n"
    "\nThis dataset was exported via roboflow.com on May 6, 2024 at 7:08 AM\n"
    "\nThe following augmentation was applied to create 3 versions of each source image:\n* 50% probability of flip\n"
)
MEMBERS = {
    "train/apple/1_jpg.rf.0123456789abcdef0123456789abcdef.jpg": b"red",
    "train/pear/2_jpg.rf.fedcba9876543210fedcba9876543210.jpg": b"green",
    "README.dataset.txt": b"# fruit > 2\nProvided by a Roboflow user\nLicense: CC BY 4.0\n",
    "README.roboflow.txt": README.encode(),
}


ARCHIVE = zipped(MEMBERS)


@pytest.fixture
def services():
    """With two versions of a project; a test in which something unexpected came fails."""
    with Services() as services:
        services.add_roboflow(REF, version=2, fmt="folder", archive=ARCHIVE, num_images=1234, hashes=("md5",))
        services.add_roboflow(REF, version=2, fmt="coco", archive=zipped({"train/1.json": b"{}"}), num_images=1234)
        services.add_roboflow(REF, version=10, fmt="folder", archive=zipped({"a.jpg": b"10"}), num_images=1)
        yield services
    assert services.unexpected == []


@pytest.fixture
def environ(services, tmp_path):
    """Of a user who has a home, a network and no credentials."""
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path)} | services.environ()


def refusal(ask):
    """The message of a request that fails; it shows no secret."""
    with pytest.raises(SourceError) as error:
        ask(limits=LIMITS)
    message = str(error.value)
    assert not [secret for secret in (ROBOFLOW_KEY, ROBOFLOW_LINK_KEY, STORAGE_SIGNATURE) if secret in message]
    return message


def fetched(tmp_path, environ, number=2, format="folder", limits=LIMITS, tree_sha256=None):
    wanted = RoboflowSource(REF, version=number, format=format, tree_sha256=tree_sha256)
    scratch = tmp_path / "partial" / "fruit"
    return roboflow.fetch(tmp_path / "files", wanted, scratch=scratch, limits=limits, environ=environ)


def fetch_refusal(tmp_path, environ, **options):
    message = refusal(lambda limits: fetched(tmp_path, environ, limits=limits, **options))
    assert not (tmp_path / "files").exists()
    return message


def service_info(environ, number):
    return roboflow.service_info(REF, number, limits=LIMITS, environ=environ)


def info_refusal(environ, project=REF):
    return refusal(lambda limits: roboflow.service_info(project, 2, limits=limits, environ=environ))


@pytest.mark.parametrize(("number", "size"), [(2, "1,234 images"), (10, "1 images"), (9, "size not stated")])
def test_what_the_service_has_is_returned_without_downloading_it(services, environ, number, size):
    assert service_info(environ | KEY, number) == ((2, 10), size, "")
    assert services.asked("roboflow.export", "roboflow.link", "roboflow.storage") == []


def test_a_licence_that_no_file_states_is_the_one_that_the_service_states(services, environ, tmp_path):
    services.roboflow.license = "BY-NC-SA 4.0"
    assert service_info(environ | KEY, 2).licence == "BY-NC-SA 4.0"
    assert fetched(tmp_path, environ | KEY).licence == ""  # of a file, which goes first
    members = {name: data for name, data in MEMBERS.items() if name != "README.dataset.txt"}
    services.add_roboflow(REF, version=2, fmt="folder", archive=zipped(members))
    assert fetched(tmp_path / "bare", environ | KEY).licence == "BY-NC-SA 4.0"


def test_without_a_key_no_service_is_asked(services, environ, tmp_path):
    for message in (info_refusal(environ), fetch_refusal(tmp_path, environ)):
        assert message.startswith(
            "no credentials for Roboflow were found; set ROBOFLOW_API_KEY to the private key of http"
        )
    assert services.log == []


def test_a_key_that_is_refused_is_named(environ, tmp_path):
    wrong = environ | {"ROBOFLOW_API_KEY": "anotherMadeUpKey9"}
    for message in (info_refusal(wrong), fetch_refusal(tmp_path, wrong)):
        assert message.endswith(
            "; Roboflow does not accept ROBOFLOW_API_KEY: set it to the private key of "
            "https://app.roboflow.com/settings/api"
        )
        assert "answered 401 (This API key does not exist (or has been revoked).)" in message
        assert "anotherMadeUpKey9" not in message


def test_a_name_that_is_not_known_is_to_be_checked(environ):
    message = info_refusal(environ | KEY, project="orchard/nothing")
    assert "127.0.0.1/rf/orchard/nothing answered 404 ('orchard/nothing' does not exist, " in message
    assert message.endswith(
        "; check the name at https://universe.roboflow.com/orchard/nothing, and that the key's workspace may read it"
    )


def test_an_unknown_project_is_not_downloaded_and_its_name_is_to_be_checked(services, environ, tmp_path):
    services.roboflow.projects.clear()
    message = fetch_refusal(tmp_path, environ | KEY)
    assert message.endswith(f"; check the name at {PAGE}, and that the key's workspace may read it")


def test_a_version_that_is_not_there_is_answered_by_those_that_are(services, environ, tmp_path):
    message = fetch_refusal(tmp_path, environ | KEY, number=9)
    assert message.endswith(f"; version 9 is not among those of {PAGE}: 2, 10; correct the version")
    assert services.asked("roboflow.export") == []


def test_a_format_that_is_not_there_is_answered_by_those_that_are(environ, tmp_path):
    message = fetch_refusal(tmp_path, environ | KEY, format="yolo77")
    assert message.endswith(
        "; version 2 is there; format 'yolo77' may be wrong (exported so far: folder, coco); correct the format"
    )


def test_a_project_that_may_not_be_read_asks_for_another_key(services, environ):
    services.faults.append(Fault("roboflow.project", status=403))
    message = info_refusal(environ | KEY)
    assert f"; the key of ROBOFLOW_API_KEY may not read this project: check the name at {PAGE}" in message


def test_a_download_is_returned_with_all_that_the_service_states_of_it(environ, tmp_path):
    assert fetched(tmp_path, environ | KEY)._asdict() == {
        "what": "orchard/fruit as folder",
        "version": "2",
        "sha256": hashlib.sha256(ARCHIVE).hexdigest(),
        "archive_bytes": len(ARCHIVE),
        "served_hash": f"md5={b64encode(hashlib.md5(ARCHIVE).digest()).decode()}",
        "client": f"roboflow {version('roboflow')}",
        "licence": "",
        "volatile": ("README.roboflow.txt",),
        "left_out": {},
    }
    root = tmp_path / "files"
    files = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert files == MEMBERS


def tree_sha256(members):
    """As sha256sum would list the files, but for the one that differs from export to export."""
    lines = [f"{hashlib.sha256(members[name]).hexdigest()}  {name}\n" for name in sorted(members)]
    return hashlib.sha256("".join(line for line in lines if "README.roboflow.txt" not in line).encode()).hexdigest()


def test_the_receipt_carries_what_the_service_and_the_export_state(environ, tmp_path):
    asked = {"project": REF, "version": 2, "format": "folder", "tree_sha256": None}
    receipt = download(
        "fruit", source_of(RoboflowSource(**asked)), folder=tmp_path, limits=LIMITS, environ=environ | KEY
    )
    assert (receipt.kind, receipt.what, receipt.version) == ("roboflow", "orchard/fruit as folder", "2")
    assert (receipt.asked, receipt.augmentation, receipt.licence) == (asked, 3, "CC BY 4.0")
    assert receipt.client == f"roboflow {version('roboflow')}"
    assert receipt.served_hash == f"md5={b64encode(hashlib.md5(ARCHIVE).digest()).decode()}"
    assert receipt.tree_sha256 == tree_sha256(MEMBERS)
    assert receipt.num_files == len(MEMBERS)


def test_the_minute_of_the_export_is_no_part_of_the_expected_digest(services, environ, tmp_path):
    later = MEMBERS | {"README.roboflow.txt": README.replace("7:08", "7:09").encode()}
    services.add_roboflow(REF, version=2, fmt="folder", archive=zipped(later))
    fetched(tmp_path, environ | KEY, tree_sha256=tree_sha256(MEMBERS))
    assert (tmp_path / "files" / "README.roboflow.txt").read_bytes() == later["README.roboflow.txt"]


def test_other_files_than_expected_are_refused(environ, tmp_path):
    message = fetch_refusal(tmp_path, environ | KEY, tree_sha256="0" * 64)
    assert message == (
        f"the files have tree_sha256 {tree_sha256(MEMBERS)}, but {'0' * 64} is expected; other files are served now: "
        "look at the version's page, then correct tree_sha256 if the change is meant"
    )


def test_a_version_that_was_never_exported_is_named_as_that(services, environ, tmp_path):
    services.roboflow.projects[REF][2].exports = []
    assert "(exported so far: none)" in fetch_refusal(tmp_path, environ | KEY)


def test_a_project_without_versions_is_named_as_that(services, environ, tmp_path):
    about = PROJECT | {"id": REF, "name": "fruit", "images": 0, "splits": {}}
    services.faults.append(Fault("roboflow.project", body=json.dumps({"project": about, "versions": []}).encode()))
    assert f"; version 2 is not among those of {PAGE}: none; correct the version" in fetch_refusal(
        tmp_path, environ | KEY
    )


def test_an_export_without_images_is_refused(environ, tmp_path):
    message = fetch_refusal(tmp_path, environ | KEY, format="coco")
    assert message == "the export holds no images (1 files: 1.json); check the version and its format"


def test_an_export_that_was_packed_over_an_unfinished_one_is_refused(services, environ, tmp_path):
    services.add_roboflow(REF, version=2, fmt="folder", archive=zipped(MEMBERS | {"roboflow.zip": b"half"}))
    assert fetch_refusal(tmp_path, environ | KEY).startswith("the export holds a roboflow.zip: it was packed over an")


def test_a_project_has_a_page():
    assert roboflow.page(REF) == PAGE
