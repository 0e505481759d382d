"""From attempts to an archive: their order and pauses, what is kept of them.

The client is a small real process: in each attempt it does one line of a plan that the test has written.
"""

import json
import os
from itertools import pairwise
from pathlib import Path

import pytest

from tandem.errors import CorruptArchiveError, SourceError
from tandem.sources.transfer import fetch as fetching
from tandem.sources.transfer.attempt import ClientCall, Limits
from tandem.sources.transfer.checksums import digests
from tandem.sources.transfer.fetch import Request

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
seen = {"part": part, "is_there": folder.exists(), "resume": job.get("resume"), "time": time.monotonic()}
seen |= {"home": os.environ["HOME"], "num_in_home": len(os.listdir(os.environ["HOME"]))}
with log.open("a") as file:
    file.write(json.dumps(seen) + chr(10))
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
ENDED = {"event": "ended", "result": {"client": "planted 1"}}
WHOLE = ["whole", ENDED]


def failed(kind, **facts):
    return {"event": "failed", "kind": kind, "place": "x/y", **facts}


def archive(**facts):
    return {"event": "archive", "num_bytes": None, "start": 0, "hashes": "", "etag": "", **facts}


CUT = failed("connection", said="it ended early", is_archive=True)


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """Where the archives are under way; the client and its log lie in the folder beside it."""
    monkeypatch.chdir(tmp_path)
    Path("planted.py").write_text(CLIENT, encoding="utf-8")
    return tmp_path / "partial" / "fruit"


def environ():
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path.cwd())}


def order(*plan, resumes=False, sha256=None, explain=lambda failure: "", version=3):
    task = ClientCall("planted", {"plan": list(plan), "version": version}, {}, (), title="planted")
    return Request(task, archive="fruit.zip", resumes=resumes, sha256=sha256, explain=explain)


def take(path):
    """What uses an archive, and finds nothing wrong with it."""


def fetch(scratch, *plan, use=take, limits=QUICK, **options):
    return fetching.fetch_with_retries(
        order(*plan, **options), scratch=scratch, use=use, limits=limits, environ=environ()
    )


def refusal(scratch, *plan, **options):
    with pytest.raises(SourceError) as error:
        fetch(scratch, *plan, **options)
    return str(error.value)


def seen(what=None):
    """What each attempt's client saw, in order."""
    entries = [json.loads(line) for line in Path("log.jsonl").read_text().splitlines()]
    return [entry[what] for entry in entries] if what else entries


def left(scratch):
    return sorted(path.relative_to(scratch).as_posix() for path in scratch.rglob("*"))


def test_an_archive_that_comes_is_used_once_and_told_with_its_digests(scratch):
    used = []

    def use(path):
        used.append((path.name, path.read_bytes(), digests(path)))

    hashes = "crc32c=" + "mnG7TA=="  # as google's storage writes it: that of b"hello"
    arrived = fetch(scratch, ["hello", archive(num_bytes=5, hashes=hashes), ENDED], use=use)
    assert arrived.digests.sha256 == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert used == [("fruit.zip", b"hello", arrived.digests)]
    assert (arrived.done.result, arrived.done.hashes) == ({"client": "planted 1"}, hashes)
    assert not scratch.exists()


def test_attempts_follow_one_another_until_one_succeeds(scratch):
    arrived = fetch(scratch, [None, failed("silence", said="for 1 s")], [None, failed("page")], WHOLE)
    assert arrived.digests.num_bytes == 5
    assert len(seen()) == 3


def test_each_attempt_has_an_empty_home_that_is_gone_afterwards(scratch):
    fetch(scratch, [None, CUT], [None, CUT], WHOLE)
    assert seen("num_in_home") == [0, 0, 0]
    assert len({*seen("home")}) == 3
    assert not any(Path(home).exists() for home in seen("home"))


def test_the_client_finds_no_folder_unless_it_can_go_on_with_what_is_in_it(scratch):
    fetch(scratch, ["par", CUT], WHOLE)
    assert seen("is_there") == [False, False]
    assert seen("resume") == [False, False]


def test_what_a_killed_run_has_left_is_removed_before_a_client_that_cannot_go_on_with_it(scratch):
    asked = order(WHOLE).task.job
    (scratch / "files").mkdir(parents=True)
    (scratch / "files" / "fruit.zip").write_text("par")
    (scratch / "asked.json").write_text(json.dumps(asked), encoding="utf-8")
    fetch(scratch, WHOLE)
    assert seen("is_there") == [False]


def pauses():
    times = seen("time")
    return [later - earlier for earlier, later in pairwise(times)]


def test_each_pause_is_twice_the_one_before_but_for_jitter(scratch):
    fetch(scratch, [None, CUT], [None, CUT], WHOLE, limits=Limits(wait_s=0.3))
    first, second = pauses()
    assert first >= 0.3 * 0.75
    assert second >= 0.6 * 0.75


def test_no_pause_is_longer_than_the_longest(scratch):
    fetch(scratch, [None, CUT], WHOLE, limits=Limits(wait_s=20, max_wait_s=0.1))
    assert pauses()[0] < 10


