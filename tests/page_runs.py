"""The commands of a page, run in the order in which they stand there, by one shell in scratch folders."""

import os
import re
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path

from ruamel.yaml import YAML

from pages import runnable
from scratch_project import tiny_params

# Commands that no page runs here, since they install gigabytes, take hours, need a container or wait for a person; and
# the file that runs them, by words of that file.
ELSEWHERE = {
    "make run": (".ci/run", "make run"),
    "make check": (".ci/run", "make check"),
    "make test": (".ci/run", "make test"),
    "make setup": (".ci/run", "make setup"),
    "python3 -m venv": ("Makefile", "$(PYTHON) -m venv"),
    "pip install": ("Makefile", "pip install"),
    "uv pip install": ("tests/project/test_install.py", '"pip", "install"'),
    "make bench": ("Makefile", "bench: setup"),
    "make bench-photos": ("Makefile", "bench-photos: setup"),
    "make bench-long": ("Makefile", "bench-long: setup"),
    "make faults": ("Makefile", "faults: setup"),
    "make mutants": ("Makefile", "mutants: setup"),
    "ray start": ("benchmarks/ray_nodes.py", '"ray.scripts.scripts",'),
    "torchrun": ("tests/finetune/test_finetune.py", '"torchrun")'),
    "ray stop": ("benchmarks/ray_nodes.py", "def kill"),
    "docker build": ("tests/project/test_dockerfile.py", "def built"),
    "docker run": ("tests/project/test_dockerfile.py", "def served"),
    "tandem backbones": ("tests/project/test_backbones.py", '"backbones"'),
    "tandem serve": ("tests/cli/test_serve.py", '"serve"'),
    "tandem review": ("tests/project/test_reviews.py", '"review"'),
    "tensorboard": ("tests/training/test_loggers.py", "tensorboard"),
    "dvc exp run -S train.trainable_backbone_layers=5": (
        "tests/project/test_pipeline.py",
        '["trainable_backbone_layers"]',
    ),
    "python docs/screenshots.py": ("docs/screenshots.py", "browser.opened("),
}
# What these leave to those that follow: the tests' own environment is installed already.
_ENVIRONMENT = "mkdir -p .venv/bin && echo '[ ! -d src ] || export PYTHONPATH=$PWD/src' > .venv/bin/activate"
INSTEAD = {"make setup": _ENVIRONMENT, "python3 -m venv .venv": _ENVIRONMENT}
# What is done after a command: what it began in the background must end well; a new project gets parameters under which
# all stages take seconds, and no weights are downloaded; and the cache of the one before, so that no stage runs twice.
AFTER = {
    "dvc queue start": "while dvc queue status > queue.txt; grep -qE 'Queued|Running' queue.txt; do sleep 3; done\n"
    "if grep Failed queue.txt; then exit 1; fi\ngrep Success queue.txt\nrm queue.txt",
    "tandem init my": f"python {shlex.quote(__file__)} params.yaml\ndvc cache dir --local $PROJECTS_CACHE",
}
# A block that begins so is for an empty folder.
BEGINS_ANEW = ("git clone", "tandem init")


@dataclass(frozen=True)
class Session:
    """Where a page's commands run. places: what a reader replaces by their own -> what it is here.

    starting: shell commands for each new folder, which put there what a reader has.
    """

    folder: Path
    scratch: Path
    places: dict = field(default_factory=dict)
    starting: str = "true"

    def script(self, page):
        """All blocks of a page as one script, which tells each command and stops at the first that fails."""
        lines = ["set -eo pipefail", "PS4='$ '", f"cd {shlex.quote(str(self.folder))}"]
        for number, (language, block) in enumerate(runnable(page)):
            if language == "python":
                lines += ["python - <<'END OF BLOCK'", block, "END OF BLOCK"]
                continue
            if block.startswith(BEGINS_ANEW):
                empty = shlex.quote(str(self.scratch / f"{page.stem}-{number}"))
                lines.append(f"mkdir {empty}; cd {empty}; {self.starting}")
            lines += ["set -x", *(self.line(line) for line in block.splitlines()), "{ set +x; } 2>/dev/null"]
        return "\n".join(lines)

    def line(self, line):
        """A line of a block, with this session's places, without what runs elsewhere."""
        for theirs, ours in self.places.items():
            line = re.sub(rf"(?<![\w/.-]){re.escape(theirs)}(?![\w-])", ours.replace("\\", r"\\"), line)
        parts = [part.strip() for part in re.sub(r"\s#.*$", "", line).split("&&")]
        kept = [part for part in (INSTEAD.get(part, "") if runs_elsewhere(part) else part for part in parts) if part]
        # a line each, since bash goes on after what fails before a `&&`
        return "\n".join([*kept, *(more for begun, more in AFTER.items() if line.startswith(begun))])


def runs_elsewhere(command):
    """Where a command is run that no page runs here; None for all others."""
    found = [start for start in ELSEWHERE if command == start or command.startswith(f"{start} ")]
    return ELSEWHERE[found[0]] if found else None


def cache_settings(home):
    """A home of its own for what a command writes there, but for caches that only take time to be made anew."""
    return {"HOME": str(home), "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))}


def make_tiny(path):
    """Other parameters than sources and labels for a project's params.yaml: one small network, and none downloaded."""
    yaml = YAML(typ="safe", pure=True)
    own = yaml.load(path.read_text(encoding="utf-8"))
    params = tiny_params(path.parent) | {"sources": own["sources"], "labels": own["labels"]}
    params["backbones"] = {"mobilenet_v2": {"weights": "random"}}
    params["train"] |= {"trainable_backbone_layers": {}}
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(params, file)


if __name__ == "__main__":
    make_tiny(Path(sys.argv[1]))
