"""The pages of `dvc plots` need no network: real dvc in a scratch repository, then a browser if there is one."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
ADDRESSES = {"src", "href", "xlink:href", "srcset", "data", "action", "poster"}
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# What the stages write, in small.
FILES = {
    "metrics/models.csv": """\
model,top1_accuracy,low,high,macro_f1,log_loss,ece
resnet50,{accuracy},0.8,0.96,0.85,0.25,0.031
mean (selected),0.95,0.9,1.0,0.94,0.2,0.02
""",
    "metrics/confusion.csv": "id,actual,predicted\na,car,car\nb,car,bus\nc,bus,bus\nd,bus,bus\n",
    "metrics/reliability.csv": """\
low,high,images,confidence,top1_accuracy
0.5,0.75,17,0.6,{accuracy}
0.75,1.0,23,0.9,0.8
""",
    "metrics/risk_coverage.csv": "threshold,coverage,selective_risk\n0.9,0.5,0.0\n0.5,1.0,0.25\n",
    # One learning rate only, and a run that has none: neither may become a division by nothing.
    "metrics/study.csv": """\
model,lr,batch_size,seed,top1_accuracy,log_loss,train_top1_accuracy
resnet50,0.001,32,0,0.81,0.61,0.9
resnet50,0.001,32,1,0.81,0.63,0.9
resnet50,0.001,64,0,0.83,0.58,0.9
vgg11,0.001,32,0,0.79,{accuracy},0.9
mean,,,0,0.86,0.44,0.9
""",
    "metrics/curves.csv": """\
model,epoch,lr,train_loss,train_top1_accuracy,val_loss,val_top1_accuracy
resnet50,1,0.01,2.1,0.5,2.3,0.4
resnet50,2,0.01,1.2,0.6,1.4,{accuracy}
vgg11,1,0.01,2.0,0.5,2.2,0.4
vgg11,2,0.01,1.1,0.6,1.3,0.5
""",
}
_, PLOTS_KEY, SECTION = (ROOT / "dvc.yaml").read_text(encoding="utf-8").partition("\nplots:\n")
PLOTS = YAML(typ="safe", pure=True).load(SECTION)
NAMES = [name for plot in PLOTS for name in plot]
MODELS, CONFUSION, RELIABILITY, RISK_COVERAGE, STUDY, CURVES = (re.sub(r"[^\w-]", "_", name) for name in NAMES)
NUM_CELLS, NUM_PANELS = 4, 3  # of the study: pairs of a model, the run without a pair among them; models


class Page(HTMLParser):
    """What a page asks for, its scripts, and the marks drawn in each plot."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.marks: dict[str, Counter[str]] = {}
        self.texts: dict[str, Counter[str]] = {}
        self.messages: dict[str, str] = {}
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def plot(self) -> str | None:
        inside = [attrs.get("id") for tag, attrs in self.open if tag in ("main", "div")]
        return inside[1] if len(inside) > 1 else None

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.asked += [v for k, v in attrs if k in ADDRESSES and re.match(r"(\w+:)?//", v or "")]
        parents = [a.get("class") or "" for t, a in self.open if t == "g"]
        if tag not in VOID:
            self.open.append((tag, values))
        if (plot := self.plot()) is None:
            return
        self.marks.setdefault(plot, Counter())
        self.texts.setdefault(plot, Counter())
        if kind := re.match(r"mark-(\w+) role-mark", parents[-1] if parents else ""):
            self.marks[plot][kind[1]] += tag in ("path", "text", "line")

    def handle_endtag(self, tag):
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        if self.open and self.open[-1][0] == "script":
            self.scripts.append((self.open[-1][1], data))
        elif self.open and self.open[-1][0] == "text" and (plot := self.plot()):
            self.texts[plot][data] += 1
        elif self.open and self.open[-1][1].get("class") == "error":
            self.messages[self.plot()] = data


def specs(page: Page) -> list[dict]:
    """The Vega-Lite specification of each plot, in the order of the page."""
    found = [re.search(r"var spec = (?=\{)", text) for _, text in page.scripts]
    return [
        json.JSONDecoder().raw_decode(text, at.end())[0]
        for at, (_, text) in zip(found, page.scripts, strict=True)
        if at
    ]


