"""Failures of every kind and status: whether another attempt helps, whether it resumes, and the words for it."""

from typing import get_args

import pytest

from tandem.sources.transfer import failures
from tandem.sources.transfer.failures import Failure, describe_failure, is_resumable, is_transient, remedy

TRANSIENT = (408, 425, 429, 500, 502, 503, 504, 599)
PERMANENT = (400, 401, 402, 403, 404, 405, 409, 410, 418, 422, 451)
ENDPOINT = "storage.googleapis.com/a.zip"

# kind -> (whether it is transient, whether it is resumable, its description, how its remedy begins)
WITHOUT_STATUS = {
    "web_page": (True, False, f"{ENDPOINT} sent a web page in place of data", "look for a login page or a proxy"),
    "connection": (True, True, f"the connection to {ENDPOINT} failed (detail)", "check the network and its proxy"),
    "silence": (True, True, f"{ENDPOINT} sent nothing detail", "check the network and its proxy"),
    "deadline": (True, True, "the attempt took too long (detail)", "use a faster connection"),
    "corrupt": (
        True,
        False,
        f"what {ENDPOINT} sent is corrupt (detail)",
        "run it again later; if it stays so, download it",
    ),
    "credentials": (False, False, "the credentials were not accepted (detail)", "set TANDEM_TRACEBACK=1 to see more"),
    "size": (False, False, f"{ENDPOINT} sends too much (detail)", "download it by hand and use kind: archive"),
    "disk": (False, False, "there is no room for the archive (detail)", "make room there"),
    "client": (False, False, "the client gave up (detail)", "set TANDEM_TRACEBACK=1 to see more"),
}


def test_the_table_holds_every_kind():
    assert {*WITHOUT_STATUS, "http_error"} == set(get_args(failures.FailureKind))


@pytest.mark.parametrize("is_archive", [True, False])
@pytest.mark.parametrize("kind", WITHOUT_STATUS)
def test_what_is_no_http_error_is_judged_by_its_kind(kind, is_archive):
    failure = Failure(kind, "detail", endpoint=ENDPOINT, is_archive=is_archive)
    transient, resumable, text, advice = WITHOUT_STATUS[kind]
    assert (is_transient(failure), is_resumable(failure), describe_failure(failure)) == (transient, resumable, text)
    assert remedy(failure).startswith(advice)


@pytest.mark.parametrize("is_archive", [True, False])
@pytest.mark.parametrize("status", TRANSIENT)
def test_a_transient_status_is_retried_and_what_came_before_is_resumed(status, is_archive):
    failure = Failure("http_error", status=status, endpoint=ENDPOINT, is_archive=is_archive)
    # What the storage itself refuses to resume may be another archive than the part.
    assert (is_transient(failure), is_resumable(failure)) == (True, not is_archive)
    assert remedy(failure) == "run it again later"


@pytest.mark.parametrize("status", PERMANENT)
def test_a_permanent_status_of_the_api_is_final(status):
    failure = Failure("http_error", status=status, endpoint="api.kaggle.com/v1")
    assert (is_transient(failure), is_resumable(failure)) == (False, False)
    assert remedy(failure).startswith("set TANDEM_TRACEBACK=1 to see more")


@pytest.mark.parametrize("status", PERMANENT)
def test_a_permanent_status_of_the_storage_is_retried_as_its_link_is_signed_anew(status):
    failure = Failure("http_error", status=status, endpoint=ENDPOINT, is_archive=True)
    assert (is_transient(failure), is_resumable(failure)) == (True, False)


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (
            Failure("http_error", "no such dataset", status=404, endpoint=ENDPOINT),
            f"{ENDPOINT} answered 404 (no such dataset)",
        ),
        (Failure("http_error", status=503, endpoint=ENDPOINT), f"{ENDPOINT} answered 503"),
        (
            Failure("connection", "Connection refused", endpoint="x/y"),
            "the connection to x/y failed (Connection refused)",
        ),
        (Failure("silence", "for 60 s", endpoint="x/y"), "x/y sent nothing for 60 s"),
        (Failure("silence", "for 60 s"), "the client sent nothing for 60 s"),
        (Failure("client", "KeyError: 'x'", endpoint="x/y"), "the client gave up (KeyError: 'x')"),
        (Failure("client"), "the client gave up"),
    ],
)
def test_a_failure_is_described_with_its_endpoint_and_detail(failure, text):
    assert describe_failure(failure) == text


@pytest.mark.parametrize("kind", get_args(failures.FailureKind))
def test_what_only_a_person_can_do_ends_in_a_way_out(kind):
    advice = remedy(Failure(kind, status=403))
    assert "run it again" in advice or "by hand" in advice
