"""From attempts to an archive: their order and pauses, and what is kept of them.

The client is a small real process: in each attempt it does one line of a plan that the test has written.
"""

import json
import os
from itertools import pairwise
from pathlib import Path

import pytest

from tandem.errors import CorruptArchiveError, SourceError
from tandem.sources.transfer.attempt import ClientCall, Limits
from tandem.sources.transfer.checksums import digests
from tandem.sources.transfer.failures import Failure
from tandem.sources.transfer.fetch import Request, _pause_s, fetch_with_retries, query

# job["plan"]: for each attempt the text that is added to the archive and the reports that follow.
CLIENT = """
import json, os, sys, time
from pathlib import Path
job = json.loads(sys.stdin.readline())
log = Path("log.jsonl")
number = len(log.read_text().splitlines()) if log.exists() else 0
folder = Path(job.get("folder", "."))
archive = folder / "fruit.zip"
part = archive.read_text() if archive.is_file() else None
state = {"part": part, "exists": folder.exists(), "resume": job.get("resume"), "time": time.monotonic()}
state |= {"home": os.environ["HOME"], "num_in_home": len(os.listdir(os.environ["HOME"]))}
with log.open("a") as file:
    file.write(json.dumps(state) + chr(10))
Path(os.environ["HOME"], "cache").touch()
text, *reports = job["plan"][number]
if text is not None:
    folder.mkdir(parents=True, exist_ok=True)
    with archive.open("a") as file:
        file.write(text)
for report in reports:
    print(json.dumps(report), flush=True)
"""
QUICK = Limits(wait_s=0, attempts=4)
COMPLETED = {"event": "completed", "result": {"client": "planted 1"}}
WHOLE = ["whole", COMPLETED]


def failed(kind, **facts):
    return {"event": "failed", "kind": kind, "endpoint": "x/y", **facts}


def archive(**facts):
    return {"event": "archive", "num_bytes": None, "start": 0, "hashes": "", "etag": "", **facts}


CUT = failed("connection", detail="it ended early", is_archive=True)


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """Where the archives are under way; the client and its log lie in the folder beside it."""
    monkeypatch.chdir(tmp_path)
    Path("planted.py").write_text(CLIENT, encoding="utf-8")
    return tmp_path / "partial" / "fruit"


def environ():
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path.cwd())}


def request(*plan, can_resume=False, sha256=None, explain=lambda failure: "", version=3):
    call = ClientCall("planted", {"plan": list(plan), "version": version}, {}, (), title="planted")
    return Request(call, archive="fruit.zip", can_resume=can_resume, sha256=sha256, explain=explain)


def accept(path):
    """What publishes an archive, finds nothing wrong with it, and leaves one file of it out."""
    return {".DS_Store": 1}


def fetch(scratch, *plan, publish=accept, limits=QUICK, **options):
    return fetch_with_retries(
        request(*plan, **options), scratch=scratch, publish=publish, limits=limits, environ=environ()
    )


def refusal(scratch, *plan, **options):
    with pytest.raises(SourceError) as error:
        fetch(scratch, *plan, **options)
    return str(error.value)


def logged(what=None):
    """What each attempt's client saw, in order."""
    entries = [json.loads(line) for line in Path("log.jsonl").read_text().splitlines()]
    return [entry[what] for entry in entries] if what else entries


def left(scratch):
    return sorted(path.relative_to(scratch).as_posix() for path in scratch.rglob("*"))


def test_an_archive_is_published_once_and_returned_with_its_digests(scratch):
    published = []

    def publish(path):
        published.append((path.name, path.read_bytes(), digests(path)))
        return {".DS_Store": 1}

    hashes = "crc32c=" + "mnG7TA=="  # as google's storage writes it: that of b"hello"
    download = fetch(scratch, ["hello", archive(num_bytes=5, hashes=hashes), COMPLETED], publish=publish)
    assert download.digests.sha256 == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert published == [("fruit.zip", b"hello", download.digests)]
    assert download.left_out == {".DS_Store": 1}
    assert (download.completed.result, download.completed.hashes) == ({"client": "planted 1"}, hashes)
    assert not scratch.exists()


