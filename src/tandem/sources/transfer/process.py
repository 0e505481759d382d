"""A child process that runs a client: its environment, its pipes, and how it ends."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

# What the clients must not read from the environment: other credentials, other folders, and VERBOSE, which prints the
# Authorization header.
_CLIENT_PREFIXES = ("KAGGLE_", "ROBOFLOW_")
_ENDPOINTS = ("KAGGLE_API_ENVIRONMENT", "ROBOFLOW_REGION", "ROBOFLOW_ENVIRONMENT")
_UNWANTED = ("VERBOSE", "VERBOSE_OUTPUT", "DATASET_DIRECTORY", "XDG_CONFIG_HOME")


def client_environ(environ: Mapping[str, str], credentials: Mapping[str, str], *, home: Path) -> dict[str, str]:
    """The environment for a client: `environ` with these credentials and no others, and with an empty `home`."""
    kept = {
        key: value
        for key, value in environ.items()
        if key in _ENDPOINTS or not (key.startswith(_CLIENT_PREFIXES) or key in _UNWANTED)
    }
    return {
        **kept,
        "HOME": str(home),
        "KAGGLE_CONFIG_DIR": str(home),
        "ROBOFLOW_CONFIG_DIR": str(home / "config.json"),
        "PYTHON_DOTENV_DISABLED": "1",  # roboflow would load any .env above it, even one with Kaggle's key
        **credentials,
    }


@contextmanager
def client_process(
    client: str, job: Mapping[str, Any], environ: Mapping[str, str], printed: deque[str]
) -> Iterator["queue.Queue[str | None]"]:
    """Run the module `client` on a job; yields a queue of the lines that it reports, None after the last.

    printed: takes the lines that it prints on standard error. The process is dead when the block is left.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", client],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        env=environ,
        start_new_session=True,  # Ctrl-C reaches the parent alone, which ends the child
    )
    assert process.stdin and process.stdout and process.stderr
    lines: queue.Queue[str | None] = queue.Queue()
    threads = [
        threading.Thread(target=_enqueue_lines, args=(process.stdout, lines), daemon=True),
        threading.Thread(target=printed.extend, args=(process.stderr,), daemon=True),
    ]
    try:
        for thread in threads:
            thread.start()
        _send_job(process.stdin, job)
        yield lines
    finally:
        # It leads a session of its own: what it has started is killed with it.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for thread in threads:
            thread.join()
        for pipe in (process.stdin, process.stdout, process.stderr):
            with suppress(BrokenPipeError):
                pipe.close()


def _send_job(pipe: IO[str], job: Mapping[str, Any]) -> None:
    """Write the job as a line of JSON. The pipe stays open: when it closes, the child knows that its parent is gone."""
    with suppress(BrokenPipeError):  # the child is dead already, which whoever reads its reports will see
        pipe.write(json.dumps(job) + "\n")
        pipe.flush()


def _enqueue_lines(pipe: Iterable[str], lines: "queue.Queue[str | None]") -> None:
    for line in pipe:
        lines.put(line)
    lines.put(None)
