"""A clone of the project in a scratch folder with two small sources of its own, and the real dvc in it."""

import csv
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import psutil
from PIL import Image
from ruamel.yaml import YAML
from uv import find_uv_bin

ROOT = Path(__file__).parents[1]
SIDE_PX = 48
LABELS = {"disc": "disco", "bars": "barras", "corner": "canto"}  # in one source, in the other
OWN_RESULTS = re.compile(r"dvc\.lock|metrics/.*\.json")  # the project's own last run, if it is committed
FOREIGN_SETTINGS = ("AWS_", "DVC_", "FIFTYONE_", "GIT_", "KAGGLE_", "PYTHON", "ROBOFLOW_", "TANDEM_")
# Of this machine no configuration of AWS, no credentials, and no proxy.
NO_AWS = {
    "AWS_CONFIG_FILE": "none",
    "AWS_SHARED_CREDENTIALS_FILE": "none",
    "AWS_EC2_METADATA_DISABLED": "true",
    "NO_PROXY": "127.0.0.1",
}
# Stages of its pipeline, by the backbones of tiny_params.
CURATES = "mobilenet_v2"  # whose features curate reads
OTHER = "squeezenet1_1"
DOWNLOADS = {"download@web", "download@exports"}
INGESTS = {"ingest@web", "ingest@exports"}
EXTRACTS = {f"extract@{CURATES}", f"extract@{OTHER}"}
FINETUNES = {f"finetune@{CURATES}", f"finetune@{OTHER}"}
CONVERTS = {f"convert@{CURATES}", f"convert@{OTHER}"}
TRAINS = {f"train@{CURATES}", f"train@{OTHER}"}
AFTER_TRAINING = {"ensemble", "ood", "export", "evaluate", "repeated_splits"}
AFTER_CURATION = FINETUNES | CONVERTS | TRAINS | AFTER_TRAINING | {"study", "label_errors"}
ALL = {"check", "merge", "curate"} | DOWNLOADS | INGESTS | EXTRACTS | AFTER_CURATION