def test_a_pause_is_as_long_as_the_service_asks_for(scratch):
    fetch(scratch, [None, failed("answer", status=429, retry_after="1")], WHOLE)
    assert pauses()[0] >= 1


def test_a_pause_longer_than_the_limit_is_left_to_the_user(scratch):
    limits = Limits(wait_s=0, max_retry_after_s=2)
    said = refusal(scratch, [None, failed("answer", status=503, retry_after="3")], limits=limits)
    assert said == "x/y answered 503, and asks for a pause of 3 s; run it again later"
    assert len(seen()) == 1


@pytest.mark.parametrize("kind", ["credentials", "size", "disk", "client"])
def test_what_does_not_heal_is_tried_once(scratch, kind):
    said = refusal(scratch, [None, failed(kind, said="so it is")])
    assert "(so it is); " in said
    assert "attempts" not in said
    assert len(seen()) == 1
    assert not scratch.exists()


def test_a_refusal_of_the_interface_is_tried_once_and_one_of_the_storage_again(scratch):
    refused = failed("answer", status=403)
    assert refusal(scratch, [None, {**refused, "is_archive": True}], [None, refused], WHOLE).startswith(
        "after 2 attempts: x/y answered 403; "
    )


def test_the_last_failure_is_told_after_the_last_attempt(scratch):
    said = refusal(
        scratch, [None, CUT], [None, failed("silence", said="for 60 s")], limits=Limits(wait_s=0, attempts=2)
    )
    assert said == ("after 2 attempts: x/y sent nothing for 60 s; check the network and its proxy, then run it again")
    assert not scratch.exists()


def test_what_the_source_knows_of_a_failure_goes_before_what_is_known_of_all(scratch):
    def explain(failure):
        return f"accept the terms of {failure.place}" if failure.status == 403 else ""

    said = refusal(scratch, [None, failed("answer", status=403)], explain=explain)
    assert said == "x/y answered 403; accept the terms of x/y"
    Path("log.jsonl").unlink()
    assert refusal(scratch, [None, failed("size", said="9 bytes")], explain=explain).endswith(
        "x/y sends too much (9 bytes); download it by hand and use kind: archive, if it is meant"
    )


def test_a_sound_part_is_gone_on_with_in_the_next_attempt(scratch):
    arrived = fetch(scratch, ["par", CUT], ["t", CUT], ["s", ENDED], resumes=True)
    assert seen("part") == [None, "par", "part"]
    assert seen("resume") == [True, True, True]
    assert arrived.digests.num_bytes == len("parts")
    assert not scratch.exists()


def test_a_sound_part_is_kept_for_the_next_run_and_told(scratch):
    plan = ["par", CUT], ["t", CUT], ["s", ENDED]
    said = refusal(scratch, *plan, resumes=True, limits=Limits(wait_s=0, attempts=2))
    assert said.endswith("; the 4 bytes that came are kept for the next run")
    assert left(scratch) == ["asked.json", "files", "files/fruit.zip"]
    assert fetch(scratch, *plan, resumes=True).digests.num_bytes == len("parts")
    assert seen("part") == [None, "par", "part"]
    assert not scratch.exists()


@pytest.mark.parametrize(
    ("failure", "resumes"),
    [
        (CUT, False),
        (failed("damage", said="its md5 is wrong"), True),
        (failed("page"), True),
        (failed("answer", status=503, is_archive=True), True),
    ],
)
def test_a_part_that_cannot_be_gone_on_with_is_removed(scratch, failure, resumes):
    said = refusal(scratch, ["par", failure], resumes=resumes, limits=Limits(attempts=1))
    assert "kept" not in said
    assert not scratch.exists()


def test_a_refusal_before_the_storage_leaves_an_earlier_part_alone(scratch):
    fetch(scratch, ["par", CUT], [None, failed("answer", status=503)], ["ts", ENDED], resumes=True)
    assert seen("part") == [None, "par", "par"]


def test_the_part_of_another_version_is_not_gone_on_with(scratch):
    plan = ["par", CUT], WHOLE
    refusal(scratch, *plan, resumes=True, limits=Limits(attempts=1), version=2)
    fetch(scratch, *plan, resumes=True, version=3)
    assert seen("part") == [None, None]


@pytest.mark.parametrize(
    "tag",
    [
        "[]",
        "{",
        "\udcff",
    ],
)
def test_a_part_of_nobody_knows_what_is_not_gone_on_with(scratch, tag):
    (scratch / "files").mkdir(parents=True)
    (scratch / "files" / "fruit.zip").write_text("foreign")
    (scratch / "asked.json").write_text(tag, encoding="utf-8", errors="surrogateescape")
    fetch(scratch, WHOLE, resumes=True)
    assert seen("part") == [None]


