"""The list of commands and llms.txt, held against the app, the pages and the files that there are."""

import re

from command_line import COMMANDS, options_of_command
from pages import ROOT, script, text_of

LISTS = script("docs/lists.py")
WRITE = "run `python docs/lists.py`"


def test_the_page_of_commands_is_that_of_the_app():
    page = ROOT / "docs/commands.md"
    assert LISTS.with_commands(text_of(page)) == text_of(page), WRITE
    for name in COMMANDS:
        (row,) = re.findall(rf"^\| `tandem {name}(?= |`)[^`]*` \| [^|]+ \|.*\|$", text_of(page), re.MULTILINE)
        assert {option for option in options_of_command(name) if option.startswith("--")} >= set(
            re.findall(r"`(--[\w-]+)`", row)
        )


def test_llms_txt_names_every_page_of_the_documentation():
    text = text_of(LISTS.LLMS)
    assert text == LISTS.llms_text(), WRITE
    title, summary = re.match(r"# (.+)\n\n> (.+)\n", text).groups()
    assert title == "Tandem"
    assert len(summary) > 20
    targets = re.findall(r"^- \[[^]]+\]\(([^)]+)\): \S", text, re.MULTILINE)
    assert all((LISTS.LLMS.parent / target).is_file() for target in targets)
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages <= set(targets), "name the page in docs/README.md, and run `python docs/lists.py`"
