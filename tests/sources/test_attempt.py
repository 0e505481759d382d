"""One attempt: what a real child process reports and does, and that nothing of it is left when the attempt is over.

The children are modules that a test writes; they write the reports of transfer.client on their own, without a network.
Covers transfer.attempt and transfer.process.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from shutil import disk_usage

import psutil
import pytest

from tandem.sources.transfer.attempt import ClientCall, Completed, Limits, attempt
from tandem.sources.transfer.failures import Failure

SECRET = "0badc0de" * 4
PREFACE = """
import json, os, signal, sys, time
from pathlib import Path
job = json.loads(sys.stdin.readline())
Path("pid").write_text(str(os.getpid()))
def send(event, **facts):
    print(json.dumps({"event": event, **facts}), flush=True)
def begin(num_bytes, start=0, hashes="", etag=""):
    send("archive", num_bytes=num_bytes, start=start, hashes=hashes, etag=etag)
"""
QUICK = Limits(connect_s=1, silence_s=20, grace_s=10, total_s=30)


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path, monkeypatch):
    """The children's modules, their pids and their homes lie in the test's folder."""
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)


def plain_environ():
    # No byte code: a module that is written anew within a second would not be read anew.
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path.cwd()), "PYTHONDONTWRITEBYTECODE": "1"}


def run(code, *, limits=QUICK, secrets=(SECRET,), job=None, credentials=None, **environ):
    """The end of an attempt whose child runs `code`."""
    Path("planted.py").write_text(PREFACE + code, encoding="utf-8")
    call = ClientCall("planted", job or {}, credentials or {}, secrets, title="planted")
    return attempt(call, home=Path.cwd() / "home", limits=limits, environ=plain_environ() | environ)


def is_alive(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def child():
    """The pid of the last child."""
    return int(Path("pid").read_text())


def test_what_the_child_returns_and_the_storage_said_is_the_result():
    code = """
