"""Texts without secrets: what a client or a service says may hold a key."""

import base64
import re
from collections.abc import Iterable
from urllib.parse import quote

_MASK = "***"
# Both services put secrets into URLs, which error messages quote: Roboflow api_key= and key=, Google's signed links.
_IN_URL = re.compile(r"(?i)\b((?:api_?key|key|token|sig|signature|x-goog-\w+|credential)=)[^&\s\"'<>]+")
_IN_HEADER = re.compile(r"(?i)\b(basic|bearer)\s+[\w.~+/=-]{6,}")


def redacted(text: str, secrets: Iterable[str]) -> str:
    """`text` with *** in place of every secret, percent-encoded ones too, and of everything that looks like one."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        for form in (secret, quote(secret, safe="")):
            text = text.replace(form, _MASK)
    return _IN_HEADER.sub(rf"\1 {_MASK}", _IN_URL.sub(rf"\1{_MASK}", text))


def basic_auth(username: str, password: str) -> str:
    """The encoded pair of HTTP's basic authentication, which is as secret as the pair itself (RFC 7617)."""
    return base64.b64encode(f"{username}:{password}".encode()).decode()
