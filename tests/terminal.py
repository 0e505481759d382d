"""A terminal of a stated width, and what a process shows on it."""

import os
import pty
import subprocess
import termios
from contextlib import suppress


def output_on_a_terminal(*, env, columns=120, **process):
    """What it wrote, control characters and all. process: arguments of Popen; it must end with exit code 0."""
    env = env | {"COLUMNS": str(columns), "LINES": "24"}  # else those of the terminal that the tests run in
    outer, inner = pty.openpty()
    termios.tcsetwinsize(inner, (24, columns))
    with subprocess.Popen(**process, env=env, stdout=inner, stderr=inner, stdin=inner) as child:
        os.close(inner)
        output = b""
        with suppress(OSError):  # Linux reports the end of a terminal as an error
            while chunk := os.read(outer, 4096):
                output += chunk
        os.close(outer)
    assert child.returncode == 0, output.decode()
    return output.decode()