send("request", endpoint="api.kaggle.com/v1")
send("request", endpoint="storage.googleapis.com/a.zip")
begin(7, hashes="md5=AAAA", etag='"e"')
send("bytes", num_bytes=7)
send("completed", result={"client": "kaggle 2"})
"""
    endpoint = "storage.googleapis.com/a.zip"
    assert run(code) == Completed({"client": "kaggle 2"}, endpoint, hashes="md5=AAAA", etag='"e"', num_bytes=7)
    assert not is_alive(child())


def test_the_child_gets_its_job_and_the_longest_waits():
    ended = run("send('completed', result=job)", job={"do": "ask", "dataset": "ö/slug"})
    assert ended.result == {"do": "ask", "dataset": "ö/slug", "connect_s": 1, "read_s": 20}


def test_what_the_child_reports_as_failed_is_the_failure():
    code = (
        "send('failed', kind='http_error', status=404, endpoint='x/y', is_archive=True, detail='none', retry_after='')"
    )
    assert run(code) == Failure("http_error", "none", status=404, endpoint="x/y", is_archive=True)
    assert not is_alive(child())


def test_a_child_that_says_nothing_is_killed_even_if_it_ignores_a_signal():
    begun = time.monotonic()
    code = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nsend('request', endpoint='x/y')\ntime.sleep(60)"
    ended = run(code, limits=Limits(silence_s=1, grace_s=0.25))
    assert ended == Failure("silence", "for 1.25 s", endpoint="x/y")
    assert time.monotonic() - begun >= 1.25
    assert not is_alive(child())


def test_what_the_child_has_started_ends_with_it():
    code = (
        "import os, subprocess\nstarted = subprocess.Popen(['sleep', '60'])\n"
        "send('completed', result={'pid': started.pid})\nos._exit(1)"
    )
    begun = time.monotonic()
    started = run(code).result["pid"]
    assert time.monotonic() - begun < 30
    assert until(lambda: not is_alive(started))  # killed with the child, but nobody here waits for it


def test_the_silence_is_counted_from_the_last_report():
    code = "for number in range(6):\n    send('bytes', num_bytes=number)\n    time.sleep(0.3)\n"
    code += "send('completed', result={})"
    assert run(code, limits=Limits(silence_s=1, grace_s=0.25)) == Completed()


def test_a_child_that_never_ends_is_killed_at_the_deadline_though_it_says_much():
    code = "while True:\n    send('bytes', num_bytes=1)\n    time.sleep(0.02)"
    begun = time.monotonic()
    assert run(code, limits=Limits(total_s=1)) == Failure("deadline", "more than 1 s")
    assert time.monotonic() - begun >= 1
    assert not is_alive(child())


def test_a_child_that_asks_again_and_again_is_killed_at_the_deadline():
    code = (
        "for _ in range(100):\n    send('request', endpoint='x/y')\n    time.sleep(0.02)\nsend('completed', result={})"
    )
    assert run(code, limits=Limits(total_s=1)) == Failure("deadline", "more than 1 s", endpoint="x/y")


def test_an_archive_that_is_announced_too_large_is_not_waited_for():
    ended = run("send('request', endpoint='x/y')\nbegin(1001)\ntime.sleep(60)", limits=Limits(max_bytes=1000))
    assert ended == Failure("size", "1001 bytes, above 1000", endpoint="x/y")
    assert not is_alive(child())


@pytest.mark.parametrize("announced", ["None", "10"])
def test_an_archive_that_comes_too_large_is_cut_off(announced):
    code = f"begin({announced})\nsend('bytes', num_bytes=1000)\nsend('bytes', num_bytes=1001)\n"
    code += "send('completed', result={})"
    assert run(code, limits=Limits(max_bytes=1000)) == Failure("size", "1001 bytes, above 1000")


def test_what_came_before_counts_towards_the_largest_archive():
    code = "begin(None, start=990)\nsend('bytes', num_bytes=11)\nsend('completed', result={})"
    assert run(code, limits=Limits(max_bytes=1000)) == Failure("size", "1001 bytes, above 1000")


def test_an_archive_of_exactly_the_largest_size_is_taken():
    assert run(
        "begin(1000)\nsend('bytes', num_bytes=1000)\nsend('completed', result={})", limits=Limits(max_bytes=1000)
    )


def test_an_archive_that_the_disk_cannot_hold_is_not_begun(tmp_path):
    free = disk_usage(tmp_path).free
    ended = run(
        f"send('request', endpoint='x/y')\nbegin({free * 2})\ntime.sleep(60)", limits=Limits(max_bytes=free * 3)
    )
    assert (ended.kind, ended.endpoint) == ("disk", "x/y")
    assert ended.detail.startswith(f"{free * 2} bytes are needed at {tmp_path / 'home'}, ")
    assert ended.detail.endswith(" are free")
    assert not is_alive(child())


def test_what_has_come_already_needs_no_more_room():
    code = f"begin({10**18}, start={10**18 - 1})\nsend('completed', result={{}})"
    assert run(code, limits=Limits(max_bytes=10**18)) == Completed(num_bytes=10**18)


@pytest.mark.parametrize(
    "last", ["sys.exit()", "sys.exit(3)", "os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)", "raise KeyError(1)"]
)
def test_a_child_that_ends_without_a_word_is_a_failure_of_the_client(last):
    ended = run(f"send('request', endpoint='x/y')\n{last}")
    assert ended == Failure("client", "its process ended without a word", endpoint="x/y")


def test_a_child_that_never_reads_its_job_is_a_failure_of_the_client():
    Path("mute.py").write_text("import os; os._exit(0)", encoding="utf-8")
    call = ClientCall("mute", {"long": "x" * 1_000_000}, {}, (), title="mute")
    ended = attempt(call, home=Path("home"), limits=QUICK, environ=plain_environ())
    assert ended == Failure("client", "its process ended without a word")


def test_a_client_that_is_not_there_is_a_failure_that_can_be_looked_into(capsys):
    call = ClientCall("not_there_at_all", {}, {}, (), title="none")
    ended = attempt(call, home=Path("home"), limits=QUICK, environ=plain_environ() | {"TANDEM_TRACEBACK": "1"})
    assert ended == Failure("client", "its process ended without a word")
    assert "No module named not_there_at_all" in capsys.readouterr().err


def test_a_line_that_is_no_report_is_a_failure_of_the_client():
    assert run("print('welcome', flush=True)\nsend('completed', result={})").kind == "client"


@pytest.mark.parametrize("end", ["\\n", ""])
def test_ten_megabytes_of_noise_on_stderr_stop_nobody(end, capfd):
    code = f"for _ in range(100):\n    sys.stderr.write('x' * 100_000 + '{end}')\nsend('completed', result={{}})"
    assert run(code) == Completed()
    assert capfd.readouterr() == ("", "")


def test_bytes_that_are_no_text_stop_nobody():
    assert run("os.write(2, bytes(range(256)))\nsend('completed', result={})") == Completed()


OF_THE_USER = {
    "KAGGLE_USERNAME": "wanda",
    "KAGGLE_KEY": SECRET,
    "KAGGLE_API_TOKEN": SECRET,
    "KAGGLE_TOKEN": SECRET,
    "KAGGLE_PATH": "/elsewhere",
    "KAGGLE_CONFIG_DIR": "/elsewhere",
    "ROBOFLOW_API_KEY": SECRET,
    "ROBOFLOW_CONFIG_DIR": "/elsewhere",
    "VERBOSE": "true",
    "VERBOSE_OUTPUT": "true",
    "DATASET_DIRECTORY": "/elsewhere",
    "XDG_CONFIG_HOME": "/elsewhere",
    "HOME": "/elsewhere",
}
PASSED_ON = {
    "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
    "ROBOFLOW_REGION": "eu",
    "ROBOFLOW_ENVIRONMENT": "x",
    "API_URL": "http://127.0.0.1:1",
    "https_proxy": "http://127.0.0.1:1",
    "no_proxy": "x",
    "REQUESTS_CA_BUNDLE": "/certificates",
    "LANG": "C.UTF-8",
}


def test_the_child_has_no_credentials_and_no_folders_but_those_meant_for_it(tmp_path):
    code = "send('completed', result=dict(os.environ))"
    in_child = run(code, credentials={"KAGGLE_API_TOKEN": "the right one"}, **OF_THE_USER, **PASSED_ON).result
    assert {name: in_child.get(name) for name in PASSED_ON} == PASSED_ON
    home = str(tmp_path / "home")
    assert {name: value for name, value in in_child.items() if name in OF_THE_USER} == {
        "KAGGLE_API_TOKEN": "the right one",
        "KAGGLE_CONFIG_DIR": home,
        "ROBOFLOW_CONFIG_DIR": f"{home}/config.json",
        "HOME": home,
    }
    assert in_child["PYTHON_DOTENV_DISABLED"] == "1"
    assert SECRET not in in_child.values()


def test_no_text_of_a_failure_shows_a_secret():
    code = f"send('failed', kind='client', detail='no {SECRET} ?api_key=madeUpKey0', endpoint='x/{SECRET}/y')"
    assert run(code) == Failure("client", "no *** ?api_key=***", endpoint="x/***/y")


LOUD = f"print('the key is {SECRET}', file=sys.stderr)\nprint('Bearer madeUpToken', file=sys.stderr)\n"


def test_what_the_client_printed_is_shown_redacted_when_asked_for(capsys):
    assert run(LOUD, TANDEM_TRACEBACK="1").kind == "client"
    assert capsys.readouterr() == ("", "the key is ***\nBearer ***\n")


@pytest.mark.parametrize(("last", "environ"), [("", {}), ("send('completed', result={})", {"TANDEM_TRACEBACK": "1"})])
def test_what_the_client_printed_is_not_shown_otherwise(last, environ, capfd):
    run(LOUD + last, **environ)
    assert capfd.readouterr() == ("", "")


def in_seconds(seconds):
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


def retry_after(header):
    return run(f"send('failed', kind='http_error', status=429, retry_after={header!r})").retry_after_s


@pytest.mark.parametrize(("header", "seconds"), [("7", 7), (" 120 ", 120), ("0", 0), ("86400", 86400)])
def test_a_pause_is_asked_for_in_seconds(header, seconds):
    assert retry_after(header) == seconds


def test_a_pause_is_asked_for_by_a_date():
    assert 80 < retry_after(in_seconds(100)) <= 100
    assert retry_after(in_seconds(-100)) == 0


@pytest.mark.parametrize("header", ["", "soon", "-5", "1.5", "Mon, 32 May 2024 07:08:09 GMT", "²", "2024-05-06"])
def test_a_pause_that_is_nonsense_is_none(header):
    assert retry_after(header) == 0


def test_a_pause_until_a_year_that_never_comes_is_none():
    assert retry_after("Mon, 06 May 99999999999999999999 07:08:09 GMT") == 0


PARENT = """
import os, sys
from pathlib import Path
from tandem.pipeline.run import run
from tandem.sources.transfer.attempt import ClientCall, Limits, attempt
def main():
    attempt(ClientCall("hanging", {}, {}, (), "hanging"), home=Path("home"), limits=Limits(), environ=os.environ)
