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

ROOT = Path(__file__).parents[2]
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
ADDRESSES = {"src", "href", "xlink:href", "srcset", "data", "action", "poster"}
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PLOTS = """\
plots:
  - Loss:
      template: linear
      x: epoch
      y:
        metrics/curves/resnet50.csv: val_loss
        metrics/curves/mobilenet_v2.csv: val_loss
  - Confusion:
      template: confusion
      x: actual
      y:
        metrics/confusion.csv: predicted
  - Study:
      template: parallel_coordinates
      x: model
      y:
        metrics/study.csv: [lr, batch_size, top1_accuracy, log_loss]
  - Heat:
      template: heat_map
      x: batch_size
      y:
        metrics/study.csv: lr
"""
CURVE = "epoch,train_loss,val_loss\n1,2.1,2.3\n2,1.2,1.4\n3,0.9,{last}\n"
CONFUSION = "actual,predicted\ncar,car\ncar,bus\nbus,bus\nbus,bus\n"
# One learning rate only, and a run that has none: neither may become a division by nothing.
STUDY = """\
run,model,lr,batch_size,top1_accuracy,log_loss
1,resnet50,0.001,32,0.81,0.61
2,resnet50,0.001,64,0.83,0.58
3,mobilenet_v2,0.001,32,0.79,{last}
4,mean,,,0.86,0.44
"""
NUM_RUNS, NUM_VALUES, NUM_CELLS = 4, 14, 4


class Page(HTMLParser):
    """What a page asks for, its scripts, and the marks drawn in each plot."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.marks: dict[str, Counter[str]] = {}
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
        if kind := re.match(r"mark-(\w+) role-mark", parents[-1] if parents else ""):
            self.marks[plot][kind[1]] += tag in ("path", "text")

    def handle_endtag(self, tag):
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        if self.open and self.open[-1][0] == "script":
            self.scripts.append((self.open[-1][1], data))
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

    def commit(*, loss: float) -> None:
        for name, text in {
            "dvc.yaml": PLOTS,
            "metrics/curves/resnet50.csv": CURVE.format(last=loss),
            "metrics/curves/mobilenet_v2.csv": CURVE.format(last=loss + 0.1),
            "metrics/confusion.csv": CONFUSION,
            "metrics/study.csv": STUDY.format(last=loss),
        }.items():
            (repo / name).parent.mkdir(parents=True, exist_ok=True)
            (repo / name).write_text(text, encoding="utf-8")
        run("git", "add", "-A")
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.invalid", "-c", "commit.gpgsign=false")
        run("git", *identity, "commit", "-qm", f"loss {loss}")

    run("git", "init", "-q")
    commit(loss=0.9)
    commit(loss=0.7)
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
    assert list(page.marks) == ["Loss", "Confusion", "Study", "Heat"]
    names = [attrs["data-package"] for attrs, _ in page.scripts if "data-package" in attrs]
    assert names == ["vega", "vega-lite", "vega-embed"]


def test_study_plot_gets_whole_rows_once_for_each_axis(page):
    rows = specs(page)[2]["data"]["values"]
    axes = ["lr", "batch_size", "top1_accuracy", "log_loss"]
    assert all({"run", "model", *axes} <= row.keys() for row in rows)
    num_revs = len({row["rev"] for row in rows})
    assert Counter(row["field"] for row in rows) == dict.fromkeys(axes, NUM_RUNS * num_revs)


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
    assert result.marks["Loss"]["line"] >= 2 * num_revs
    assert result.marks["Confusion"]["rect"] >= 4 * num_revs
    assert result.marks["Study"]["line"] == NUM_RUNS * num_revs
    assert result.marks["Study"]["symbol"] == NUM_VALUES * num_revs
    assert result.marks["Heat"]["rect"] == NUM_CELLS * num_revs


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
    assert result.marks["Study"]["line"] == NUM_RUNS
