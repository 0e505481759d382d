"""The folder of FiftyOne's database: its lock, and a mongod that was left behind in it.

That FiftyOne itself starts there, in several processes at once, is tested in test_dataset.py.
"""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
from pymongo.errors import AutoReconnect, ServerSelectionTimeoutError

from tandem.errors import ReviewError
from tandem.review import database, mongod
from tandem.review.database import open_database

HOLDER = """
import sys
from pathlib import Path
from tandem.review.database import _exclusive_use
with _exclusive_use(Path(sys.argv[1]), wait=True):
    print("locked", flush=True)
    sys.stdin.read()
"""
OPENER = """
import sys
from pathlib import Path
from tandem.review.database import open_database
with open_database(Path(sys.argv[1])):
    print("opened")
"""


@pytest.fixture
def holder(tmp_path):
    """A process that has locked tmp_path / "db"."""
    command = [sys.executable, "-c", HOLDER, tmp_path / "db"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


def test_a_folder_in_which_another_process_works_is_refused(tmp_path, holder):
    message = f"another process works in {tmp_path / 'db'}; end it, or wait until it has ended"
    with pytest.raises(ReviewError, match=re.escape(message)), open_database(tmp_path / "db", wait=False):
        pass


def test_a_folder_is_waited_for_until_the_other_process_has_ended(tmp_path, holder):
    command = [sys.executable, "-c", HOLDER, tmp_path / "db"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as waiting:
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(3)
        holder.send_signal(signal.SIGKILL)  # which frees the folder, too
        assert waiting.stdout.readline() == "locked\n"
        waiting.stdin.close()
        assert waiting.wait(30) == 0


def test_a_database_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "db").write_text("")
    message = f"cannot be in {tmp_path / 'db'}: .*; make that a folder in which you may write"
    with pytest.raises(ReviewError, match=message), open_database(tmp_path / "db"):
        pass


@pytest.mark.slow
def test_a_database_that_does_not_answer_is_named(tmp_path):
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("FIFTYONE_")}
    uri = "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=500"
    done = subprocess.run(
        [sys.executable, "-c", OPENER, tmp_path / "db"],
        env=inherited | {"FIFTYONE_DATABASE_URI": uri},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1
    assert "ReviewError: the database that FIFTYONE_DATABASE_URI names does not answer" in last
    assert "127.0.0.1:9" in last
    assert "Connection refused" in last
    assert last.endswith("start it, correct the variable, or unset it to have a database in this project")


def start_mongod(database_dir):
    """A mongod that no FiftyOne has started, once it accepts connections."""
    database_dir.mkdir()
    command = [mongod.find(), "--dbpath", database_dir, "--port", "0", "--nounixsocket"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    next(line for line in process.stdout if "Waiting for connections" in line)
    return process


def test_an_orphaned_mongod_of_the_folder_is_ended(tmp_path):
    orphan = start_mongod(tmp_path / "db")
    try:
        database._end_orphan(tmp_path / "db")
        assert orphan.wait(10) == 0
        database._end_orphan(tmp_path / "db")  # where there is none
    finally:
        orphan.kill()
        orphan.communicate(timeout=60)


def test_a_mongod_of_another_folder_is_left_alone(tmp_path):
    other = start_mongod(tmp_path / "other")
    try:
        (tmp_path / "db").mkdir()
        (tmp_path / "db" / "mongod.lock").write_text(f"{other.pid}\n")
        database._end_orphan(tmp_path / "db")
        time.sleep(1)
        assert other.poll() is None
    finally:
        other.kill()
        other.communicate(timeout=60)


def test_an_orphan_that_does_not_end_is_named_by_its_pid(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "_TERMINATE_TIMEOUT_S", 1)
    orphan = start_mongod(tmp_path / "db")
    try:
        os.kill(orphan.pid, signal.SIGSTOP)
        message = rf"mongod with pid {orphan.pid} .* still runs in {tmp_path / 'db'}, .* by `kill -9 {orphan.pid}`"
        with pytest.raises(ReviewError, match=message):
            database._end_orphan(tmp_path / "db")
    finally:
        orphan.kill()
        orphan.communicate(timeout=60)


LOST = [AutoReconnect("connection closed"), ServerSelectionTimeoutError("refused, Timeout: 1s")]


@pytest.mark.parametrize("error", LOST)
def test_a_database_that_ends_while_it_is_used_is_told_in_one_sentence(tmp_path, error):
    with pytest.raises(ReviewError) as caught, database._told_when_it_ends(tmp_path):
        raise error
    assert re.fullmatch(
        rf"FiftyOne's database in {tmp_path} ended while it was used \({type(error).__name__}: [a-z ]+\); "
        r"see \S+/log/mongo\.log and run again: it is built anew, and nothing is lost with it",
        str(caught.value),
    )
