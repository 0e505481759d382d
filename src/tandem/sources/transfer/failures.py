"""Why an attempt to download failed, whether another one can help, and the words for it."""

from typing import Literal, NamedTuple

FailureKind = Literal[
    "http_error",
    "web_page",
    "connection",
    "silence",
    "deadline",
    "corrupt",
    "credentials",
    "size",
    "disk",
    "client",
]

_TRANSIENT_KINDS = {"web_page", "connection", "silence", "deadline", "corrupt"}
_TRANSIENT_STATUSES = {408, 425, 429}


class Failure(NamedTuple):
    """detail: what the service, the client or the check said of it, without secrets.

    status: of an HTTP response, else 0. endpoint: host and path of the last request. is_archive: whether that request
    was for the archive's bytes, not to the service's API. retry_after_s: as the service asked, else 0.
    """

    kind: FailureKind
    detail: str = ""
    status: int = 0
    endpoint: str = ""
    is_archive: bool = False
    retry_after_s: float = 0.0


def is_transient(failure: Failure) -> bool:
    """Whether the same request may succeed later.

    After an HTTP error of the storage it may, whatever the status: the link to it is signed anew for each attempt.
    """
    if failure.kind == "http_error":
        return failure.is_archive or failure.status in _TRANSIENT_STATUSES or failure.status >= 500
    return failure.kind in _TRANSIENT_KINDS


def is_resumable(failure: Failure) -> bool:
    """Whether the bytes received before the failure are a sound beginning of the archive."""
    return failure.kind in {"connection", "silence", "deadline"} or (
        failure.kind == "http_error" and not failure.is_archive and is_transient(failure)
    )


def describe_failure(failure: Failure) -> str:
    """What happened, in one clause."""
    endpoint = failure.endpoint or "the client"
    detail = f" ({failure.detail})" if failure.detail else ""
    return {
        "http_error": f"{endpoint} answered {failure.status}{detail}",
        "web_page": f"{endpoint} sent a web page in place of data",
        "connection": f"the connection to {endpoint} failed{detail}",
        "silence": f"{endpoint} sent nothing {failure.detail}",
        "deadline": f"the attempt took too long{detail}",
        "corrupt": f"what {endpoint} sent is corrupt{detail}",
        "credentials": f"the credentials were not accepted{detail}",
        "size": f"{endpoint} sends too much{detail}",
        "disk": f"there is no room for the archive{detail}",
        "client": f"the client gave up{detail}",
    }[failure.kind]


def remedy(failure: Failure) -> str:
    """What to do about it, where that does not depend on the service."""
    if is_transient(failure) and failure.kind == "http_error":
        return "run it again later"
    return {
        "web_page": "look for a login page or a proxy in your network, then run it again",
        "connection": "check the network and its proxy, then run it again",
        "silence": "check the network and its proxy, then run it again",
        "deadline": "use a faster connection, or download it by hand and use kind: archive",
        "corrupt": "run it again later; if it stays so, download it by hand and compare",
        "size": "download it by hand and use kind: archive, if it is meant",
        "disk": "make room there and run it again",
    }.get(failure.kind, "set TANDEM_TRACEBACK=1 to see more, or download it by hand and use kind: archive")
