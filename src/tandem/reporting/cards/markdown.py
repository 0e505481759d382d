"""What both cards are made of: the page's tables in Markdown, the YAML head, licenses, and how a run is made again."""

import json
from collections.abc import Iterator, Mapping, Sequence

from tandem.reporting.facts import RunFacts
from tandem.reporting.licenses import Licensing
from tandem.reporting.page.tables import Cell, Table
from tandem.sources.receipts import NOT_STATED

_BY = {"user": "a person", "files or service": "its files or its service"}
_MARKS = {"incompatible": "**Incompatible.** ", "unknown": "**Not known.** "}


def front_matter(values: Mapping[str, object]) -> str:
    """The head of a card: YAML between two lines of ---; its values are JSON, which is YAML too."""
    lines = (f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in values.items())
    return "\n".join(["---", *lines, "---"])


def markdown_table(table: Table) -> str:
    """The texts of a table of the page, numbers to the right, and its note below."""
    lines = [list(map(_marked, line)) for line in table.lines]
    if table.foot:
        lines.append([each.text for each in table.foot_cells])
    rule = ["---" if number == 0 or number in table.text_columns else "---:" for number in range(len(table.head))]
    text = "\n".join(_line(cells) for cells in (table.head, rule, *lines))
    return f"{text}\n\n{table.note}" if table.note else text


def license_parts(licensing: Licensing) -> Iterator[str]:
    """A table of the sources' licenses, and what follows from them."""
    rows: list[list[str | Cell]] = [
        [
            row.source,
            ", ".join(f"[{each.name}]({each.url})" if each.url else each.name for each in row.licenses),
            _BY[row.by] if row.stated != NOT_STATED else "nobody",
        ]
        for row in licensing.rows
    ]
    head = ["source", "license", "stated by"]
    yield markdown_table(Table("Licenses", head, rows, "download/receipts", text_columns=frozenset([1, 2])))
    if licensing.findings:
        yield "\n".join(f"- {_MARKS.get(each.kind, '')}{each.text}" for each in licensing.findings)
    else:
        yield "These licenses ask for nothing, be the images changed, joined or used commercially."
    yield "This is a short reading of the licenses, and no legal advice."


def reproduction(facts: RunFacts) -> Iterator[str]:
    """Of which code and data the run is, and the commands that make it again."""
    state = facts.state
    if not state.is_current:
        yield "**These are not known to be results of the parameters, data and code as they are now.**"
    commit = f"Commit `{state.commit[:12]}` of {state.commit_date}" if state.commit else "Outside of git"
    dirty = ", with changes that are not committed" if state.is_dirty else ""
    lock = f"; `dvc.lock` has sha256 `{state.lock_sha256[:12]}...`" if state.lock_sha256 else ""
    yield f"{commit}{dirty}{lock}. `dvc repro` runs all stages again, `tandem report` writes this card."
    yield "Written by " + ", ".join(f"{name} {version}" for name, version in state.versions.items()) + "."


def _marked(cell: Cell) -> str:
    return f"**{cell.text}**" if cell.is_strong and cell.text else cell.text


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |"
