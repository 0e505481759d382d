"""Write two lists: the commands, with their options, into docs/commands.md, and the pages into docs/llms.txt.

    python docs/lists.py

The commands are those of the app; the pages are those of docs/README.md. llms.txt is what https://llmstxt.org says.
"""

import re
import tomllib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
COMMANDS_PAGE, LLMS = ROOT / "docs/commands.md", ROOT / "docs/llms.txt"
_BEGIN, _END = "<!-- begin commands -->\n", "\n<!-- end commands -->"
_ROW = re.compile(r"^\| (.+?) \| (\[.+?)\s*\|$", re.MULTILINE)
_LINK = re.compile(r"\[([^]]+)\]\(([^)]+)\)")
_PLAIN = ("--json", "--help")  # of all commands; the page explains them once


def main() -> None:
    COMMANDS_PAGE.write_text(with_commands(COMMANDS_PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    LLMS.write_text(llms_text(), encoding="utf-8")


def with_commands(page: str) -> str:
    """The page with the list of commands made anew."""
    head, _, rest = page.partition(_BEGIN)
    _, _, tail = rest.partition(_END)
    return f"{head}{_BEGIN}\n{commands_table()}\n{_END}{tail}"


def commands_table() -> str:
    """A row a command: its arguments, its first sentence, its options."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of typer, about click
        from typer.main import get_command

        from tandem.cli.main import app

        rows = list(_rows(get_command(app), "tandem"))
    return "\n".join(["| command | what it does | options |", "| --- | --- | --- |", *rows])


def _rows(command: Any, name: str) -> Iterator[str]:
    if hasattr(command, "commands"):
        for key, each in command.commands.items():
            yield from _rows(each, f"{name} {key}")
        return
    context = command.context_class(command, info_name=name)
    pieces = [piece for piece in command.collect_usage_pieces(context) if piece != "[OPTIONS]"]
    first = re.split(r"\.(?:\s|$)", " ".join(command.help.split()))[0]
    yield f"| `{' '.join([name, *pieces])}` | {first} | {'; '.join(_options(command))} |"


def _options(command: Any) -> Iterator[str]:
    for each in command.params:
        if each.param_type_name == "option" and each.opts[0] not in _PLAIN:
            yield f"`{each.opts[0]}`{f': {each.help.rstrip(chr(46))}' if each.help else ''}"
        elif each.opts[0] in _PLAIN:
            yield f"`{each.opts[0]}`"


def llms_text() -> str:
    """A list of the pages for language models."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [f"# {project['name'].title()}", "", f"> {project['description']}.", "", "## Docs", ""]
    lines.append("- [README](../README.md): what it is, and how to run it")
    for purpose, links in _ROW.findall((ROOT / "docs/README.md").read_text(encoding="utf-8")):
        for title, target in _LINK.findall(links):
            lines.append(f"- [{title.removesuffix('.md')}]({target}): {purpose}")
    lines += ["", "## Optional", "", "- [CHANGELOG](../CHANGELOG.md): what changed, and how to migrate", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
