"""Screenshots of `tandem review` on the last run: python docs/screenshots.py FOLDER

Needs Chromium and playwright. Writes grid.png, embeddings.png, label_issues.png and editor.png.
"""

import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import browser

PORT = 5152


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    review = subprocess.Popen(
        [str(Path(sys.executable).with_name("tandem")), "review", "--port", str(PORT)],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        next(line for line in review.stderr if "the App is at" in line)
        with browser.opened(f"http://127.0.0.1:{PORT}/") as page:
            page.screenshot(path=folder / "grid.png")
            page.locator('[data-cy="new-panel-btn"]').click()
            page.get_by_text("Embeddings", exact=True).first.click()
            page.get_by_text("pca", exact=True).first.click()
            time.sleep(6)
            page.screenshot(path=folder / "embeddings.png")
            page.locator('[data-cy="panel-tab-samples"]').click()
            page.locator('[data-cy="saved-views-selection"]').click()
            page.get_by_text("label_issues", exact=True).click()
            time.sleep(4)
            page.screenshot(path=folder / "label_issues.png")
            page.locator('[data-cy="looker"]').first.click(position={"x": 60, "y": 60})
            page.locator('[data-cy="annotate"]').click()
            time.sleep(2)
            page.screenshot(path=folder / "editor.png")
    finally:
        review.send_signal(signal.SIGINT)
        review.wait(60)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