def test_attempts_follow_one_another_until_one_succeeds(scratch):
    download = fetch(scratch, [None, failed("silence", detail="for 1 s")], [None, failed("web_page")], WHOLE)
    assert download.digests.num_bytes == 5
    assert len(logged()) == 3


def test_each_attempt_has_an_empty_home_that_is_gone_afterwards(scratch):
    fetch(scratch, [None, CUT], [None, CUT], WHOLE)
    assert logged("num_in_home") == [0, 0, 0]
    assert len({*logged("home")}) == 3
    assert not any(Path(home).exists() for home in logged("home"))


def test_the_client_finds_no_folder_unless_it_can_resume_what_is_in_it(scratch):
    fetch(scratch, ["par", CUT], WHOLE)
    assert logged("exists") == [False, False]
    assert logged("resume") == [False, False]


def test_what_a_killed_run_has_left_is_removed_before_a_client_that_cannot_resume_it(scratch):
    job = request(WHOLE).call.job
    (scratch / "files").mkdir(parents=True)
    (scratch / "files" / "fruit.zip").write_text("par")
    (scratch / "request.json").write_text(json.dumps(job), encoding="utf-8")
    fetch(scratch, WHOLE)
    assert logged("exists") == [False]


def pauses():
    times = logged("time")
    return [later - earlier for earlier, later in pairwise(times)]


def test_each_pause_is_twice_the_one_before_but_for_jitter(scratch):
    fetch(scratch, [None, CUT], [None, CUT], WHOLE, limits=Limits(wait_s=0.3))
    first, second = pauses()
    assert first >= 0.3 * 0.75
    assert second >= 0.6 * 0.75


def test_no_pause_is_longer_than_the_longest(scratch):
    fetch(scratch, [None, CUT], WHOLE, limits=Limits(wait_s=20, max_wait_s=0.1))
    assert pauses()[0] < 10


def test_pauses_lie_within_a_quarter_of_what_doubles_up_to_the_longest_from_below_and_from_above():
    limits, failure = Limits(wait_s=2, max_wait_s=30), Failure("connection")
    for number, expected in enumerate([2, 4, 8, 16, 30, 30], start=1):
        found = [_pause_s(number, failure, limits) for _ in range(200)]
        assert 0.75 * expected <= min(found) < 0.85 * expected < 1.15 * expected < max(found) <= 1.25 * expected
    assert _pause_s(1, failure._replace(retry_after_s=7.0), limits) == 7
    assert _pause_s(5, failure._replace(retry_after_s=7.0), limits) >= 0.75 * 30


def test_a_pause_is_as_long_as_the_service_asks_for(scratch):
    fetch(scratch, [None, failed("http_error", status=429, retry_after="1")], WHOLE)
    assert pauses()[0] >= 1


def test_a_pause_longer_than_the_limit_is_left_to_the_user(scratch):
    limits = Limits(wait_s=0, max_retry_after_s=2)
    message = refusal(scratch, [None, failed("http_error", status=503, retry_after="3")], limits=limits)
    assert message == "x/y answered 503, and asks for a pause of 3 s; run it again later"
    assert len(logged()) == 1


@pytest.mark.parametrize("kind", ["credentials", "size", "disk", "client"])
def test_what_is_not_transient_is_tried_once(scratch, kind):
    message = refusal(scratch, [None, failed(kind, detail="so it is")])
    assert "(so it is); " in message
    assert "attempts" not in message
    assert len(logged()) == 1
    assert not scratch.exists()


def test_an_http_error_of_the_api_is_tried_once_and_one_of_the_storage_again(scratch):
    refused = failed("http_error", status=403)
    assert refusal(scratch, [None, {**refused, "is_archive": True}], [None, refused], WHOLE).startswith(
        "after 2 attempts: x/y answered 403; "
    )


def test_the_last_failure_is_described_after_the_last_attempt(scratch):
    message = refusal(
        scratch, [None, CUT], [None, failed("silence", detail="for 60 s")], limits=Limits(wait_s=0, attempts=2)
    )
    assert message == (
        "after 2 attempts: x/y sent nothing for 60 s; check the network and its proxy, then run it again"
    )
    assert not scratch.exists()


