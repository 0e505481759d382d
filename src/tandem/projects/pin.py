"""The line of a project's requirements.txt that pins tandem: the version that is installed, from where it came.

The package of this name on PyPI is another one. So what was installed from a repository, an address or a file is pinned
by that, as pip and uv note it beside the package (PEP 610), and by its bare version only where it came from an index.
"""

import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

from tandem.pipeline.code.pinned import PACKAGE, PIN_LINE, installed_version, version_in

_HEAD = """\
# The version of tandem that this project's results are computed by. `tandem init --upgrade` renews it.
"""
_LOCAL = """\
# It came from a place on this machine. For other machines write an address that they reach: https://... or git+https://...
"""


def requirements(earlier: str | None = None) -> str:
    """The text of requirements.txt that pins the installed tandem; an earlier text keeps its other lines.

    One that pins this version stays as it is, by whatever address, but for another commit of a repository.
    """
    origin = _origin()
    line = _line(installed_version(), origin)
    if earlier is not None:
        commit = origin.get("vcs_info", {}).get("commit_id", "")
        if version_in(earlier) == installed_version() and commit in earlier:
            return earlier
        return PIN_LINE.sub(lambda _: line, earlier, count=1) if PIN_LINE.search(earlier) else f"{line}\n{earlier}"
    return f"{_HEAD}{_LOCAL if ' file:' in line else ''}{line}\n"


def _line(version: str, origin: Mapping[str, Any]) -> str:
    """origin: what PEP 610 notes of a package that came from no index, without credentials; nothing of one that did."""
    if not origin:
        return f"{PACKAGE.name}=={version}"
    url, vcs = str(origin["url"]), origin.get("vcs_info")
    address = f"{vcs['vcs']}+{url}@{vcs['commit_id']}" if vcs else url
    return f"{PACKAGE.name} @ {address}  # version {version}"


def _origin() -> Mapping[str, Any]:
    try:
        text = distribution(PACKAGE.name).read_text("direct_url.json")
    except PackageNotFoundError:
        return {}
    return dict(json.loads(text)) if text else {}
