"""Whether the tandem that is installed is the one whose results a project holds.

A clone of tandem runs the code that lies in it. Any other project names a version in its requirements.txt, and its
stage `check` lists the code of each stage by its digests: another version is an error, and so is other code of the same
version, as a branch has it that was installed twice. Both take milliseconds, and every stage asks.
"""

import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tandem.errors import VersionError
from tandem.files import sha256

PIN_PATH = Path("requirements.txt")
LISTINGS = Path("data/check/code")
PACKAGE = Path(__file__).parents[2]  # of the tandem that runs
SHOWN_BELOW = Path("src")  # the folder of tandem's own repository that the package lies in, and a listing names
# `tandem==1.2`, or an address with the version behind it: `tandem @ https://...  # version 1.2`
_PIN = re.compile(r"^tandem(?:\[[^]]*\])?\s*(?:==\s*([^\s;#]+)|@\s*\S+(?:.*#\s*version\s+(\S+))?)", re.MULTILINE)
PIN_LINE = re.compile(r"^tandem(?![\w.-]).*$", re.MULTILINE)  # whatever it says of the version


def installed_version() -> str:
    """Of the tandem that runs; "unknown" where it lies on the path without being installed."""
    try:
        return version(PACKAGE.name)
    except PackageNotFoundError:
        return "unknown"


def pinned_version(root: Path = Path()) -> str | None:
    """The version that the project in a folder pins; None for a clone of tandem. Raises VersionError where none is."""
    path = root / PIN_PATH
    if is_clone(root) or not path.is_file():
        return None
    pinned = version_in(path.read_text(encoding="utf-8", errors="replace"))
    if pinned is None:
        here = installed_version()
        raise VersionError(
            f"{path} does not say which version of tandem this project is for; add the line `tandem=={here}`, or write "
            f"`# version {here}` behind an address"
        )
    return pinned


def version_in(text: str) -> str | None:
    """The version of tandem that the text of a requirements.txt pins; None where it pins none."""
    found = _PIN.search(text)
    return (found[1] or found[2]) if found else None


def is_clone(root: Path) -> bool:
    """Whether the package itself lies in a project: tandem's own repository."""
    return (root / SHOWN_BELOW / PACKAGE.name).is_dir()


def require_pinned(root: Path = Path()) -> None:
    """Raise VersionError where another version is installed than the project pins."""
    pinned = pinned_version(root)
    if pinned is not None and pinned != (installed := installed_version()):
        raise VersionError(
            f"this project is for tandem {pinned} ({PIN_PATH}), and {installed} is installed in {PACKAGE.parent}; "
            f"`pip install -r {PIN_PATH}` gets the one, `tandem init --upgrade` takes the project to the other"
        )


def require_listed(stage: str, root: Path = Path()) -> None:
    """Raise VersionError where the installed code of a stage is not what the stage check listed of it.

    stage: by the name of its script. Nothing is asked of a clone, whose code DVC itself looks at.
    """
    listing = root / LISTINGS / f"{stage}.txt"
    if is_clone(root) or not listing.is_file():
        return
    for line in listing.read_text(encoding="utf-8").splitlines():
        digest, _, name = line.partition("  ")
        if SHOWN_BELOW not in Path(name).parents:
            continue  # a script of the project, which DVC looks at
        path = PACKAGE.parent / Path(name).relative_to(SHOWN_BELOW)
        if not path.is_file() or sha256(path) != digest:
            raise VersionError(
                f"the tandem in {PACKAGE.parent} has other code than when this project's stages were listed "
                f"({path.name} differs), though its version is the same, {installed_version()}; `dvc repro -f -s "
                "check` lists it anew, and then `dvc repro` runs what differs"
            )
