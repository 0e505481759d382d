"""Each message that docs/troubleshooting.md quotes is one that the code, or that of DVC as installed, can print."""

import ast
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from pages import ROOT, prose

PAGE = ROOT / "docs/troubleshooting.md"
ROWS = re.findall(r"^\| `([^`]+)` \| (.+) \| (.+) \|$", prose(PAGE), re.MULTILINE)
SECTION = prose(PAGE).partition("## DVC's own words")[2].partition("\n## ")[0]
OF_DVC = ("lock.py", "rwlock.py", "data_cloud.py", "exceptions.py", "repo/__init__.py", "utils/strictyaml.py")
ANYTHING = "\0"  # stands for what a placeholder becomes


@cache
def texts(files):
    """All texts in files, with placeholders as ANYTHING; of a Makefile the whole."""
    found = []
    for path in files:
        text = path.read_text(encoding="utf-8")
        found += list(strings(ast.parse(text))) if path.suffix == ".py" else [text]
    return found


def strings(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else ANYTHING for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.sub(r"\{\w*\}", ANYTHING, node.value)


def files_of(message):
    if f"`{message}`" in SECTION:
        return tuple(Path(find_spec("dvc").submodule_search_locations[0]) / name for name in OF_DVC)
    return (*sorted((ROOT / "src/tandem").rglob("*.py")), ROOT / ".ci/install.py", ROOT / "Makefile")


@pytest.mark.parametrize("message", [message for message, _, _ in ROWS])
def test_a_quoted_message_is_printed_by_the_code(message):
    words = re.compile(f"{ANYTHING}".join(map(re.escape, message.split("..."))))
    assert [text for text in texts(files_of(message)) if words.search(text)], message


def test_the_page_has_at_least_twenty_messages_each_once_and_says_what_to_do():
    messages = [message for message, _, _ in ROWS]
    assert len(messages) == len(set(messages)) >= 20
    assert [row for row in ROWS if not all(cell.strip() for cell in row)] == []
    rows = re.findall(r"^\| (?!---|message)", prose(PAGE), re.MULTILINE)
    assert len(rows) == len(ROWS)  # none is written in another way, and so left out here