def test_what_the_source_knows_of_a_failure_goes_before_what_is_known_of_all(scratch):
    def explain(failure):
        return f"accept the terms of {failure.endpoint}" if failure.status == 403 else ""

    message = refusal(scratch, [None, failed("http_error", status=403)], explain=explain)
    assert message == "x/y answered 403; accept the terms of x/y"
    Path("log.jsonl").unlink()
    assert refusal(scratch, [None, failed("size", detail="9 bytes")], explain=explain).endswith(
        "x/y sends too much (9 bytes); download it by hand and use kind: archive, if it is meant"
    )


def test_a_sound_part_is_resumed_in_the_next_attempt(scratch):
    download = fetch(scratch, ["par", CUT], ["t", CUT], ["s", COMPLETED], can_resume=True)
    assert logged("part") == [None, "par", "part"]
    assert logged("resume") == [True, True, True]
    assert download.digests.num_bytes == len("parts")
    assert not scratch.exists()


def test_a_sound_part_is_kept_for_the_next_run_and_named(scratch):
    plan = ["par", CUT], ["t", CUT], ["s", COMPLETED]
    message = refusal(scratch, *plan, can_resume=True, limits=Limits(wait_s=0, attempts=2))
    assert message.endswith("; the 4 bytes that came are kept for the next run")
    assert left(scratch) == ["files", "files/fruit.zip", "request.json"]
    assert fetch(scratch, *plan, can_resume=True).digests.num_bytes == len("parts")
    assert logged("part") == [None, "par", "part"]
    assert not scratch.exists()


@pytest.mark.parametrize(
    ("failure", "resumes"),
    [
        (CUT, False),
        (failed("corrupt", detail="its md5 is wrong"), True),
        (failed("web_page"), True),
        (failed("http_error", status=503, is_archive=True), True),
    ],
)
def test_a_part_that_cannot_be_resumed_is_removed(scratch, failure, resumes):
    message = refusal(scratch, ["par", failure], can_resume=resumes, limits=Limits(attempts=1))
    assert "kept" not in message
    assert not scratch.exists()


def test_an_http_error_before_the_storage_leaves_an_earlier_part_alone(scratch):
    fetch(scratch, ["par", CUT], [None, failed("http_error", status=503)], ["ts", COMPLETED], can_resume=True)
    assert logged("part") == [None, "par", "par"]


def test_the_part_of_another_version_is_not_resumed(scratch):
    plan = ["par", CUT], WHOLE
    refusal(scratch, *plan, can_resume=True, limits=Limits(attempts=1), version=2)
    fetch(scratch, *plan, can_resume=True, version=3)
    assert logged("part") == [None, None]


@pytest.mark.parametrize(
    "tag",
    [
        "[]",
        "{",
        "\udcff",
    ],
)
def test_a_part_of_an_unknown_archive_is_not_resumed(scratch, tag):
    (scratch / "files").mkdir(parents=True)
    (scratch / "files" / "fruit.zip").write_text("foreign")
    (scratch / "request.json").write_text(tag, encoding="utf-8", errors="surrogateescape")
    fetch(scratch, WHOLE, can_resume=True)
    assert logged("part") == [None]


@pytest.mark.parametrize(
    ("facts", "mismatch"),
    [
        ({"num_bytes": 4}, "it has 5 bytes, 4 were promised"),
        ({"num_bytes": 6}, "it has 5 bytes, 6 were promised"),
        ({"hashes": "md5=AAAA"}, "its md5 is NWye5g6doFMBrcO9lvazgw==, AAAA was promised"),
    ],
)
def test_an_archive_that_is_not_as_stated_is_fetched_anew_and_never_published(scratch, facts, mismatch):
    published = []
    bad = ["whole", archive(**facts), COMPLETED]
    message = refusal(scratch, bad, bad, publish=published.append, can_resume=True, limits=Limits(wait_s=0, attempts=2))
    assert message.startswith(f"after 2 attempts: what the client sent is corrupt ({mismatch}); ")
    assert logged("part") == [None, None]
    assert published == []
    assert not scratch.exists()


def test_an_archive_that_proves_corrupt_is_fetched_anew(scratch):
    published = []

    def publish(path):
        published.append(path.read_text())
        if published == ["torn"]:
            raise CorruptArchiveError("a.zip: 1.jpg cannot be read; get it again")

    assert fetch(scratch, ["torn", COMPLETED], WHOLE, publish=publish, can_resume=True).digests.num_bytes == 5
    assert published == ["torn", "whole"]
    assert logged("part") == [None, None]


