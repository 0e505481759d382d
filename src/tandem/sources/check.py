"""The status of sources before anything is downloaded: credentials, pin, and what the service has."""

from collections.abc import Mapping, Sequence

from tandem.sources.kinds import SOURCE_KINDS
from tandem.sources.settings import Source
from tandem.sources.status import SourceStatus
from tandem.sources.transfer.attempt import Limits

_LIMITS = Limits(silence_s=20, grace_s=20, total_s=120)  # of a question; a download may take longer


def check_source(
    name: str, source: Source, *, environ: Mapping[str, str], is_online: bool, limits: Limits = _LIMITS
) -> SourceStatus:
    """The status of `sources.<name>`. is_online: whether its service is asked; nothing is downloaded."""
    kind = SOURCE_KINDS[source.kind]
    return kind.check(name, source.description, limits=limits, environ=environ, is_online=is_online)


def format_statuses(statuses: Sequence[SourceStatus]) -> str:
    """Statuses as text: a paragraph for each source."""
    return "\n\n".join(
        "\n".join(
            (f"{status.name}: {status.what}", *(f"  {key.ljust(12)} {fact}" for key, fact in status.facts.items()))
        )
        for status in statuses
    )
