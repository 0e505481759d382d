"""Texts without secrets: what a client or a service says may hold a key."""

import base64
import re
from collections.abc import Iterable
from urllib.parse import quote

_HIDDEN = "***"
# Both services put secrets into URLs, which error messages quote: Roboflow api_key= and key=, Google's signed links.
_IN_URL = re.compile(r"(?i)\b((?:api_?key|key|token|sig|signature|x-goog-\w+|credential)=)[^&\s\"'<>]+")
_IN_HEADER = re.compile(r"(?i)\b(basic|bearer)\s+[\w.~+/=-]{6,}")


def redacted(text: str, secrets: Iterable[str]) -> str:
    """`text` with every secret, also percent-encoded, and everything that looks like one replaced by ***."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        for form in (secret, quote(secret, safe="")):
            text = text.replace(form, _HIDDEN)
    return _IN_HEADER.sub(rf"\1 {_HIDDEN}", _IN_URL.sub(rf"\1{_HIDDEN}", text))


def basic(username: str, password: str) -> str:
    """What HTTP's basic authentication makes of a pair: it is as secret as the pair (RFC 7617)."""
    return base64.b64encode(f"{username}:{password}".encode()).decode()
