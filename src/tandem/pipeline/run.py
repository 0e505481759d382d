"""How a stage script or a command ends: well, with one message on stderr and exit code 1, or silently at Ctrl-C."""

import errno
import os
import sys
from collections.abc import Callable

from tandem.errors import PipelineError


def run(main: Callable[..., None], *arguments: object) -> None:
    """Call `main(*arguments)`; an error meant for people is printed without a traceback.

    TANDEM_TRACEBACK=1 in the environment shows the traceback as well.
    """
    if os.environ.get("TANDEM_TRACEBACK") == "1":
        return main(*arguments)
    try:
        main(*arguments)
    except KeyboardInterrupt:
        sys.exit(130)  # as a shell reports a program that Ctrl-C has ended
    except PipelineError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = f" at {error.filename}" if error.filename else ""
        sys.exit(f"error: the disk is full{where} ({error.strerror}); free some space and run again")
