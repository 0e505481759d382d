"""The pages of the project, README and docs, taken apart for the tests that hold them to the code."""

import importlib.util
import re
import shlex
from functools import cache
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
README, CONTRIBUTING, CHANGELOG = (ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG"))
PAGES = (README, CONTRIBUTING, CHANGELOG, *sorted((ROOT / "docs").glob("*.md")))
_FENCE = re.compile(r"^[ ]*```(\w*)\n(.*?)^[ ]*```", re.MULTILINE | re.DOTALL)


def rel(path):
    """Its path from the project's folder."""
    return path.relative_to(ROOT).as_posix()


@cache
def text_of(page):
    return page.read_text(encoding="utf-8")


def yaml(text):
    return YAML(typ="safe", pure=True).load(text)


def fences(page, language):
    """The contents of the page's fenced blocks of a language."""
    return [block for name, block in _FENCE.findall(text_of(page)) if name == language]


def runnable(page):
    """(language, content) of the page's blocks that a reader runs: by a shell, or by Python."""
    return [(name, block) for name, block in _FENCE.findall(text_of(page)) if name in ("sh", "python")]


def prose(page):
    """The page without its fenced blocks."""
    return _FENCE.sub("", text_of(page))


def code_spans(page):
    """What stands in backticks in the text, line breaks as spaces."""
    return [re.sub(r"\s+", " ", span) for span in re.findall(r"`([^`]+)`", prose(page))]


def commands(page):
    """Each command of the page as a list of words: of its sh blocks, and those named in the text."""
    yield from block_commands(page)
    for span in code_spans(page):
        if re.match(r"(tandem|dvc|make|python) \S", span):
            yield from _split(span)


def block_commands(page):
    """Each command of the page's sh blocks as a list of words."""
    for block in fences(page, "sh"):
        for line in block.splitlines():
            yield from _split(line)


def _split(line):
    for part in re.split(r"&&|;", re.sub(r"(?:^|\s)#.*$", "", line)):
        if words := shlex.split(re.sub(r"<[^>]*>", "PLACE", part)):
            yield words


def anchors(page):
    """The anchors of the page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def json_keys(command):
    """The keys that docs/commands.md names for the JSON object of a command."""
    rows = re.findall(rf"^\| `{re.escape(command)}` \| \{{(.*?)\}}", text_of(ROOT / "docs/commands.md"), re.MULTILINE)
    return {key.strip(" `") for row in rows for key in row.split(",")}


def leaves(value, key=""):
    """Dotted keys of all scalars, lists and empty mappings."""
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from leaves(item, f"{key}.{name}" if key else str(name))
    else:
        yield key


PARAMS = yaml(text_of(ROOT / "params.yaml"))
STAGES = yaml(text_of(ROOT / "dvc.yaml"))["stages"]
BODIES = {name: stage.get("do", stage) for name, stage in STAGES.items()}


def outputs(stage):
    """What a stage writes, without the options that may follow a path."""
    listed = [out for kind in ("outs", "metrics", "plots") for out in BODIES[stage].get(kind, [])]
    return [next(iter(out)) if isinstance(out, dict) else out for out in listed]


def script(name):
    """A script of the project as a module."""
    spec = importlib.util.spec_from_file_location(Path(name).stem, ROOT / name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
