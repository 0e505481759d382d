"""The mongod of a folder: how long it runs, what it leaves, and why it does not start."""

import os
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest
from pymongo import MongoClient

from tandem.errors import ReviewError
from tandem.review import mongod_process
from tandem.review.mongod import find
from tandem.review.mongod_process import running_mongod

MONGOD = find()
STARTER = """
import sys
from pathlib import Path
from tandem.review.mongod_process import running_mongod
with running_mongod(Path(sys.argv[1]), Path(sys.argv[2]), explain=str) as wait_for_port:
    print(wait_for_port(), flush=True)
    sys.stdin.read()
"""


def explain(problem):
    return f"the database {problem}; look there"


def running(folder):
    return running_mongod(MONGOD, folder, explain=explain)


def mongod_of(folder):
    return psutil.Process(int((folder / "mongod.lock").read_text()))


def has_ended(process, *, seconds=20):
    end = time.monotonic() + seconds
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def names(port):
    with MongoClient("127.0.0.1", port) as client:
        return client.list_database_names()


def test_it_runs_on_this_machine_alone_until_the_block_is_left_and_keeps_what_was_written(tmp_path):
    with running(tmp_path) as wait_for_port:
        with MongoClient("127.0.0.1", wait_for_port()) as client:
            client.planted.rows.insert_one({"value": 1})
        process = mongod_of(tmp_path)
        listening = [each.laddr for each in process.net_connections() if each.status == psutil.CONN_LISTEN]
        assert [(address.ip, address.port) for address in listening] == [("127.0.0.1", wait_for_port())]
    assert not process.is_running()
    with running(tmp_path) as wait_for_port:
        assert "planted" in names(wait_for_port())


def test_it_ends_when_what_started_it_is_killed_and_the_next_one_waits_for_that(tmp_path):
    command = [sys.executable, "-c", STARTER, MONGOD, tmp_path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as starter:
        port = int(starter.stdout.readline())
        assert "admin" in names(port)
        first = mongod_of(tmp_path)
        starter.kill()
        with running(tmp_path) as wait_for_port:
            assert has_ended(first, seconds=0)
            assert "admin" in names(wait_for_port())
            assert mongod_of(tmp_path).pid != first.pid


def test_one_that_lost_its_keeper_too_is_ended_by_the_next_and_one_of_another_folder_is_left_alone(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "other").mkdir()
    with running(tmp_path / "other") as wait_for_port:
        other = wait_for_port() and mongod_of(tmp_path / "other")
        (tmp_path / "own" / "mongod.lock").write_text(f"{other.pid}\n")
        mongod_process._end_earlier(tmp_path / "own")
        assert other.is_running()
        other.parent().kill()
        mongod_process._end_earlier(tmp_path / "other")
        assert has_ended(other, seconds=0)


def test_one_that_does_not_end_is_named_by_its_pid(tmp_path, monkeypatch):
    monkeypatch.setattr(mongod_process, "_TERMINATE_TIMEOUT_S", 0.2)
    with running(tmp_path) as wait_for_port:
        pid = wait_for_port() and mongod_of(tmp_path).pid
        os.kill(pid, signal.SIGSTOP)
        message = rf"mongod with pid {pid} .* still runs in {tmp_path}, .*; end it by `kill -9 {pid}` and run again"
        try:
            with pytest.raises(ReviewError, match=message), running(tmp_path):
                pass
        finally:
            os.kill(pid, signal.SIGKILL)


def test_a_damaged_folder_is_explained_in_mongod_s_own_words(tmp_path):
    (tmp_path / "storage.bson").write_bytes(b"damaged")
    with pytest.raises(ReviewError) as raised, running(tmp_path) as wait_for_port:
        wait_for_port()
    start = (
        "the database did not start: mongod ended with exit code 14: Unable to read the storage engine metadata file"
    )
    assert str(raised.value).startswith(start)
    assert str(raised.value).endswith("; look there")


def test_a_mongod_that_is_missing_is_named(tmp_path):
    message = f"the database did not start: there is no {tmp_path / 'mongod'}; look there"
    with (
        pytest.raises(ReviewError, match=re.escape(message)),
        running_mongod(tmp_path / "mongod", tmp_path, explain=explain),
    ):
        pass


def test_one_that_neither_listens_nor_ends_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(mongod_process, "_START_TIMEOUT_S", 0.2)
    silent = tmp_path / "mongod"
    silent.write_text("#!/bin/sh\nexec sleep 60\n")
    silent.chmod(0o755)
    with (
        pytest.raises(ReviewError, match=r"did not start: mongod does not listen after 0\.2 s; look there"),
        running_mongod(silent, tmp_path, explain=explain) as wait_for_port,
    ):
        wait_for_port()
