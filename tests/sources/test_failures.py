"""Failures: of every kind and status, whether another attempt helps, what is kept, and the words for it."""

from typing import get_args

import pytest

from tandem.sources.transfer import failures
from tandem.sources.transfer.failures import Failure, describe_failure, is_resumable, is_transient, remedy

PASSING = (408, 425, 429, 500, 502, 503, 504, 599)
LASTING = (400, 401, 402, 403, 404, 405, 409, 410, 418, 422, 451)
PLACE = "storage.googleapis.com/a.zip"

# kind -> (whether it heals, whether it keeps, how it is told, how its remedy begins)
WITHOUT_STATUS = {
    "page": (True, False, f"{PLACE} sent a web page in place of data", "look for a login page or a proxy"),
    "connection": (True, True, f"the connection to {PLACE} failed (said)", "check the network and its proxy"),
    "silence": (True, True, f"{PLACE} sent nothing said", "check the network and its proxy"),
    "deadline": (True, True, "the attempt took too long (said)", "use a faster connection"),
    "damage": (True, False, f"what {PLACE} sent is damaged (said)", "run it again later; if it stays so, download it"),
    "credentials": (False, False, "the credentials were not accepted (said)", "set TANDEM_TRACEBACK=1 to see more"),
    "size": (False, False, f"{PLACE} sends too much (said)", "download it by hand and use kind: archive"),
    "disk": (False, False, "there is no room for the archive (said)", "make room there"),
    "client": (False, False, "the client gave up (said)", "set TANDEM_TRACEBACK=1 to see more"),
}


def test_the_table_holds_every_kind():
    assert {*WITHOUT_STATUS, "answer"} == set(get_args(failures.FailureKind))


@pytest.mark.parametrize("is_archive", [True, False])
@pytest.mark.parametrize("kind", WITHOUT_STATUS)
def test_what_is_no_answer_is_judged_by_its_kind(kind, is_archive):
    failure = Failure(kind, "said", place=PLACE, is_archive=is_archive)
    is_passing, is_sound, text, advice = WITHOUT_STATUS[kind]
    assert (is_transient(failure), is_resumable(failure), describe_failure(failure)) == (is_passing, is_sound, text)
    assert remedy(failure).startswith(advice)


@pytest.mark.parametrize("is_archive", [True, False])
@pytest.mark.parametrize("status", PASSING)
def test_an_answer_that_passes_heals_and_keeps_what_came_before_it(status, is_archive):
    failure = Failure("answer", status=status, place=PLACE, is_archive=is_archive)
    # What the storage itself refuses to go on with may be another archive than the part.
    assert (is_transient(failure), is_resumable(failure)) == (True, not is_archive)
    assert remedy(failure) == "run it again later"


@pytest.mark.parametrize("status", LASTING)
def test_a_refusal_of_the_interface_is_final(status):
    failure = Failure("answer", status=status, place="api.kaggle.com/v1")
    assert (is_transient(failure), is_resumable(failure)) == (False, False)
    assert remedy(failure).startswith("set TANDEM_TRACEBACK=1 to see more")


@pytest.mark.parametrize("status", LASTING)
def test_a_refusal_of_the_storage_heals_as_its_link_is_signed_anew(status):
    failure = Failure("answer", status=status, place=PLACE, is_archive=True)
    assert (is_transient(failure), is_resumable(failure)) == (True, False)


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (Failure("answer", "no such dataset", status=404, place=PLACE), f"{PLACE} answered 404 (no such dataset)"),
        (Failure("answer", status=503, place=PLACE), f"{PLACE} answered 503"),
        (Failure("connection", "Connection refused", place="x/y"), "the connection to x/y failed (Connection refused)"),
        (Failure("silence", "for 60 s", place="x/y"), "x/y sent nothing for 60 s"),
        (Failure("silence", "for 60 s"), "the client sent nothing for 60 s"),
        (Failure("client", "KeyError: 'x'", place="x/y"), "the client gave up (KeyError: 'x')"),
        (Failure("client"), "the client gave up"),
    ],
)
def test_a_failure_is_told_with_its_place_and_what_was_said(failure, text):
    assert describe_failure(failure) == text


@pytest.mark.parametrize("kind", get_args(failures.FailureKind))
def test_what_only_a_person_can_do_ends_in_a_way_out(kind):
    advice = remedy(Failure(kind, status=403))
    assert "run it again" in advice or "by hand" in advice
