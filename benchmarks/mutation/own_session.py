"""A command in a session of its own, of which nothing is left at its end: mutated code starts what it never ends."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import TextIO


def run_to_end(
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    shown: TextIO | None = None,
    timeout_s: float | None = None,
) -> tuple[int, str]:
    """Exit code, and what was printed; "" where that is shown. Raises TimeoutExpired after so many seconds."""
    with TemporaryFile("w+", encoding="utf-8", errors="replace") as printed:  # a pipe stays open while a child lives
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=shown or printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(timeout_s)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        printed.seek(0)
        return code, printed.read()
