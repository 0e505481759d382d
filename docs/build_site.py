"""Build the documentation as a site that needs no other server: .site/html. `make docs` calls this.

README, what lies beside it and docs/ are laid out in .site/pages as they are here, so that the links of a page, which
lead from file to file on GitHub, lead on here too. A warning of Zensical ends the build.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BESIDE = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "CITATION.cff")


def listed(page: Path) -> list[str]:
    """The pages of docs/ that the table in its README links, in that order, as their names."""
    return list(dict.fromkeys(re.findall(r"\]\(([\w-]+\.md)\)", page.read_text(encoding="utf-8"))))


def nav(root: Path) -> dict[str, str]:
    """Title -> path of each page, in order. Raises SystemExit where the table in docs/README.md misses one of docs/."""
    docs = root / "docs"
    names = listed(docs / "README.md")
    if missing := sorted({path.name for path in docs.glob("*.md")} - {"README.md", *names}):
        sys.exit(f"error: no row of docs/README.md links {', '.join(missing)}; the site takes its order from there")
    pages = ["README.md", "docs/README.md", *(f"docs/{name}" for name in names), "CONTRIBUTING.md", "CHANGELOG.md"]
    return {title(root / page): page for page in pages}


def title(page: Path) -> str:
    """The first heading."""
    return next(line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("# ")).strip("# ")


def lay_out(root: Path, site: Path) -> None:
    """The pages of a project and the settings, as Zensical reads them; what lay there before goes."""
    shutil.rmtree(site, ignore_errors=True)
    shutil.copytree(root / "docs", site / "pages/docs", ignore=shutil.ignore_patterns("*.py", "*.toml", "__pycache__"))
    for name in BESIDE:
        shutil.copy(root / name, site / "pages" / name)
    entries = [f"{{ {json.dumps(heading)} = {json.dumps(page)} }}" for heading, page in nav(root).items()]
    settings = (root / "docs/zensical.toml").read_text(encoding="utf-8")
    (site / "zensical.toml").write_text(settings.replace("nav = []", f"nav = [{', '.join(entries)}]"), encoding="utf-8")


def build(root: Path, site: Path) -> Path:
    """The first page of the site. Raises SystemExit with what Zensical says where it warns."""
    lay_out(root, site)
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", str(site / "zensical.toml")]
    environ = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    if done.returncode:
        sys.exit(f"{done.stdout}\n{done.stderr}".partition("Traceback")[0].strip())
    return site / "html/index.html"


if __name__ == "__main__":
    print(build(ROOT, ROOT / ".site"))
