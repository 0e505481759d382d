"""What a script imports first: how it ends, or one sentence where this Python cannot run it.

This file and the scripts are such that an old Python reads them, and says that it is too old.
"""

import os
import sys

_REMEDY = (
    "activate the environment that tandem is in; `pip install -r requirements.txt` installs it"
    if os.path.exists("requirements.txt")  # noqa: PTH110  # a project that `tandem init` made
    else "activate the project's environment: `source .venv/bin/activate`; "
    "`make -B setup` makes it anew"
)

if sys.version_info < (3, 11):  # noqa: UP036
    _found = ".".join(map(str, sys.version_info[:3]))
    sys.exit(f"error: {sys.executable} is Python {_found}, and 3.11 or newer is needed; {_REMEDY}")
try:
    from tandem.pipeline.run import run, warn
except ModuleNotFoundError as error:
    sys.exit(f"error: {sys.executable} does not have this project ({error}); {_REMEDY}")

__all__ = ["run", "warn"]
