"""A child process that runs a client's module: its environment, its pipes, and its end."""

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

# What the clients read from the environment and we do not want them to: other credentials, other folders, and VERBOSE,
# which prints the Authorization header.
_OF_THE_CLIENTS = ("KAGGLE_", "ROBOFLOW_")
_ENDPOINTS = ("KAGGLE_API_ENVIRONMENT", "ROBOFLOW_REGION", "ROBOFLOW_ENVIRONMENT")
_UNWANTED = ("VERBOSE", "VERBOSE_OUTPUT", "DATASET_DIRECTORY", "XDG_CONFIG_HOME")


def client_environ(environ: Mapping[str, str], own: Mapping[str, str], *, home: Path) -> dict[str, str]:
    """Our environment as a client may see it: with `own` credentials and no others, and an empty `home`."""
    kept = {
        key: value
        for key, value in environ.items()
        if key in _ENDPOINTS or not (key.startswith(_OF_THE_CLIENTS) or key in _UNWANTED)
    }
    return {
        **kept,
        "HOME": str(home),
        "KAGGLE_CONFIG_DIR": str(home),
        "ROBOFLOW_CONFIG_DIR": str(home / "config.json"),
        "PYTHON_DOTENV_DISABLED": "1",  # roboflow loads any .env above it, Kaggle's key in it included
        **own,
    }


@contextmanager
def child(
    client: str, job: Mapping[str, Any], environ: Mapping[str, str], printed: deque[str]
) -> Iterator["queue.Queue[str | None]"]:
    """Run the module `client` on a job; a queue of the lines that it reports, None at their end.

    printed: gets what it prints on standard error. The child is dead when the block is left.
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
        threading.Thread(target=_put_all, args=(process.stdout, lines), daemon=True),
        threading.Thread(target=printed.extend, args=(process.stderr,), daemon=True),
    ]
    try:
        for thread in threads:
            thread.start()
        _tell(process.stdin, job)
        yield lines
    finally:
        with suppress(
            ProcessLookupError, PermissionError
        ):  # it leads a session of its own, with whatever it may have started
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for thread in threads:
            thread.join()
        for pipe in (process.stdin, process.stdout, process.stderr):
            with suppress(BrokenPipeError):
                pipe.close()


def _tell(pipe: IO[str], job: Mapping[str, Any]) -> None:
    """Hand over the job. The pipe stays open: at its end the child knows that its parent is gone."""
    with suppress(BrokenPipeError):  # the child is dead already, and so will be found
        pipe.write(json.dumps(job) + "\n")
        pipe.flush()


def _put_all(pipe: Iterable[str], lines: "queue.Queue[str | None]") -> None:
    for line in pipe:
        lines.put(line)
    lines.put(None)
