"""The folder of FiftyOne's database: its lock, and what is said when the database does not answer.

That FiftyOne itself starts there, in several processes at once, is tested in test_dataset.py, its mongod in
test_mongod_process.py.
"""

import os
import re
import signal
import subprocess
import sys

import pytest

from tandem.errors import ReviewError
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
with open_database(Path(sys.argv[1])) as fiftyone:
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
