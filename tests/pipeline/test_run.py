"""How a stage ends: a child process, its exit code and what it prints."""

import os
import re
import signal
import subprocess
import sys

import pytest

START = "from tandem.pipeline.run import run\nfrom tandem.errors import DataError\nimport errno\n"


def end_of(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    plain = {key: value for key, value in os.environ.items() if key != "TANDEM_TRACEBACK"}
    return subprocess.run(
        [sys.executable, "-c", START + code], env=plain | environment, capture_output=True, text=True, timeout=60
    )


BAD_DATA = "def main():\n    raise DataError('image 7 has no class; give it one')\nrun(main)\n"


def test_a_stage_that_ends_well_says_in_one_line_what_it_did_and_how_long_it_took(tmp_path) -> None:
    script = tmp_path / "train.py"
    script.write_text(f"{START}def main(name):\n    print(name)\n    return '3 epochs'\nrun(main, 'vgg11')\n")
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, "vgg11\n")
    assert re.fullmatch(r"train@vgg11: 3 epochs, \d+\.\d s\n", ended.stderr)


def test_a_command_that_says_nothing_itself_ends_in_silence() -> None:
    ended = end_of("def main(name, number):\n    print(name, number + 1)\nrun(main, 'a', 1)\n")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "a 2\n", "")


def test_an_error_for_people_is_one_message_and_exit_code_1() -> None:
    ended = end_of(BAD_DATA)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "error: image 7 has no class; give it one\n"


def test_the_traceback_is_shown_when_asked_for() -> None:
    ended = end_of(BAD_DATA, TANDEM_TRACEBACK="1")
    assert ended.returncode == 1
    assert "Traceback (most recent call last)" in ended.stderr
    assert "DataError: image 7 has no class; give it one" in ended.stderr


@pytest.mark.parametrize("number", ["ENOSPC", "EDQUOT"])
def test_a_full_disk_is_one_message(number: str) -> None:
    raised = f"raise OSError(errno.{number}, 'it is full', 'data/merge/index.csv')"
    ended = end_of(f"def main():\n    {raised}\nrun(main)\n")
    assert ended.returncode == 1
    assert ended.stderr == (
        "error: the disk is full at data/merge/index.csv (it is full); free some space and run again\n"
    )


def test_a_full_disk_that_names_no_file_is_one_message_too() -> None:
    ended = end_of("def main():\n    open('/dev/full', 'wb', buffering=0).write(b'x')\nrun(main)\n")
    assert ended.returncode == 1
    assert ended.stderr == "error: the disk is full (No space left on device); free some space and run again\n"


@pytest.mark.parametrize(
    ("raised", "shown"),
    [
        ("raise PermissionError(errno.EACCES, 'denied', 'a.csv')", "PermissionError: [Errno 13] denied: 'a.csv'"),
        ("raise KeyError('a mistake of ours')", "KeyError: 'a mistake of ours'"),
    ],
)
def test_other_errors_are_not_swallowed(raised: str, shown: str) -> None:
    ended = end_of(f"def main():\n    {raised}\nrun(main)\n")
    assert ended.returncode == 1
    assert "Traceback (most recent call last)" in ended.stderr
    assert shown in ended.stderr


def test_ctrl_c_ends_it_in_silence_as_a_shell_would() -> None:
    ended = end_of("def main():\n    raise KeyboardInterrupt\nrun(main)\n")
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


def test_ctrl_c_shows_where_it_was_when_asked_for() -> None:
    ended = end_of("def main():\n    raise KeyboardInterrupt\nrun(main)\n", TANDEM_TRACEBACK="1")
    assert ended.returncode != 0
    assert "KeyboardInterrupt" in ended.stderr


CLEANING_UP = """
import time
def main():
    try:
        print("begun", flush=True)
        time.sleep(60)
    finally:
        print("cleaned up", flush=True)
run(main)
"""


def test_a_real_ctrl_c_lets_a_stage_clean_up_and_ends_it_in_silence() -> None:
    plain = {key: value for key, value in os.environ.items() if key != "TANDEM_TRACEBACK"}
    with subprocess.Popen(
        [sys.executable, "-c", START + CLEANING_UP],
        env=plain,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "begun\n"
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, said) == (130, ("cleaned up\n", ""))
