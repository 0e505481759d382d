"""Pages in a real browser, and what a reviewer clicks in the FiftyOne App. Chromium, driven by playwright."""

import shutil
from contextlib import contextmanager
from importlib.util import find_spec

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(
    not CHROMIUM or find_spec("playwright") is None,
    reason="no Chromium or no playwright here: no page was clicked",
)


@contextmanager
def at(url):
    """The page at an address."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1500, "height": 950})
        page.set_default_timeout(30_000)
        page.goto(url)
        yield page
        browser.close()


@contextmanager
def opened(url):
    """The App's page, once its images are loaded."""
    with at(url) as page:
        page.wait_for_selector('[data-cy="looker"] canvas[canvas-loaded="true"]', timeout=90_000, state="attached")
        page.wait_for_timeout(1000)
        dismiss = page.get_by_text("Dismiss")
        if dismiss.count():
            dismiss.first.click()
        yield page


def num_loaded(page):
    """The number of images that the grid shows."""
    return page.locator('[data-cy="looker"] canvas[canvas-loaded="true"]').count()


def tag(page, position, name):
    """Select the image at this position of the grid and give it a sample tag."""
    looker = page.locator('[data-cy="looker"]').nth(position)
    looker.hover(position={"x": 30, "y": 40})
    looker.locator('[data-cy="looker-checkbox-"]').click(force=True)
    selected = page.locator('[data-cy="action-manage-selected"]')
    selected.wait_for()
    assert selected.inner_text().strip() == "1"
    page.locator('[data-cy="action-tag-sample-labels"]').click()
    text_box = page.locator('[data-cy="sample-tag-input"]')
    text_box.fill(name)
    text_box.press("Enter")
    page.get_by_text("Apply", exact=True).click()
    page.wait_for_timeout(1500)


def relabel(page, position, class_names):
    """Open the image at this position of the grid and choose the next class; its old and its new class."""
    page.locator('[data-cy="looker"]').nth(position).click(position={"x": 60, "y": 60})
    page.locator('[data-cy="annotate"]').click()
    page.wait_for_timeout(2000)
    modal = page.locator('[data-cy="modal"]')
    [old] = [name for name in class_names if modal.get_by_text(name, exact=True).count()]
    new = class_names[(class_names.index(old) + 1) % len(class_names)]
    modal.get_by_text(old, exact=True).last.click()
    page.wait_for_timeout(1000)
    page.locator('[data-cy="root_label_container"]').get_by_text(new, exact=True).click()
    page.wait_for_timeout(6000)  # the App saves edits after a delay
    return old, new
