"""What comes of bad disks: each stage meets full and read-only ones, and `dvc repro` must go on to the same bytes.

    python benchmarks/disks.py [--trials N] [--seed N] [--json FILE]

A small project of drawn images runs once, on small disks of its own. Then a stage is run by force while a disk that it
writes to is full after a random number of bytes, is read-only, or belongs to somebody else. A stage survives when it
ends well with the bytes that it had, or with one sentence and no traceback; where DVC fails instead, DVC must say so,
or `tandem check --outputs` after it. With the disk as it was, `dvc repro` must then end well (lock files of DVC that
were cut are mended as in kills.py), with every output as it was and no file of ours besides. Prints required beside
reached and exits 1 when a stage does not survive. All trials, the default, take about an hour. It needs Linux, whose
`unshare` gives a program mounts that no other one sees.
"""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from tqdm import tqdm

from figures import at_least, conclude, exactly, make_parser, reported
from kills import go_on
from scratch import ROOT

sys.path.insert(0, str(ROOT / "tests"))
from scratch_project import Clone, generate_sources, make_clone, tiny_params  # type: ignore

# A disk -> its folders beside or below the clone: outputs; metrics; DVC's cache and own files; databases and
# checkpoints, which can be made anew; what libraries write elsewhere.
DISKS = {
    "data": ("clone/data",),
    "metrics": ("clone/metrics",),
    "DVC": ("clone/.dvc",),
    "scratch": ("clone/.fiftyone", "clone/.tandem"),
    "home and tmp": ("home", "tmp"),
}
STATES = {
    "data": ("full", "read-only", "forbidden"),
    "metrics": ("full", "read-only"),
    "DVC": ("full", "read-only"),
    "scratch": ("full", "read-only"),
    "home and tmp": ("full", "read-only"),
}
DVCS_OWN = re.compile(r"\.[\w-]{22}\.tmp")
SIZE = "1g"  # of a disk that is not full; memory is used for what lies on it alone
MARK = "TANDEM_DISKS_OWN_MOUNTS"
NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")  # in which disks can be mounted
PERSON = ("unshare", "--user", "--map-user=1000", "--map-group=1000")  # whom a disk can forbid something
NO_NAMESPACE = (
    "error: this machine gives a program no mounts of its own ({why}), and without them no disk can be made full or "
    "read-only; run it on Linux with `unshare` of util-linux 2.38 or newer, in Docker by `docker run --privileged`"
)


class Trial(NamedTuple):
    stage: str
    disk: str
    state: str


class Outcome(NamedTuple):
    """problem: "" where the stage survived. failed: "stage", "DVC", or "" where the run ended well."""

    problem: str
    failed: str = ""


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--trials", type=int, help="so many of all, chosen by the seed")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if MARK not in os.environ:
        enter_namespace()
    rng, tried, survived, failed = random.Random(arguments.seed), Counter[str](), Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory(prefix="disks-") as folder, mounted(Path(folder).resolve()) as root:
        clone = make_project(root)
        reference, files = clone.lock(), files_of(clone)
        trials = all_trials(clone)
        chosen = sorted(rng.sample(trials, min(arguments.trials or len(trials), len(trials))), key=trials.index)
        for trial in tqdm(chosen, "disks", disable=None):
            outcome = try_out(clone, trial, rng, reference, files)
            kind = f"{trial.disk} {trial.state}"
            tried[kind] += 1
            survived[kind] += not outcome.problem
            failed[outcome.failed] += 1
            if outcome.problem:
                tqdm.write(f"{trial.stage}, {kind}: {outcome.problem}")
                sys.stdout.flush()
    kinds = [f"{disk} {state}" for disk, states in STATES.items() for state in states]
    figures = [exactly(f"{kind}, survived", tried[kind], survived[kind]) for kind in kinds]
    figures += [reported(f"ended by {name}", failed[name], ".0f") for name in ("stage", "DVC")]
    conclude([*figures, at_least("disks", len(chosen), tried.total(), ".0f")], arguments)


def enter_namespace() -> None:
    """Start this program anew where it can mount; ends it with a sentence where there is no such place."""
    probe = [*NAMESPACE, "sh", "-c", f"mount -t tmpfs tmpfs /mnt && exec {' '.join(PERSON)} true"]
    try:
        done = subprocess.run(probe, capture_output=True, text=True, check=False)
    except OSError as error:
        sys.exit(NO_NAMESPACE.format(why=f"{error.filename}: {error.strerror}"))
    if done.returncode:
        sys.exit(NO_NAMESPACE.format(why=(done.stderr.strip().splitlines() or ["no reason given"])[-1]))
    os.execvpe(NAMESPACE[0], [*NAMESPACE, sys.executable, *sys.argv], {**os.environ, MARK: "1"})


@contextmanager
def mounted(root: Path) -> Iterator[Path]:
    """The folder with all disks mounted in it."""
    places = [root / place for folders in DISKS.values() for place in folders]
    for place in places:
        place.mkdir(parents=True)
        mount("-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", place)
    try:
        yield root
    finally:
        for place in places:
            subprocess.run(["umount", "--lazy", place], check=False)


def mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True)


def make_project(root: Path) -> Clone:
    """The small project, which has run."""
    generate_sources(root / "sources", per_label=8)
    settings = {"HOME": str(root / "home"), "TMPDIR": str(root / "tmp")}
    clone = make_clone(root / "clone", params=tiny_params(root / "sources"), **settings)
    done = as_person(clone, sys.executable, "-m", "dvc", "repro")
    clone.commit("the run")
    if done.returncode:
        sys.exit(f"error: the small project does not run:\n{done.stdout}")
    return clone


