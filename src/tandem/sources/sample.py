"""The synthetic sample as a source: generated on this machine, so that everything can be tried without a network."""

from pathlib import Path
from typing import Any

from tandem.files import dir_sha256
from tandem.sources.receipts import Fetched
from tandem.sources.settings import SampleSource
from tandem.sources.status import SourceStatus

IS_REMOTE = False


def fetch(target: Path, source: SampleSource, **_: Any) -> Fetched:
    """Generate the sample's files in the existing empty folder `target`. Raises SourceError for an unknown style."""
    from tandem.sources.synthetic.dataset import generate_sample  # and NumPy and Pillow

    generate_sample(target, style=source.style, seed=source.seed)
    return Fetched(what=f"synthetic sample, {source.style}", version=str(source.seed), sha256=dir_sha256(target))


def check(name: str, source: SampleSource, **_: Any) -> SourceStatus:
    """There is nothing that could be missing."""
    return SourceStatus(name, "synthetic sample", {"pin": f"seed {source.seed}"}, is_available=True)
