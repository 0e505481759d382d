"""What a check says: one line a subject, with what to do about it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["ok", "note", "error"]


@dataclass(frozen=True)
class Diagnosis:
    """subject: what was looked at, in a word or two. level: "error" is what stops `dvc repro`. text: what was found.

    advice: what to do, "" where nothing is to be done.
    """

    subject: str
    level: Level
    text: str
    advice: str = ""

    def __str__(self) -> str:
        advice = f"; {self.advice}" if self.advice else ""
        return f"{self.level.upper() if self.level == 'ok' else self.level:5}  {self.subject}: {self.text}{advice}"


def format_findings(findings: Sequence[Diagnosis]) -> str:
    """A line a finding, and one with their counts."""
    counts = Counter(each.level for each in findings)
    total = f"{_counted(counts['error'], 'error')}, {_counted(counts['note'], 'note')}, {counts['ok']} OK"
    return "\n".join([*map(str, findings), total])


def findings_as_dict(findings: Sequence[Diagnosis]) -> dict[str, Any]:
    """The same for programs."""
    return {"is_ready": not stops(findings), "findings": [asdict(each) for each in findings]}


def stops(findings: Sequence[Diagnosis]) -> bool:
    """Whether any of them would stop `dvc repro`."""
    return any(each.level == "error" for each in findings)


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
