"""What benchmarks have in common: their options, the table that they end with, and the record of it as JSON.

A record holds the command (folders and files of the machine as DIR and FILE), the date, the machine, and each figure
with what was required. Those that README and docs quote lie in benchmarks/results/.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

_CPUINFO = Path("/proc/cpuinfo")


class Figure(NamedTuple):
    """One line of the table. required: None where a figure is only reported. reached: `value` for people."""

    what: str
    required: str | None
    reached: str
    value: float
    is_reached: bool


def reported(what: str, value: float, form: str = ".3f") -> Figure:
    """A figure of which nothing is required. form: of the value, by the format language."""
    return Figure(what, None, f"{value:{form}}", value, True)


def at_least(what: str, limit: float, value: float, form: str = ".3f") -> Figure:
    """A figure that must be `limit` or more."""
    return Figure(what, f">= {limit:g}", f"{value:{form}}", value, value >= limit)


def at_most(what: str, limit: float, value: float, form: str = ".3f") -> Figure:
    """A figure that must be `limit` or less."""
    return Figure(what, f"<= {limit:g}", f"{value:{form}}", value, value <= limit)


def above(what: str, limit: float, value: float, form: str = ".3f") -> Figure:
    """A figure that must be more than `limit`."""
    return Figure(what, f"> {limit:{form}}", f"{value:{form}}", value, value > limit)


def exactly(what: str, wanted: int, value: int) -> Figure:
    """A count that must be `wanted`."""
    return Figure(what, f"{wanted}", f"{value}", value, value == wanted)


def make_parser(doc: str | None) -> argparse.ArgumentParser:
    """A benchmark's options: --json, and what it adds itself. doc: its module docstring."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures are written as JSON")
    return parser


def conclude(
    figures: Sequence[Figure], arguments: argparse.Namespace, *, details: Mapping[str, Any] | None = None
) -> NoReturn:
    """Print the table, write the record where --json names a file, and exit with 1 when a figure falls short.

    details: what the record holds besides, by key.
    """
    print_table(figures)
    if arguments.json:
        entry = record(figures) | dict(details or {})
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(entry, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    sys.exit(0 if all(figure.is_reached for figure in figures) else 1)


def print_table(figures: Sequence[Figure]) -> None:
    """One line a figure: required beside reached."""
    for figure in figures:
        mark = "" if figure.is_reached else "  <-- falls short"
        print(f"{figure.what:<80} {figure.required or '':>12} {figure.reached:>16}{mark}")


def record(figures: Sequence[Figure]) -> dict[str, Any]:
    """What is written as JSON."""
    return {
        "benchmark": Path(sys.argv[0]).stem,
        "command": command(sys.argv),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "figures": [figure._asdict() for figure in figures],
    }


def command(argv: Sequence[str]) -> str:
    """The command line without --json, folders and files of this machine as DIR and FILE."""
    words = iter(argv[1:])
    parts = [f"python benchmarks/{Path(argv[0]).name}"]
    for word in words:
        if word == "--json":
            next(words, None)
        elif not word.startswith("--json="):
            parts.append("DIR" if Path(word).is_dir() else "FILE" if Path(word).is_file() else word)
    return " ".join(parts)


def machine() -> dict[str, Any]:
    """Processor, its cores, whether it computes bfloat16 by AMX or AVX-512 (None: not known), system and Python."""
    from tandem.reporting.speed import processor_name  # heavy imports, which would be in what is measured

    lines = _CPUINFO.read_text(encoding="utf-8").splitlines() if _CPUINFO.is_file() else []
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = facts["flags"].split() if "flags" in facts else None
    return {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "amx": None if flags is None else "amx_bf16" in flags,
        "avx512_bf16": None if flags is None else "avx512_bf16" in flags,
        "system": platform.system(),
        "python": platform.python_version(),
    }


def machine_in_words() -> str:
    """One line that says on what figures were measured, as clouds hand out processors that differ."""
    here = machine()
    units = {"AMX": here["amx"], "AVX-512 BF16": here["avx512_bf16"]}
    found = [f"{'' if is_there else 'no '}{name}" for name, is_there in units.items() if is_there is not None]
    cores = f"{here['cores']} cores"
    return ", ".join([here["processor"], cores, *found, here["system"], f"Python {here['python']}"])


if __name__ == "__main__":
    print(machine_in_words())