@pytest.mark.parametrize(
    ("facts", "flaw"),
    [
        ({"num_bytes": 4}, "it has 5 bytes, 4 were promised"),
        ({"num_bytes": 6}, "it has 5 bytes, 6 were promised"),
        ({"hashes": "md5=AAAA"}, "its md5 is NWye5g6doFMBrcO9lvazgw==, AAAA was promised"),
    ],
)
def test_an_archive_that_is_not_as_promised_is_fetched_anew_and_never_used(scratch, facts, flaw):
    used = []
    bad = ["whole", archive(**facts), ENDED]
    said = refusal(scratch, bad, bad, use=used.append, resumes=True, limits=Limits(wait_s=0, attempts=2))
    assert said.startswith(f"after 2 attempts: what the client sent is damaged ({flaw}); ")
    assert seen("part") == [None, None]
    assert used == []
    assert not scratch.exists()


def test_an_archive_that_cannot_be_used_as_it_is_damaged_is_fetched_anew(scratch):
    used = []

    def use(path):
        used.append(path.read_text())
        if used == ["torn"]:
            raise CorruptArchiveError("a.zip: 1.jpg cannot be read; get it again")

    assert fetch(scratch, ["torn", ENDED], WHOLE, use=use, resumes=True).digests.num_bytes == 5
    assert used == ["torn", "whole"]
    assert seen("part") == [None, None]


def test_an_archive_that_stays_damaged_is_told_with_what_its_user_says(scratch):
    def use(path):
        raise CorruptArchiveError("archive fruit.zip: 1.jpg cannot be read; get it again")

    said = refusal(scratch, WHOLE, WHOLE, use=use, limits=Limits(wait_s=0, attempts=2))
    assert said.startswith(
        "after 2 attempts: what the client sent is damaged (archive fruit.zip: 1.jpg cannot be read); "
    )


@pytest.mark.parametrize("raised", [SourceError("it holds no images"), ZeroDivisionError("a mistake of ours")])
def test_what_else_is_wrong_with_an_archive_is_raised_as_it_is_and_nothing_kept(scratch, raised):
    def use(path):
        raise raised

    with pytest.raises(type(raised), match=str(raised)):
        fetch(scratch, WHOLE, WHOLE, use=use, resumes=True)
    assert len(seen()) == 1
    assert not scratch.exists()


@pytest.mark.parametrize("resumes", [True, False])
def test_ctrl_c_keeps_what_has_come_if_it_can_be_gone_on_with(scratch, resumes):
    def use(path):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(scratch, WHOLE, use=use, resumes=resumes)
    assert (scratch / "files" / "fruit.zip").exists() == resumes


def test_a_client_that_leaves_no_archive_is_told_so(scratch):
    assert refusal(scratch, [None, ENDED]).startswith("the client gave up (it left no fruit.zip); ")


SHA256 = "6b23c0d5f35d1b11f9b683f0b0a617355deb11277d91ae091d399c655b87940d"  # of b"c"
FRUIT = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"  # of b"hello"


def test_an_archive_of_the_expected_digest_is_used(scratch):
    assert fetch(scratch, ["hello", ENDED], sha256=FRUIT).digests.sha256 == FRUIT


def test_another_archive_that_comes_twice_is_what_is_served_now(scratch):
    hello = ["hello", ENDED]
    said = refusal(scratch, hello, hello, hello, sha256=SHA256)
    assert said == (
        f"its sha256 is {FRUIT}, but {SHA256} is expected; another file is served now: look at its page, "
        "then correct sha256 if it is meant"
    )
    assert len(seen()) == 2
    assert not scratch.exists()


def test_another_archive_that_its_storage_vouches_for_is_believed_at_once(scratch):
    said = refusal(scratch, ["hello", archive(hashes="crc32c=mnG7TA=="), ENDED], sha256=SHA256)
    assert "another file is served now" in said
    assert len(seen()) == 1


def test_archives_that_differ_each_time_are_damaged(scratch):
    plan = [[text, ENDED] for text in ("a", "b", "hello")]
    assert fetch(scratch, *plan, sha256=FRUIT).digests.sha256 == FRUIT
    Path("log.jsonl").unlink()
    said = refusal(scratch, *plan, sha256=SHA256, limits=Limits(wait_s=0, attempts=3))
    assert said.startswith(f"after 3 attempts: what the client sent is damaged (its sha256 is {FRUIT}, but {SHA256} is")


def ask(*plan, explain=lambda failure: ""):
    task = ClientCall("planted", {"plan": plan}, {}, (), title="planted")
    return fetching.ask(task, explain=explain, limits=QUICK, environ=environ())


def test_a_question_is_answered_by_what_the_client_returns():
    assert ask([None, {"event": "ended", "result": {"versions": [1, 2]}}]) == {"versions": [1, 2]}
    assert not Path(seen("home")[0]).exists()


def test_a_question_that_fails_is_not_repeated():
    with pytest.raises(SourceError, match=r"^the connection to x/y failed \(it ended early\); check"):
        ask([None, CUT], [None, ENDED])
    with pytest.raises(SourceError, match=r"^x/y answered 401; renew the key$"):
        Path("log.jsonl").unlink()
        ask([None, failed("answer", status=401)], explain=lambda failure: "renew the key")
    assert len(seen()) == 1
