"""How a stage script or a command ends: well, with one message on stderr and exit code 1, or silently at Ctrl-C.

A stage that ends well says in one line what it did and how long it took.
"""

import errno
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tandem.errors import PipelineError


def run(main: Callable[..., str | None], *arguments: object) -> None:
    """Call `main(*arguments)`; an error meant for people is printed without a traceback.

    What main returns is printed on stderr, after the script's name and arguments and before the seconds that it took.
    TANDEM_TRACEBACK=1 in the environment shows the traceback of an error as well.
    """
    if os.environ.get("TANDEM_TRACEBACK") == "1":
        return _report(main, arguments)
    try:
        _report(main, arguments)
    except KeyboardInterrupt:
        sys.exit(130)  # as a shell reports a program that Ctrl-C has ended
    except PipelineError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = f" at {error.filename}" if error.filename else ""
        sys.exit(f"error: the disk is full{where} ({error.strerror}); free some space and run again")


def _report(main: Callable[..., str | None], arguments: tuple[object, ...]) -> None:
    start = time.monotonic()
    done = main(*arguments)
    if done:
        name = "@".join([Path(sys.argv[0]).stem, *map(str, arguments)])
        sys.stderr.write(f"{name}: {done}, {time.monotonic() - start:.1f} s\n")