def test_an_archive_that_stays_corrupt_is_described_with_what_was_found(scratch):
    def publish(path):
        raise CorruptArchiveError("archive fruit.zip: 1.jpg cannot be read; get it again")

    message = refusal(scratch, WHOLE, WHOLE, publish=publish, limits=Limits(wait_s=0, attempts=2))
    assert message.startswith(
        "after 2 attempts: what the client sent is corrupt (archive fruit.zip: 1.jpg cannot be read); "
    )


@pytest.mark.parametrize("raised", [SourceError("it holds no images"), ZeroDivisionError("a mistake of ours")])
def test_what_else_is_wrong_with_an_archive_is_raised_as_it_is_and_nothing_kept(scratch, raised):
    def publish(path):
        raise raised

    with pytest.raises(type(raised), match=str(raised)):
        fetch(scratch, WHOLE, WHOLE, publish=publish, can_resume=True)
    assert len(logged()) == 1
    assert not scratch.exists()


@pytest.mark.parametrize("resumes", [True, False])
def test_ctrl_c_keeps_what_has_come_if_it_can_be_resumed(scratch, resumes):
    def publish(path):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(scratch, WHOLE, publish=publish, can_resume=resumes)
    assert (scratch / "files" / "fruit.zip").exists() == resumes


def test_a_client_that_leaves_no_archive_is_a_failure(scratch):
    assert refusal(scratch, [None, COMPLETED]).startswith("the client gave up (it left no fruit.zip); ")


SHA256 = "6b23c0d5f35d1b11f9b683f0b0a617355deb11277d91ae091d399c655b87940d"  # of b"c"
FRUIT = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"  # of b"hello"


def test_an_archive_of_the_expected_digest_is_published(scratch):
    assert fetch(scratch, ["hello", COMPLETED], sha256=FRUIT).digests.sha256 == FRUIT


def test_another_archive_that_comes_twice_is_what_is_served_now(scratch):
    hello = ["hello", COMPLETED]
    message = refusal(scratch, hello, hello, hello, sha256=SHA256)
    assert message == (
        f"its sha256 is {FRUIT}, but {SHA256} is expected; another file is served now: look at its page, "
        "then correct sha256 if it is meant"
    )
    assert len(logged()) == 2
    assert not scratch.exists()


def test_another_archive_that_its_storage_vouches_for_is_believed_at_once(scratch):
    message = refusal(scratch, ["hello", archive(hashes="crc32c=mnG7TA=="), COMPLETED], sha256=SHA256)
    assert "another file is served now" in message
    assert len(logged()) == 1


def test_archives_that_differ_each_time_are_corrupt(scratch):
    plan = [[text, COMPLETED] for text in ("a", "b", "hello")]
    assert fetch(scratch, *plan, sha256=FRUIT).digests.sha256 == FRUIT
    Path("log.jsonl").unlink()
    message = refusal(scratch, *plan, sha256=SHA256, limits=Limits(wait_s=0, attempts=3))
    assert message.startswith(
        f"after 3 attempts: what the client sent is corrupt (its sha256 is {FRUIT}, but {SHA256} is"
    )


def ask(*plan, explain=lambda failure: ""):
    call = ClientCall("planted", {"plan": plan}, {}, (), title="planted")
    return query(call, explain=explain, limits=QUICK, environ=environ())


def test_a_question_is_answered_by_what_the_client_returns():
    assert ask([None, {"event": "completed", "result": {"versions": [1, 2]}}]) == {"versions": [1, 2]}
    assert not Path(logged("home")[0]).exists()


def test_a_question_that_fails_is_not_repeated():
    with pytest.raises(SourceError, match=r"^the connection to x/y failed \(it ended early\); check"):
        ask([None, CUT], [None, COMPLETED])
    with pytest.raises(SourceError, match=r"^x/y answered 401; renew the key$"):
        Path("log.jsonl").unlink()
        ask([None, failed("http_error", status=401)], explain=lambda failure: "renew the key")
    assert len(logged()) == 1
