"""Credentials where people keep them, checked for what can be seen without a network."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tandem.errors import SourceError
from tandem.sources.transfer.redact import basic_auth

KAGGLE_PAGE = "https://www.kaggle.com/settings"
ROBOFLOW_PAGE = "https://app.roboflow.com/settings/api"
_KAGGLE_WAYS = (
    f"create a token at {KAGGLE_PAGE} and set KAGGLE_API_TOKEN, or set KAGGLE_USERNAME and KAGGLE_KEY, "
    "or put kaggle.json into ~/.kaggle"
)
_ROBOFLOW_WAY = f"set ROBOFLOW_API_KEY to the private key of {ROBOFLOW_PAGE}"


class Credentials(NamedTuple):
    """origin: where they were found, in words. environ: the variables that pass them to the client.

    secrets: values that no text may show. unused: where others were found that are not used, in words.
    """

    origin: str
    environ: Mapping[str, str]
    secrets: tuple[str, ...]
    unused: str = ""


def kaggle_credentials(environ: Mapping[str, str]) -> Credentials:
    """The credentials for Kaggle, in the order of its client: a token, else a pair of username and key.

    KAGGLE_API_TOKEN (the token, or a file with it), ~/.kaggle/access_token; KAGGLE_USERNAME and KAGGLE_KEY, each
    over what kaggle.json says ($KAGGLE_CONFIG_DIR, ~/.kaggle, $XDG_CONFIG_HOME/kaggle, ~/.config/kaggle). Raises
    SourceError when there are none, or none that can be right.
    """
    if found := _kaggle_token(environ):
        token, origin = found
        return Credentials(origin, {"KAGGLE_API_TOKEN": token}, (token,), unused=_unused_pair(environ))
    if pair := _kaggle_pair(environ):
        return pair
    raise SourceError(f"no credentials for Kaggle were found; {_KAGGLE_WAYS}")


def roboflow_credentials(environ: Mapping[str, str]) -> Credentials:
    """The key for Roboflow, from ROBOFLOW_API_KEY. Raises SourceError when there is none, or none that can be right."""
    key = environ.get("ROBOFLOW_API_KEY", "").strip()
    if not key:
        raise SourceError(f"no credentials for Roboflow were found; {_ROBOFLOW_WAY}")
    # Its client takes a key without a lower-case letter for a dummy, and asks no server.
    if not key.isprintable() or " " in key or key == key.upper():
        raise SourceError(f"ROBOFLOW_API_KEY cannot be a key of Roboflow's: {_shape(key)}; {_ROBOFLOW_WAY}")
    return Credentials("ROBOFLOW_API_KEY", {"ROBOFLOW_API_KEY": key}, (key,))


def _kaggle_token(environ: Mapping[str, str]) -> tuple[str, str] | None:
    value = environ.get("KAGGLE_API_TOKEN", "").strip()
    if value:
        token = _text(Path(value)) if _is_file(value) else value
        return _plausible(token, "KAGGLE_API_TOKEN"), "KAGGLE_API_TOKEN"
    for name in ("access_token", "access_token.txt"):
        path = _home(environ) / ".kaggle" / name
        if _is_file(path):
            return _plausible(_text(path), str(path)), str(path)
    return None


def _unused_pair(environ: Mapping[str, str]) -> str:
    """Where a pair was found that a token takes precedence of; "" where there is none that could be used."""
    try:
        pair = _kaggle_pair(environ)
    except SourceError:
        return ""
    return pair.origin if pair else ""


def _kaggle_pair(environ: Mapping[str, str]) -> Credentials | None:
    path = _kaggle_json(environ)
    in_environ = {key: environ.get(f"KAGGLE_{key.upper()}", "").strip() for key in ("username", "key")}
    in_file = _pair_in(path) if path and not all(in_environ.values()) else {}
    username, key = (in_environ[name] or in_file.get(name, "") for name in ("username", "key"))
    if not username and not key:
        return None
    origins = {f"KAGGLE_{name.upper()}" if in_environ[name] else str(path): None for name in in_environ}
    origin = " and ".join(origins) if in_file else "KAGGLE_USERNAME and KAGGLE_KEY"
    if not username or not key:
        missing = "KAGGLE_USERNAME" if not username else "KAGGLE_KEY"
        raise SourceError(f"the credentials for Kaggle are half there: {missing} is missing; {_KAGGLE_WAYS}")
    _plausible(key, origin)
    environ = {"KAGGLE_USERNAME": username, "KAGGLE_KEY": key}
    return Credentials(origin, environ, (key, basic_auth(username, key)))


def _kaggle_json(environ: Mapping[str, str]) -> Path | None:
    home = _home(environ)
    folders = (
        Path(environ.get("KAGGLE_CONFIG_DIR") or home / ".kaggle"),
        Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "kaggle",
    )
    return next((folder / "kaggle.json" for folder in folders if _is_file(folder / "kaggle.json")), None)


def _pair_in(path: Path) -> dict[str, str]:
    try:
        value = json.loads(_text(path))
        return {name: value[name].strip() for name in ("username", "key")}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SourceError(
            f"{path} holds no username and key in JSON; download it anew from {KAGGLE_PAGE}, or remove it"
        ) from None


def _plausible(secret: str, origin: str) -> str:
    if len(secret) < 8 or not secret.isprintable() or " " in secret:
        raise SourceError(f"{origin} cannot be right: {_shape(secret)}; {_KAGGLE_WAYS}")
    return secret


def _shape(secret: str) -> str:
    """What a message may say of a value that could be a secret."""
    blank = "" if secret.isprintable() and " " not in secret else ", some of them blank"
    return f"it has {len(secret)} characters{blank}"


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111  # Path.home() raises where there is none


def _is_file(path: str | Path) -> bool:
    try:
        return Path(path).is_file()
    except (OSError, ValueError):  # a token can be too long for a file's name
        return False


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} cannot be read ({error}); check its permissions, or remove it") from None
