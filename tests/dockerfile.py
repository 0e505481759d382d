"""The Dockerfile taken apart."""

import json
import re
import shlex

from pages import ROOT, text_of

_LINES = re.sub(r"^#.*\n|\\\n", "", text_of(ROOT / "Dockerfile"), flags=re.MULTILINE).splitlines()
# the name and the rest of the line of each
INSTRUCTIONS = [tuple(line.split(maxsplit=1)) for line in _LINES if line]


def value_of(name):
    """What follows the only instruction of a name."""
    (value,) = (value for each, value in INSTRUCTIONS if each == name)
    return value


def copied():
    """The sources of all COPY, paths from the project's folder."""
    return [source for name, value in INSTRUCTIONS if name == "COPY" for source in shlex.split(value)[:-1]]


COMMAND = json.loads(value_of("CMD"))
HEALTHCHECK = json.loads(value_of("HEALTHCHECK").removeprefix("CMD "))
