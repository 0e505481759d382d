"""Where a source can come from: one line for each kind, with the module that knows it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from tandem.sources import archive, kaggle, roboflow, sample
from tandem.sources.receipts import Fetched
from tandem.sources.status import SourceStatus
from tandem.sources.transfer.attempt import Limits


class Kind(Protocol):
    """What the module of each kind has. source: the description of that kind, of sources.settings.

    IS_REMOTE: whether it is a service on the network, which is not asked again for what is here already.
    """

    IS_REMOTE: bool

    def fetch(self, target: Path, source: Any, *, scratch: Path, limits: Limits, environ: Mapping[str, str]) -> Fetched:
        """Write the source's files to the folder `target`, which is replaced only when all went well.

        scratch: folder of this download alone, for what is under way. environ: where credentials are looked for.
        Raises SourceError.
        """
        ...

    def check(
        self, name: str, source: Any, *, limits: Limits, environ: Mapping[str, str], is_online: bool
    ) -> SourceStatus:
        """What can be said before a download. is_online: whether a service may be asked."""
        ...


SOURCE_KINDS: Mapping[str, Kind] = {
    "sample": sample,
    "archive": archive,
    "kaggle": kaggle,
    "roboflow": roboflow,
}