def as_person(clone: Clone, *command: str) -> Any:
    """Run a command in the clone without the rights of root, which nothing is forbidden; its returncode and stdout."""
    return clone.run(*PERSON, *command, check=False)


def all_trials(clone: Clone) -> list[Trial]:
    """Each stage with each disk that it writes to, in each state. DVC writes to its own beside every stage."""
    found = []
    for stage in tqdm(clone.dvc("stage", "list", "--name-only").split(), "stages", disable=None):
        before = {disk: written_to(clone, disk) for disk in DISKS}
        clone.repro("-f", "-s", "--no-run-cache", stage)
        disks = [disk for disk in DISKS if written_to(clone, disk) != before[disk]]
        found += [Trial(stage, disk, state) for disk in disks for state in STATES[disk]]
    return found


def written_to(clone: Clone, disk: str) -> dict[Path, int]:
    """Path -> when it was changed: a folder is when a file in it comes or goes, be it but for a moment."""
    places = [clone.root.parent / place for place in DISKS[disk]]
    return {path: path.stat().st_mtime_ns for place in places for path in (place, *place.rglob("*")) if path.exists()}


def outputs(clone: Clone) -> dict[str, dict[str, dict[str, Any]]]:
    """Stage -> path of an output -> its entry in dvc.lock."""
    stages = YAML(typ="safe", pure=True).load((clone.root / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    return {stage: {out["path"]: out for out in entry.get("outs", ())} for stage, entry in stages.items()}


def files_of(clone: Clone) -> set[str]:
    """All files of outputs and metrics, and temporary ones, but for those that DVC leaves of a copy that failed."""
    folders = (clone.root / "data", clone.root / "metrics", clone.root.parent / "tmp")
    found = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {str(path) for path in found if not DVCS_OWN.fullmatch(path.name)}


def try_out(clone: Clone, trial: Trial, rng: random.Random, reference: dict[str, str], files: set[str]) -> Outcome:
    """Run the stage with a bad disk, and then what is left to do with a good one."""
    outs = outputs(clone)
    forget(clone, outs, trial.stage)
    sizes = {path: out.get("size", 0) for path, out in outs[trial.stage].items()}
    written = sum(size for path, size in sizes.items() if trial.disk in ("DVC", path.partition("/")[0]))
    with bad(clone, trial, room=rng.randrange(written + 1)):
        done = as_person(clone, sys.executable, "-m", "dvc", "repro", "-f", "-s", "--no-run-cache", trial.stage)
        is_noticed = not done.returncode and as_person(clone, "tandem", "check", "--outputs").returncode != 0
    failed, problem = judged(done.returncode, done.stdout)
    if done.returncode or is_noticed:
        failed = failed or "DVC"
        again, _ = go_on(clone, *PERSON)
        if again.returncode:
            problem = problem or f"the next dvc repro ended with {again.returncode}: {again.stdout[-500:]}"
    lock, missing = clone.lock(), files - files_of(clone)
    changed = sorted({path for path in reference if lock.get(path) != reference[path]} | missing)
    for litter in files_of(clone) - files:
        problem = problem or f"{litter} is left"
        Path(litter).unlink()
    return Outcome(problem or (f"other bytes in {', '.join(changed)}" if changed else ""), failed)


def forget(clone: Clone, outs: dict[str, dict[str, dict[str, Any]]], stage: str) -> None:
    """Remove a stage's outputs from the clone and from DVC's cache, as though it had never run."""
    objects = {name: {each for out in own.values() for each in objects_of(clone, out)} for name, own in outs.items()}
    for each in objects[stage].difference(*(own for name, own in objects.items() if name != stage)):
        each.unlink(missing_ok=True)
    for path in (clone.root / name for name in outs[stage]):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def objects_of(clone: Clone, out: dict[str, Any]) -> list[Path]:
    """The files of an output in DVC's cache."""
    cache = clone.root / ".dvc/cache/files/md5"
    listing = cache / out["md5"][:2] / out["md5"][2:]
    is_folder = listing.suffix == ".dir" and listing.is_file()
    digests = [each["md5"] for each in json.loads(listing.read_text(encoding="utf-8"))] if is_folder else []
    return [listing, *(cache / digest[:2] / digest[2:] for digest in digests)]


@contextmanager
def bad(clone: Clone, trial: Trial, *, room: int) -> Iterator[None]:
    """A disk in a bad state. room: bytes that can still be written to a full one."""
    places = [clone.root.parent / place for place in DISKS[trial.disk]]
    for place in places:
        if trial.state == "forbidden":
            change_modes(place, remove=0o222)
        else:
            used = os.statvfs(place)
            size = (used.f_blocks - used.f_bfree) * used.f_frsize + room
            mount("-o", "remount,ro" if trial.state == "read-only" else f"remount,size={max(size, 1)}", place)
    try:
        yield
    finally:
        for place in places:
            if trial.state == "forbidden":
                change_modes(place, add=0o200)
            else:
                mount("-o", f"remount,rw,size={SIZE}", place)


def change_modes(root: Path, *, remove: int = 0, add: int = 0) -> None:
    """Of a folder and all folders below."""
    for folder in (root, *(path for path in root.rglob("*") if path.is_dir())):
        folder.chmod(folder.stat().st_mode & ~remove | add)


def judged(code: int, text: str) -> tuple[str, str]:
    """Who failed, and what was wrong with how. code, text: of dvc."""
    if "Traceback (most recent call last)" in text:
        return "stage", f"a traceback: {text[-1500:]}"
    if "failed to run: python stages/" not in text:
        return ("DVC", "") if code else ("", "")
    said = re.findall(r"^error: .+", text, re.MULTILINE)
    return "stage", "" if code and len(said) == 1 else f"{len(said)} sentences, exit code {code}: {text[-1500:]}"


if __name__ == "__main__":
    main()
