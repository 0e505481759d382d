"""The documentation as a site: built without a warning, whole in itself, and with all pages in its navigation."""

import re
import shutil
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest

from pages import PAGES, ROOT, rel, script

SITE = script("docs/build_site.py")


class Page(HTMLParser):
    """What a page links, what a browser loads for it, and the anchors that it has."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loads, self.anchors = [], [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.anchors |= {values[name] for name in ("id", "name") if values.get(name)}
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        elif tag == "link" and values.get("rel") in ("stylesheet", "icon", "preload", "modulepreload", "preconnect"):
            self.loads.append(values["href"])
        elif values.get("src"):
            self.loads.append(values["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Path of each page of the site -> what is in it."""
    root = SITE.build(ROOT, tmp_path_factory.mktemp("site") / "site").parent
    return {path: Page(path) for path in root.rglob("*.html") if path.name != "404.html"}


def test_every_page_is_built_and_in_the_navigation(site):
    pages = {rel(page).replace("README.md", "index.md") for page in PAGES}
    root = next(iter(site)).parent
    root = root.parent if root.name == "docs" else root
    assert {path.relative_to(root).with_suffix(".md").as_posix() for path in site} == pages
    linked = {
        target for link in site[root / "index.html"].links for target in [(root / link.partition("#")[0]).resolve()]
    }
    assert {path.resolve() for path in site} <= linked


def test_every_link_of_the_site_leads_to_a_file_and_an_anchor_of_it(site):
    anchors = {path.resolve(): page.anchors for path, page in site.items()}
    for path, page in site.items():
        for link in [*page.links, *page.loads]:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
            assert target.is_file(), f"{path.name}: {link}"
            assert not parts.fragment or target.suffix != ".html" or unquote(parts.fragment) in anchors[target], link


def test_a_browser_loads_nothing_from_elsewhere(site):
    loaded = {load for page in site.values() for load in page.loads}
    assert len(loaded) > 2
    assert [load for load in loaded if urlsplit(load).netloc] == []
    (styles,) = {
        (path.parent / load).resolve()
        for path, page in site.items()
        for load in page.loads
        if "main" in load and load.endswith(".css")
    }
    assert re.findall(r"url\(['\"]?https?:", styles.read_text(encoding="utf-8")) == []


def test_a_page_that_no_row_links_and_a_link_that_leads_nowhere_end_the_build(tmp_path):
    root = tmp_path / "project"
    shutil.copytree(ROOT / "docs", root / "docs", ignore=shutil.ignore_patterns("__pycache__"))
    for name in SITE.BESIDE:
        shutil.copy(ROOT / name, root / name)
    (root / "docs/new.md").write_text("# New\n\n[nowhere](results.md#nowhere)\n")
    with pytest.raises(SystemExit, match=r"^error: no row of docs/README\.md links new\.md; "):
        SITE.build(root, tmp_path / "site")
    with (root / "docs/README.md").open("a") as file:
        file.write("| see what is new | [new.md](new.md) |\n")
    with pytest.raises(SystemExit, match=r"anchor does not exist\n.*docs/new\.md:3"):
        SITE.build(root, tmp_path / "site")
