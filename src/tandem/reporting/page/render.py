"""Facts to one HTML file that asks for nothing else: style, charts and images are within it, and it has no script."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from tandem.reporting.analysis import Analysis
from tandem.reporting.facts import RunFacts
from tandem.reporting.page import tables
from tandem.reporting.page.data_view import data_view
from tandem.reporting.page.error_view import error_view
from tandem.reporting.page.model_view import model_view
from tandem.reporting.page.statements import Statements
from tandem.reporting.page.unknown_view import unknown_table
from tandem.reporting.page.use_view import use_view

_TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class Headline:
    """title: of what. num_right: of the test images, by the selected model."""

    title: str
    num_right: int
    num_test: int


def render_page(facts: RunFacts, analysis: Analysis, said: Statements) -> str:
    """The page. The same run and speed give the same text. Raises DamagedFileError for an image that cannot be read."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["marked_up"] = _marked_up
    environment.filters |= {name: getattr(tables, name) for name in ("number", "count", "counted", "interval")}
    context: dict[str, Any] = {
        "facts": facts,
        "metrics": facts.metrics,
        "state": facts.state,
        "headline": _headline(facts, said),
        "said": said,
        "data": data_view(facts),
        "models": model_view(facts),
        "unknown": unknown_table(facts.metrics),
        "errors": error_view(facts, analysis.slices, analysis.mistakes),
        "use": use_view(facts, analysis.speed),
        "licensing": analysis.licensing,
        "style": Markup((_TEMPLATES / "style.css").read_text(encoding="utf-8")),  # noqa: S704  # our own
    }
    return environment.get_template("page.html").render(context)


def _headline(facts: RunFacts, said: Statements) -> Headline:
    return Headline(said.title, int(facts.predictions.is_right.sum()), len(facts.predictions))


def _marked_up(text: str) -> Markup:
    """Of a text whose commands and names stand in backticks."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704  # it is escaped