def image(label, number):
    """(48, 48, 3) uint8: a bright shape on coarse colored noise, by integers alone, the same everywhere."""
    rng = np.random.default_rng([*label.encode(), number])
    pixels = np.kron(rng.integers(0, 160, (6, 6, 3)), np.ones((8, 8, 1), dtype=int))
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX] - rng.integers(16, 32, (2, 1, 1))
    shape = {"disc": x * x + y * y < 150, "bars": (y // 4) % 2 == 0, "corner": (x > 0) & (y > 0)}.get(label, x == y)
    pixels[shape] = rng.integers(180, 256, 3)
    return pixels.astype(np.uint8)


def save(pixels, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def generate_sources(root, *, per_label):
    """Folder `web` and zip `exports` of generated images, and `more`, which nothing uses yet.

    Planted: `exports` has the file of web/disc/0 and a near duplicate of web/disc/1, `web` an ignored label and a file
    that is no image.
    """
    for label, other in LABELS.items():
        for number in range(per_label):
            save(image(label, number), root / "web" / label / f"{number}.png")
            save(image(label, 100 + number), root / "exports" / other / f"{number}.png")
            if number < 2:
                save(image(label, 200 + number), root / "more" / label / f"{number}.png")
    shutil.copyfile(root / "web" / "disc" / "0.png", root / "exports" / "disco" / "same.png")
    save(image("disc", 1) // 4 * 4, root / "exports" / "disco" / "near.png")
    save(image("blot", 0), root / "web" / "blot" / "0.png")
    (root / "web" / "disc" / "broken.png").write_bytes(b"this is no image")
    with zipfile.ZipFile(root / "exports.zip", "w") as archive:
        for path in sorted((root / "exports").rglob("*.png")):
            archive.write(path, path.relative_to(root / "exports"))


@dataclass(frozen=True)
class Run:
    """What `dvc repro` did: stages by whether their script ran or their outputs came from the cache."""

    code: int
    text: str
    ran: set[str] = field(default_factory=set)
    restored: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, done):
        ran = re.findall(r"^Running stage '(.+)':$", done.stdout, re.MULTILINE)
        restored = re.findall(r"^Stage '(.+)' is cached", done.stdout, re.MULTILINE)
        return cls(done.returncode, done.stdout, set(ran), set(restored))


@dataclass(frozen=True)
class Clone:
    """A git repository with dvc in it, and the commands that a user types there. settings: of their environment."""

    root: Path
    settings: dict = field(default_factory=dict)

    def run(self, *command, check=True):
        """The finished process; what it wrote to stderr is in its stdout."""
        with tempfile.TemporaryFile("w+", encoding="utf-8") as output:  # a pipe is held open by what stays behind
            done = subprocess.run(
                command,
                cwd=self.root,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=600,
            )
            output.seek(0)
            done.stdout = output.read()
        assert done.returncode == 0 or not check, f"{command}\n{done.stdout}"
        return done

    def dvc(self, *arguments):
        return self.run(sys.executable, "-m", "dvc", *arguments).stdout

    def git(self, *arguments):
        return self.run("git", *arguments).stdout

    def repro(self, *options, check=True):
        return Run.of(self.run(sys.executable, "-m", "dvc", "repro", *options, check=check))

    def outdated(self):
        """The stages that `dvc repro` would run, as far as it knows before any of them has run."""
        return set(json.loads(self.dvc("status", "--json")))

    def environment(self):
        """`python` is this one, and imports the clone's own code."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN_SETTINGS)}
        return inherited | {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(self.root / "src"),
            "OMP_NUM_THREADS": "1",
            "DVC_SITE_CACHE_DIR": str(self.root.parent / f"{self.root.name}-site"),
            "TANDEM_CACHE_DIR": str(self.root.parent / f"{self.root.name}-cache"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            **self.settings,
        }

    def counting(self, path):
        """This clone, whose processes write to a file each image that they decode or pass through a backbone.

        See benchmarks/counting, and rerun_costs.read_counts.
        """
        path.touch()
        python_path = os.pathsep.join([str(self.root / "src"), str(ROOT / "benchmarks" / "counting")])
        return replace(self, settings=self.settings | {"PYTHONPATH": python_path, "TANDEM_COUNTS": str(path)})

    def commit(self, message):
        self.git("add", "-A")
        self.git("commit", "-qm", message)

    def params(self):
        return YAML(typ="safe", pure=True).load((self.root / "params.yaml").read_text(encoding="utf-8"))

    def write_params(self, params):
        with (self.root / "params.yaml").open("w", encoding="utf-8") as file:
            YAML(typ="safe", pure=True).dump(params, file)

    def change(self, key, value):
        """Set one parameter, named by its dotted key; None removes it."""
        params = self.params()
        *sections, name = key.split(".")
        section = params
        for each in sections:
            section = section[each]
        if value is None:
            del section[name]
        else:
            section[name] = value
        self.write_params(params)

    def stages(self):
        """Stage -> its entry in dvc.lock."""
        return YAML(typ="safe", pure=True).load((self.root / "dvc.lock").read_text(encoding="utf-8"))["stages"]

    def lock(self):
        """Output path -> digest, of all stages in dvc.lock."""
        return {out["path"]: out["md5"] for stage in self.stages().values() for out in stage.get("outs", [])}

    def metrics(self):
        """Path -> bytes of all files under metrics/."""
        found = (path for path in (self.root / "metrics").rglob("*") if path.is_file())
        return {path.relative_to(self.root).as_posix(): path.read_bytes() for path in found}

    def experiments(self):
        """The rows of `dvc exp show` that are experiments, column -> text."""
        rows = csv.DictReader(io.StringIO(self.dvc("exp", "show", "--csv")))
        return [row for row in rows if row["Experiment"]]

    def copy(self, target):
        """An independent clone at a path: its own git history, cache and run cache, but no FiftyOne database."""
        shutil.copytree(self.root, target, symlinks=True, ignore=shutil.ignore_patterns(".fiftyone"))
        return Clone(target, self.settings)


def make_clone(root, *, params, **settings):
    """A repository of what git knows of this project or would add to it, committed, with other parameters."""
    listed = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, encoding="utf-8"
    ).stdout
    names = [name for name in listed.split("\0") if name and not OWN_RESULTS.fullmatch(name)]
    for name in names:
        if (ROOT / name).is_file():  # git also lists what was deleted and not yet committed
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, root / name)
    clone = Clone(root, settings)
    clone.write_params(params)
    clone.git("init", "-q")
    for key, value in {"user.name": "a", "user.email": "a@example.invalid", "commit.gpgsign": "false"}.items():
        clone.git("config", key, value)
    clone.commit("the project")
    return clone


def build_wheel(folder):
    """The package as a wheel that was built of its sdist has it, unpacked into a folder that a PYTHONPATH can name."""
    command = [find_uv_bin(), "build", "--quiet", "--python", sys.executable, "--out-dir", folder, ROOT]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def make_own_project(root, clone, *, site):
    """What `tandem init` of a package in a folder makes, with the parameters and the outputs of a clone."""
    named = {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    root.parent.mkdir(parents=True, exist_ok=True)
    project = Clone(root, clone.settings | named | {"PYTHONPATH": str(site)})
    command = [sys.executable, "-c", "from tandem.cli.main import app; app()", "init", str(root)]
    subprocess.run(command, cwd=root.parent, env=project.environment(), check=True, capture_output=True, timeout=100)
    for name in ("data", "metrics", ".dvc/cache"):
        shutil.copytree(clone.root / name, root / name, symlinks=True, dirs_exist_ok=True)
    for name in ("params.yaml", "dvc.lock"):
        shutil.copy2(clone.root / name, root / name)
    project.commit("parameters and outputs of a clone")
    return project


def tiny_params(sources):
    """The project's own parameters, but for small sources, networks and grids."""
    params = Clone(ROOT).params()
    params["sources"] = {
        "web": {"kind": "archive", "archive": {"path": str(sources / "web")}, "format": "auto"},
        "exports": {"kind": "archive", "archive": {"path": str(sources / "exports.zip")}, "format": "auto"},
    }
    params["labels"] = {
        "classes": {label: [other] for label, other in LABELS.items()},
        "ignore": ["blot"],
        "by_source": {},
    }
    params["backbones"] = {"mobilenet_v2": {"weights": "random"}, "squeezenet1_1": {"weights": "random"}}
    params["extract"] |= {"size_px": 32, "interpolation": "bicubic", "engine": "reference"}  # of so few the fastest
    params["curate"] |= {
        "backbone": "mobilenet_v2",
        "candidates": {"min_similarity": 0.999, "max_hash_distance": 24, "num_neighbors": 2},
        "min_correlation": 0.96,
        "same_stem": {"min_similarity": 0.99, "max_hash_distance": 40},
        "fractions": {"train": 0.5, "val": 0.25, "test": 0.25},
        "seed": 0,
    }
    params["train"] |= {"lr": 0.001, "batch_size": 8, "epochs": 2, "folds": 2, "trainable_backbone_layers": {OTHER: 5}}
    params["finetune"] |= {"epochs": 1, "keep": "last", "batch_size": 8, "size_px": 32, "precision": "float32"}
    params["study"] = {"lr": [0.01], "batch_size": [8], "num_seeds": 1}
    params["evaluate"] |= {"num_resamples": 100, "num_splits": 0}
    params["runtime"] |= {"workers": 1}  # for so little work another process costs more than it takes over
    return params


@contextmanager
def copied(clone, work, name):
    copy = clone.copy(work / hashlib.sha256(name.encode()).hexdigest()[:8])
    yield copy
    wait_until_left(copy.root)
    shutil.rmtree(copy.root)


def processes(root):
    """Running processes that work below a folder or name it."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = [process.info["cwd"] or "", *(process.info["cmdline"] or [])]
        found += [process] if any(str(root) in word for word in words) else []
    return found


def wait_until_left(root, *, patience_s=30):
    """Wait until no process works below a folder: a database goes on writing for seconds after its client has ended."""
    end = time.monotonic() + patience_s
    while (left := processes(root)) and time.monotonic() < end:
        time.sleep(0.1)
    assert left == []


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def read_csv(path):
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
