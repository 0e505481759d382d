"""Kaggle's official client, watched in its child, against a mock server on 127.0.0.1.

Covers sources.kaggle and transfer.kaggle_client.
"""

import hashlib
import json
import os
from base64 import b64encode
from importlib.metadata import version

import google_crc32c
import pytest

from factories import source
from services import KAGGLE_KEY, KAGGLE_TOKEN, KAGGLE_USERNAME, PAIR, STORAGE_SIGNATURE, Fault, Services, zipped
from tandem.errors import SourceError
from tandem.sources import kaggle
from tandem.sources.download import download
from tandem.sources.settings import KaggleSource
from tandem.sources.transfer.attempt import Limits

REF = "wanda/fruit"
PAGE = "https://www.kaggle.com/datasets/wanda/fruit"
PAIR_IN_VARIABLES = {"KAGGLE_USERNAME": KAGGLE_USERNAME, "KAGGLE_KEY": KAGGLE_KEY}
LIMITS = Limits(connect_s=5, silence_s=20, wait_s=0, attempts=2)
MEMBERS = {"apple/1.jpg": b"red", "apple/2.jpg": b"green", "pear/1.jpg": bytes(2_345_000)}


ARCHIVE = zipped(MEMBERS)


@pytest.fixture
def services():
    """With two versions of a dataset; a test in which something unexpected came fails."""
    with Services() as services:
        services.add_kaggle(REF, version=3, archive=ARCHIVE, licence="MIT")
        services.add_kaggle(REF, version=4, archive=zipped({"apple/1.jpg": b"4"}), licence="CC0-1.0")
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
    assert not [secret for secret in (KAGGLE_KEY, KAGGLE_TOKEN, PAIR, STORAGE_SIGNATURE) if secret in message]
    return message


def fetched(tmp_path, environ, number=3, limits=LIMITS):
    scratch = tmp_path / "partial" / "fruit"
    wanted = KaggleSource(REF, version=number)
    return kaggle.fetch(tmp_path / "files", wanted, scratch=scratch, limits=limits, environ=environ)


def fetch_refusal(tmp_path, environ, number=3):
    return refusal(lambda limits: fetched(tmp_path, environ, number, limits))


def service_info(environ, dataset=REF):
    return kaggle.service_info(dataset, limits=LIMITS, environ=environ)


def info_refusal(environ, dataset=REF):
    return refusal(lambda limits: kaggle.service_info(dataset, limits=limits, environ=environ))


def test_what_the_service_has_is_returned_without_downloading_it(services, environ):
    services.add_kaggle(REF, version=5, archive=ARCHIVE, licence="CC0-1.0")
    assert service_info(environ | PAIR_IN_VARIABLES) == ((3, 4, 5), "2.3 MB", "CC0-1.0")
    assert services.asked("kaggle.download", "kaggle.storage") == []


@pytest.mark.parametrize(
    ("answer", "info"),
    [
        ({"currentVersionNumber": 3}, ((1, 2, 3), "size not stated", "")),  # Kaggle counts versions from 1
        ({"currentVersionNumber": 3, "versions": [{"versionNumber": 3}]}, ((3,), "size not stated", "")),
        ({}, ((), "size not stated", "")),
    ],
)
def test_what_the_service_does_not_state_of_a_dataset_is_not_made_up(services, environ, answer, info):
    services.faults.append(Fault("kaggle.dataset", body=json.dumps(answer).encode()))
    assert service_info(environ | PAIR_IN_VARIABLES) == info


@pytest.mark.parametrize("way", ["variable", "variable for a file", "file"])
def test_a_token_is_sent_to_the_service_wherever_it_was_found(services, environ, tmp_path, way):
    path = tmp_path / ".kaggle" / "access_token"
    path.parent.mkdir()
    path.write_text("" if way == "variable" else f"{KAGGLE_TOKEN}\n")
    stated = {"variable": {"KAGGLE_API_TOKEN": KAGGLE_TOKEN}, "variable for a file": {"KAGGLE_API_TOKEN": str(path)}}
    assert service_info(environ | stated.get(way, {})).versions == (3, 4)
    (asked,) = services.asked("kaggle.dataset")
    assert asked.headers["authorization"] == f"Bearer {KAGGLE_TOKEN}"


def test_a_pair_is_sent_to_the_service_from_its_file(services, environ, tmp_path):
    (tmp_path / ".kaggle").mkdir()
    (tmp_path / ".kaggle" / "kaggle.json").write_text(json.dumps({"username": KAGGLE_USERNAME, "key": KAGGLE_KEY}))
    assert service_info(environ).versions == (3, 4)
    (asked,) = services.asked("kaggle.dataset")
    assert asked.headers["authorization"] == f"Basic {PAIR}"


def test_without_credentials_no_service_is_asked(services, environ, tmp_path):
    for message in (info_refusal(environ), fetch_refusal(tmp_path, environ)):
        assert message.startswith(
            "no credentials for Kaggle were found; create a token at https://www.kaggle.com/settings"
        )
    assert services.log == []


def test_a_name_that_is_not_known_is_to_be_checked(environ):
    message = info_refusal(environ | PAIR_IN_VARIABLES, dataset="wanda/nothing")
    assert message == (
        "localhost/api/v1/datasets.DatasetApiService/GetDataset answered 404 (wanda/nothing version 0 was not found); "
        "check the name and that the dataset is public or shared with you: https://www.kaggle.com/datasets/wanda/nothing"
    )


