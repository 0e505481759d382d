"""The page as a whole: it asks for nothing, escapes all, reads aloud, fits a phone, and is no larger for more data."""

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

import browser
from html_page import HtmlPage
from planted_run import UP_TO_DATE, planted_analysis, planted_facts, planted_statements
from tandem.pipeline.lock import ParamChange
from tandem.reporting.page import render

SCRIPT, LONG, QUOTED = "<script>alert(1)</script>", "a" * 90, "Ünï & \"quoted\" 'x'"
SAID = "by <b>me</b> with `params.yaml`"
FILE_NAME = '"><img src=x onerror=alert(2)>{}.png'
STYLE = (Path(render.__file__).parent / "templates/style.css").read_text(encoding="utf-8")


def rendered(folder, **planted):
    facts = planted_facts(folder, **planted)
    return render.render_page(facts, planted_analysis(facts), planted_statements(SAID))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return rendered(folder, class_names=(SCRIPT, LONG, QUOTED), file_name=FILE_NAME)


@pytest.fixture(scope="module")
def page(hostile):
    return HtmlPage(hostile)


def test_names_of_strangers_are_text_and_nothing_else(hostile, page):
    assert page.all("script") == []
    assert not [attributes for _, attributes in page.tags if any(name.startswith("on") for name in attributes)]
    assert all(each["src"].startswith("data:image/webp;base64,") for each in page.all("img"))
    assert SCRIPT not in hostile
    assert SCRIPT in page.text
    assert page.headings[0] == (1, SAID)
    assert "by &lt;b&gt;me&lt;/b&gt; with <code>params.yaml</code>" in hostile
    assert any(FILE_NAME.format(0) in each["alt"] for each in page.all("img"))


def test_every_tag_is_closed_where_it_was_opened(page):
    assert page.problems == []


def test_nothing_is_asked_of_a_network_and_every_link_leads_within_the_page(hostile, page):
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [each["href"] for each in page.all("a")]
    assert links
    assert {link.removeprefix("#") for link in links} <= set(ids)
    assert not page.all("link") + page.all("iframe") + page.all("object")
    assert "url(" not in hostile
    assert "@import" not in hostile


def test_it_can_be_read_aloud(page):
    assert page.all("html") == [{"lang": "en"}]
    for landmark in ("header", "nav", "main", "footer"):
        assert len(page.all(landmark)) == 1
    levels = [level for level, _ in page.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(each["alt"].strip() for each in page.all("img"))
    assert all(each["aria-label"] and each["role"] == "img" for each in page.all("svg"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(each["scope"] in ("row", "col") for each in page.all("th"))


def test_the_same_run_gives_the_same_bytes(tmp_path):
    assert rendered(tmp_path) == rendered(tmp_path)


def test_more_classes_and_images_make_no_larger_page(tmp_path):
    text = rendered(tmp_path, class_names=tuple(f"class {number}" for number in range(150)), per_class=10)
    page = HtmlPage(text)
    assert len(page.all("img")) < 220
    assert len(text) < 3_000_000
    assert len(page.tables["The selected model on test, by class"]) == 61
    assert "60 classes with the lowest F1 of 150" in page.text
    assert "Not shown: 90 more classes" in page.text


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (UP_TO_DATE, "Up to date:"),
        (replace(UP_TO_DATE, changed=[ParamChange("train.lr", 0.1, 0.2)]), "train.lr: 0.1 in the run, 0.2 now"),
        (replace(UP_TO_DATE, stale=[f"train@{n}" for n in range(6)]), "train@3 and 2 more again"),
        (replace(UP_TO_DATE, problem="`dvc status` failed: ERROR"), "is not known: `dvc status` failed"),
    ],
)
def test_whether_the_results_are_of_what_lies_here_now_is_said(tmp_path, state, said):
    page = HtmlPage(rendered(tmp_path, state=state))
    assert said in " ".join(page.text.split())
    assert ("Up to date" in page.text) == (state is UP_TO_DATE)


def test_a_model_without_test_images_has_no_score(tmp_path):
    facts = planted_facts(tmp_path)
    samples = facts.samples.with_splits(facts.samples.splits.copy())
    samples.splits[samples.splits == "test"] = "train"
    nothing = float("nan")
    selected = facts.metrics.evaluate["selected"] | {"top1_accuracy": nothing, "macro_f1": nothing}
    metrics = replace(facts.metrics, evaluate=facts.metrics.evaluate | {"selected": selected, "images": 0})
    tables = replace(facts.tables, confusion=[], reliability=[], risk_coverage=[])
    facts = replace(facts, samples=samples, metrics=metrics, tables=tables)
    text = " ".join(HtmlPage(render.render_page(facts, planted_analysis(facts), planted_statements())).text.split())
    assert "No image is in the test split" in text
    assert "There are no test images." in text
    assert "nan" not in text


# --- colors


def luminance(color):
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def mixed(color, other, fraction):
    channels = [(int(color[at : at + 2], 16), int(other[at : at + 2], 16)) for at in (1, 3, 5)]
    return "#" + "".join(f"{round(fraction * one + (1 - fraction) * two):02x}" for one, two in channels)


THEMES = [dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in re.findall(r":root \{([^}]+)\}", STYLE)]


@pytest.mark.parametrize("colors", THEMES, ids=["light", "dark", "paper"])
def test_colors_have_contrast_enough(colors):
    """WCAG 2.2, AA: 4.5 for text, 3 for what is drawn."""
    for paper in (colors["paper"], colors["wash"]):
        assert min(contrast(colors[name], paper) for name in ("ink", "soft", "link", "good", "bad")) >= 4.5
    assert min(contrast(colors[name], colors["paper"]) for name in ("blue", "orange", "gray", "green")) >= 3
    darkest_shade = mixed(colors["blue"], colors["paper"], 0.42)
    assert "calc(var(--shade) * .42)" in STYLE
    assert contrast(colors["ink"], darkest_shade) >= 4.5


# --- in a browser


@browser.needs_browser
def test_it_fits_a_phone_and_a_desktop_in_light_and_dark_and_asks_for_nothing(hostile, tmp_path):
    (tmp_path / "page.html").write_text(hostile, encoding="utf-8")
    address = (tmp_path / "page.html").as_uri()
    with browser.at("about:blank") as page:
        asked, complaints = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        grounds = []
        for scheme, width in (("light", 360), ("dark", 360), ("light", 1440)):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 800})
            page.goto(address)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
            grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.emulate_media(media="print", color_scheme="dark")
        grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.set_viewport_size({"width": 690, "height": 1000})  # of A4 between its margins
        cut = "[...document.querySelectorAll('table')].filter(each => each.getBoundingClientRect().right > 691).length"
        assert page.evaluate(cut) == 0
    assert grounds[0] == grounds[2] == grounds[3] == "rgb(255, 255, 255)"
    assert grounds[1] == "rgb(20, 24, 29)"
    assert {url for url in asked if not url.startswith("data:")} == {address}
    assert complaints == []