run(main)
"""
HANGING = """
import os, time
from pathlib import Path
from tandem.sources.transfer import client
def work(job):
    Path("pid.new").write_text(str(os.getpid()))
    Path("pid.new").rename("pid")
    time.sleep(60)
client.serve(work)
"""


@contextmanager
def parent_of_a_hanging_child():
    """A process in a session of its own, and the pid of its child; both are gone afterwards."""
    Path("hanging.py").write_text(HANGING, encoding="utf-8")
    pids = []
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], env=plain_environ(), stderr=subprocess.PIPE, start_new_session=True
    ) as parent:
        try:
            assert until(lambda: Path("pid").is_file() or parent.poll() is not None)
            pids.append(child())
            yield parent, *pids
        finally:
            parent.kill()
            for pid in filter(is_alive, pids):
                os.kill(pid, signal.SIGKILL)


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def test_a_child_ends_by_itself_when_its_parent_is_killed():
    with parent_of_a_hanging_child() as (parent, pid):
        assert is_alive(pid)
        assert psutil.Process(pid).ppid() == parent.pid
        parent.send_signal(signal.SIGKILL)
        assert until(lambda: not is_alive(pid))


def test_ctrl_c_reaches_the_parent_alone_which_ends_the_child_and_itself_in_silence():
    with parent_of_a_hanging_child() as (parent, pid):
        assert os.getsid(pid) == pid != os.getsid(parent.pid)
        os.killpg(parent.pid, signal.SIGINT)  # as a terminal does
        assert parent.wait(20) == 130
        assert not is_alive(pid)
        assert parent.stderr.read() == b""
