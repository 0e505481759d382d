"""Credentials of the services that sources come from: where they are, never what they are."""

import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tandem.doctor.findings import Diagnosis
from tandem.errors import SourceError
from tandem.sources.credentials import Credentials, kaggle_credentials, roboflow_credentials

_SERVICES: Mapping[str, Callable[[Mapping[str, str]], Credentials]] = {
    "kaggle": kaggle_credentials,
    "roboflow": roboflow_credentials,
}


@dataclass(frozen=True)
class Account:
    """service: a kind of source. origin: where its credentials are, in words, "" where there are none.

    problem: why they cannot be had. exposed: files of them that other users of this machine can read.
    """

    service: str
    origin: str
    problem: str
    exposed: tuple[str, ...] = ()


def look_for_accounts(environ: Mapping[str, str]) -> list[Account]:
    """One entry a service. environ: where credentials are looked for."""
    return [_account(service, find, environ) for service, find in _SERVICES.items()]


def _account(service: str, find: Callable[[Mapping[str, str]], Credentials], environ: Mapping[str, str]) -> Account:
    try:
        origin = find(environ).origin
    except SourceError as error:
        return Account(service, "", str(error))
    return Account(service, origin, "", tuple(name for name in origin.split(" and ") if _is_exposed(Path(name))))


def _is_exposed(path: Path) -> bool:
    return sys.platform != "win32" and path.is_file() and bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))


def judge_accounts(accounts: Sequence[Account], *, needed_by: Mapping[str, Sequence[str]]) -> list[Diagnosis]:
    """needed_by: service -> the sources that are still to be downloaded from it."""
    return [_judge(account, needed_by.get(account.service, ())) for account in accounts]


def _judge(account: Account, sources: Sequence[str]) -> Diagnosis:
    subject = f"account {account.service}"
    if account.problem:
        if sources:
            return Diagnosis(subject, "error", f"sources {', '.join(sources)} need them: {account.problem}")
        return Diagnosis(subject, "note", account.problem.partition(";")[0], "no source here needs them")
    if account.exposed:
        files = " ".join(account.exposed)
        return Diagnosis(subject, "note", f"{files} can be read by other users of this machine", f"`chmod 600 {files}`")
    return Diagnosis(subject, "ok", f"credentials in {account.origin}")
