"""Why an attempt to download gave nothing, whether another one can help, and the words for it."""

from typing import Literal, NamedTuple

FailureKind = Literal[
    "answer",
    "page",
    "connection",
    "silence",
    "deadline",
    "damage",
    "credentials",
    "size",
    "disk",
    "client",
]

_PASSING = {"page", "connection", "silence", "deadline", "damage"}
_PASSING_STATUSES = {408, 425, 429}


class Failure(NamedTuple):
    """said: what the service, the client or the check said of it, without secrets.

    status: of an HTTP answer, else 0. place: host and path of the last request. is_archive: whether that request
    was for the archive's bytes, not for the service's interface. retry_after_s: as the service asked, else 0.
    """

    kind: FailureKind
    said: str = ""
    status: int = 0
    place: str = ""
    is_archive: bool = False
    retry_after_s: float = 0.0


def is_transient(failure: Failure) -> bool:
    """Whether the same request may succeed later.

    A storage's refusal does, whatever its status: the link to it is signed anew for each attempt.
    """
    if failure.kind == "answer":
        return failure.is_archive or failure.status in _PASSING_STATUSES or failure.status >= 500
    return failure.kind in _PASSING


def is_resumable(failure: Failure) -> bool:
    """Whether bytes that came before the failure are a sound beginning of the archive."""
    return failure.kind in {"connection", "silence", "deadline"} or (
        failure.kind == "answer" and not failure.is_archive and is_transient(failure)
    )


def describe_failure(failure: Failure) -> str:
    """What happened, in one clause."""
    place = failure.place or "the client"
    said = f" ({failure.said})" if failure.said else ""
    return {
        "answer": f"{place} answered {failure.status}{said}",
        "page": f"{place} sent a web page in place of data",
        "connection": f"the connection to {place} failed{said}",
        "silence": f"{place} sent nothing {failure.said}",
        "deadline": f"the attempt took too long{said}",
        "damage": f"what {place} sent is damaged{said}",
        "credentials": f"the credentials were not accepted{said}",
        "size": f"{place} sends too much{said}",
        "disk": f"there is no room for the archive{said}",
        "client": f"the client gave up{said}",
    }[failure.kind]


def remedy(failure: Failure) -> str:
    """What to do about it, where that does not depend on the service."""
    if is_transient(failure) and failure.kind == "answer":
        return "run it again later"
    return {
        "page": "look for a login page or a proxy in your network, then run it again",
        "connection": "check the network and its proxy, then run it again",
        "silence": "check the network and its proxy, then run it again",
        "deadline": "use a faster connection, or download it by hand and use kind: archive",
        "damage": "run it again later; if it stays so, download it by hand and compare",
        "size": "download it by hand and use kind: archive, if it is meant",
        "disk": "make room there and run it again",
    }.get(failure.kind, "set TANDEM_TRACEBACK=1 to see more, or download it by hand and use kind: archive")