def drawn(path: Path, profile: Path) -> Page:
    """The page after its scripts ran, in a browser for which no host has an address."""
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={profile}",
        "--virtual-time-budget=8000", "--dump-dom", path.as_uri(),
    ]  # fmt: skip
    return Page(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The pages of `show` and of `diff` between two commits, in a copy that has what a clone has."""
    repo = tmp_path_factory.mktemp("repo")
    shutil.copytree(ROOT / ".dvc", repo / ".dvc", ignore=shutil.ignore_patterns("tmp", "cache", "config.local"))

    def run(*command: str) -> None:
        subprocess.run(command, cwd=repo, check=True, capture_output=True, text=True)

    def commit(*, accuracy: float) -> None:
        for name, text in FILES.items():
            (repo / name).parent.mkdir(parents=True, exist_ok=True)
            (repo / name).write_text(text.replace("{accuracy}", str(accuracy)), encoding="utf-8")
        run("git", "add", "-A")
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.invalid", "-c", "commit.gpgsign=false")
        run("git", *identity, "commit", "-qm", f"accuracy {accuracy}")

    run("git", "init", "-q")
    (repo / "dvc.yaml").write_text(PLOTS_KEY + SECTION, encoding="utf-8")
    commit(accuracy=0.9)
    commit(accuracy=0.7)
    run(sys.executable, "-m", "dvc", "plots", "show", "-o", "show")
    run(sys.executable, "-m", "dvc", "plots", "diff", "HEAD~1", "HEAD", "-o", "diff")
    return {name: repo / name / "index.html" for name in ("show", "diff")}


@pytest.fixture(params=["show", "diff"])
def page_path(request, pages):
    return pages[request.param]


@pytest.fixture
def page(page_path):
    return Page(page_path.read_text(encoding="utf-8"))


def test_page_asks_no_server_for_anything(page):
    assert page.asked == []
    assert [attrs for attrs, _ in page.scripts if "src" in attrs] == []


def test_page_holds_every_plot_and_the_scripts_that_draw_them(page):
    assert list(page.marks) == [MODELS, CONFUSION, RELIABILITY, RISK_COVERAGE, STUDY, CURVES]
    names = [attrs["data-package"] for attrs, _ in page.scripts if "data-package" in attrs]
    assert names == ["vega", "vega-lite", "vega-embed"]


def test_every_plot_of_the_project_has_a_template_of_its_own_and_no_template_is_left_over():
    templates = {path.stem for path in (ROOT / ".dvc" / "plots").glob("*.json")}
    assert {options["template"] for plot in PLOTS for options in plot.values()} == templates


def test_scripts_in_the_template_are_the_builds_that_the_notice_names():
    folder = ROOT / ".dvc" / "plots_page"
    notice = (folder / "THIRD_PARTY.txt").read_text(encoding="utf-8")
    named = re.findall(r"^(\S+) +[\d.]+ +(\d+) +build/\S+ +([0-9a-f]{64})$", notice, re.MULTILINE)
    scripts = {
        attrs["data-package"]: text.encode()
        for attrs, text in Page((folder / "page.html").read_text(encoding="utf-8")).scripts
        if "data-package" in attrs
    }
    assert {name: (int(size), digest) for name, size, digest in named} == {
        name: (len(text), hashlib.sha256(text).hexdigest()) for name, text in scripts.items()
    }


@pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome on the path")
def test_browser_without_a_network_draws_every_plot(page_path, tmp_path):
    num_revs = {"show": 1, "diff": 2}[page_path.parent.name]
    result = drawn(page_path, tmp_path)
    assert result.messages == {}
    assert result.asked == []
    assert list(result.marks) == [MODELS, CONFUSION, RELIABILITY, RISK_COVERAGE, STUDY, CURVES]
    marks, texts = result.marks, result.texts
    # each model's interval, its score and the numbers beside it
    assert (marks[MODELS]["rule"], marks[MODELS]["symbol"]) == (2 * num_revs, 2 * num_revs)
    assert texts[MODELS]["0.950 (0.900-1.000)"] == texts[MODELS]["0.250"] == num_revs
    assert {"mean (selected)", "top-1 accuracy", "macro F1", "log loss", "ECE"} <= set(texts[MODELS])
    # fractions of the actual class with their counts, of which one cell has none
    assert marks[CONFUSION]["rect"] == 4 * num_revs
    assert [texts[CONFUSION][text] for text in ("0.50", "1 of 2", "1.00", "0 of 2")] == [
        2 * num_revs, 2 * num_revs, num_revs, num_revs
    ]  # fmt: skip
    # a bar and a count a bin, and the diagonal
    assert (marks[RELIABILITY]["rect"], marks[RELIABILITY]["rule"]) == (2 * num_revs, num_revs)
    assert texts[RELIABILITY]["17"] == texts[RELIABILITY]["23"] == num_revs
    assert marks[RISK_COVERAGE]["line"] == num_revs
    # means over seeds in sight, the lowest of each model framed
    assert marks[STUDY]["rect"] == (NUM_CELLS + NUM_PANELS) * num_revs
    assert texts[STUDY]["0.620"] == texts[STUDY]["0.580"] == num_revs
    assert {"learning rate", "batch size"} <= set(texts[STUDY])
    assert marks[CURVES]["line"] == 4 * 2 * num_revs


@pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome on the path")
def test_plot_that_cannot_be_drawn_says_so_in_its_place(pages, tmp_path):
    text = pages["show"].read_text(encoding="utf-8")
    spec = {"$schema": specs(Page(text))[0]["$schema"]}
    broken = f"<div id='broken'><script>vegaEmbed('#broken', {json.dumps(spec)});</script></div></main>"
    path = tmp_path / "index.html"
    path.write_text(text.replace("</main>", broken), encoding="utf-8")
    result = drawn(path, tmp_path / "profile")
    assert list(result.messages) == ["broken"]
    assert result.messages["broken"].startswith("broken: Invalid specification")
    assert result.marks[RISK_COVERAGE]["line"] == 1