def test_an_unknown_dataset_is_not_downloaded_and_its_name_is_to_be_checked(services, environ, tmp_path):
    services.kaggle.versions.clear()
    message = fetch_refusal(tmp_path, environ | PAIR_IN_VARIABLES)
    assert message.endswith(f"; check the name and that the dataset is public or shared with you: {PAGE}")
    assert not (tmp_path / "files").exists()


def test_a_version_that_is_not_there_is_answered_by_those_that_are(environ, tmp_path):
    message = fetch_refusal(tmp_path, environ | PAIR_IN_VARIABLES, number=9)
    assert message.endswith(f"; version 9 is not among those of {PAGE}: 3, 4; correct the version")
    assert not (tmp_path / "files").exists()


@pytest.mark.parametrize(
    ("credentials", "origin"),
    [
        (PAIR_IN_VARIABLES | {"KAGGLE_KEY": "c0ffee00" * 4}, "KAGGLE_USERNAME and KAGGLE_KEY"),
        ({"KAGGLE_API_TOKEN": "KGAT_" + "c0ffee00" * 4}, "KAGGLE_API_TOKEN"),
    ],
)
def test_credentials_that_are_refused_are_named(environ, credentials, origin):
    message = info_refusal(environ | credentials)
    assert message.endswith(f"; Kaggle does not accept {origin}: create new ones at https://www.kaggle.com/settings")
    assert "c0ffee00" not in message


def test_a_stale_token_before_a_good_pair_is_to_be_removed(environ):
    message = info_refusal(environ | PAIR_IN_VARIABLES | {"KAGGLE_API_TOKEN": "KGAT_" + "c0ffee00" * 4})
    assert "KAGGLE_USERNAME and KAGGLE_KEY would do, but a token goes first: remove KAGGLE_API_TOKEN" in message


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 429}, {"reset": True}, {"html": True}])
def test_a_token_that_could_not_be_checked_is_not_said_to_be_refused(services, environ, fault):
    services.faults.append(Fault("kaggle.introspect", **fault))
    message = info_refusal(environ | {"KAGGLE_API_TOKEN": KAGGLE_TOKEN})
    assert "security.OAuthService/IntrospectToken" in message
    assert "does not accept" not in message


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_token_that_the_service_refuses_to_check_is_refused(services, environ, status):
    services.faults.append(Fault("kaggle.introspect", status=status))
    message = info_refusal(environ | {"KAGGLE_API_TOKEN": KAGGLE_TOKEN})
    assert "Kaggle does not accept KAGGLE_API_TOKEN: create new ones at" in message


def test_a_version_that_is_there_is_not_said_to_be_missing(services, environ, tmp_path):
    services.faults.append(Fault("kaggle.download", status=404))
    message = fetch_refusal(tmp_path, environ | PAIR_IN_VARIABLES, number=3)
    assert message.endswith(f"; version 3 is listed at {PAGE}, but not given out; run it again later")


def test_a_dataset_that_may_not_be_read_has_terms_to_accept(services, environ, tmp_path):
    services.faults.append(Fault("kaggle.download", status=403))
    message = fetch_refusal(tmp_path, environ | PAIR_IN_VARIABLES)
    assert f"; open {PAGE} while logged in as the owner of KAGGLE_USERNAME and KAGGLE_KEY, accept its terms" in message
    assert len(services.asked("kaggle.download")) == 1


def test_a_download_is_returned_with_all_that_the_service_states_of_it(services, environ, tmp_path):
    result = fetched(tmp_path, environ | PAIR_IN_VARIABLES)
    md5, crc32c = hashlib.md5(ARCHIVE), google_crc32c.Checksum(ARCHIVE)
    assert result._asdict() == {
        "what": REF,
        "version": "3",
        "sha256": hashlib.sha256(ARCHIVE).hexdigest(),
        "archive_bytes": len(ARCHIVE),
        "served_hash": f"crc32c={b64encode(crc32c.digest()).decode()}, md5={b64encode(md5.digest()).decode()}",
        "client": f"kaggle {version('kaggle')}",
        "licence": "CC0-1.0",
        "volatile": (),
        "left_out": {},
    }
    root = tmp_path / "files"
    assert {path.relative_to(root).as_posix(): path.read_bytes() for path in root.glob("*/*")} == MEMBERS
    (asked,) = services.asked("kaggle.download")
    assert json.loads(asked.body)["datasetVersionNumber"] == 3


def test_a_licence_that_cannot_be_asked_for_costs_no_download(services, environ, tmp_path):
    services.faults.append(Fault("kaggle.dataset", status=500))
    assert fetched(tmp_path, environ | PAIR_IN_VARIABLES).licence == ""
    assert (tmp_path / "files" / "apple" / "1.jpg").read_bytes() == b"red"


def test_the_receipt_carries_what_the_service_states(environ, tmp_path):
    asked = {"dataset": REF, "version": 3, "sha256": None}
    receipt = download(
        "fruit", source("kaggle", **asked), folder=tmp_path, limits=LIMITS, environ=environ | PAIR_IN_VARIABLES
    )
    assert (receipt.kind, receipt.what, receipt.version, receipt.asked) == ("kaggle", REF, "3", asked)
    assert (receipt.licence, receipt.client) == ("CC0-1.0", f"kaggle {version('kaggle')}")
    assert b64encode(hashlib.md5(ARCHIVE).digest()).decode() in receipt.served_hash
    assert (receipt.num_files, receipt.num_bytes) == (3, 2_345_008)
    assert (receipt.augmentation, receipt.volatile) == (None, ())


def test_a_dataset_has_a_page():
    assert kaggle.page(REF) == PAGE
