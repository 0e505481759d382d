"""What the pipeline's processes take beside their work: starts, DVC and whole runs, over floors of the same run.

    python benchmarks/stages.py [--parts starts nothing lr whole] [--rounds 3] [--json FILE]

starts: the imports of each stage's script, over those of a Python that imports NumPy; CPU time, least of the rounds.

nothing, lr: in a scratch clone of the sample that ran once (one training a pair of the study, no other splits), `dvc
repro` with nothing to do over `dvc status`, beside the same of a pipeline of one stage, which is DVC's own; and `dvc
exp run -S train.lr=...`, with a linear and with a logistic head, over the same command in a copy whose stages do
nothing but change a byte of their outputs, so that the same stages run.

whole: `dvc repro` of the sample from nothing, with an empty cache: over what its stages say of their own work (without
the starts of their processes), and over the same at commit ba2ba50, which must be in the history here.

Walls, the rounds of both sides by turns, the least of each. Prints required beside reached and exits 1 when a figure
falls short. About ten minutes on two idle cores; --parts whole alone takes six, by one round.
"""

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any

from ruamel.yaml import YAML

from figures import Figure, at_most, conclude, make_parser, reported
from rerun import IMPORTS, commit
from scratch import ROOT, change_params, make_clone, repro
from tandem.cache.store import CACHE_DIR

PARTS = ("starts", "nothing", "lr", "whole")
MAX_START = 3  # times that of NumPy
MAX_NOTHING = 1.1  # times dvc status
MAX_OVER_FLOOR = 2.0  # of an experiment, times that of stages that do nothing
MAX_OVER_WORK, MAX_OF_EARLY = 1.25, 0.5  # of a run from nothing
EARLY = "ba2ba50"
OWN_SECONDS = re.compile(r"^[\w@]+: .*, ([\d.]+) s$", re.MULTILINE)  # what a stage says at its end
RAN = re.compile(r"^Running stage '(.+)':$", re.MULTILINE)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--rounds", type=int, default=3, help="of each part but whole, which has one")
    arguments = parser.parse_args()
    figures = list[Figure]()
    with tempfile.TemporaryDirectory(prefix="tandem-stages-") as work:
        if "starts" in arguments.parts:
            figures += starts(arguments.rounds)
        if {"nothing", "lr"} & set(arguments.parts):
            figures += of_finished(Path(work), arguments.parts, arguments.rounds)
        if "whole" in arguments.parts:
            figures += whole(Path(work))
    conclude(figures, arguments)


def starts(rounds: int) -> list[Figure]:
    """Of each stage's process, before it works."""
    scripts = sorted((ROOT / "stages").glob("[!_]*.py"))
    commands = {"numpy": ["-c", "import numpy"], **{path.stem: ["-c", IMPORTS, str(path)] for path in scripts}}
    least = least_of({name: partial(cpu_seconds, *words) for name, words in commands.items()}, rounds + 1)
    floor = least.pop("numpy")
    return [
        reported("start of Python and NumPy, s of a core", floor, ".2f"),
        *(at_most(f"start of {name}, over that", MAX_START, each / floor, ".2f") for name, each in least.items()),
    ]


def of_finished(work: Path, parts: Sequence[str], rounds: int) -> list[Figure]:
    """Of a clone in which everything ran, and of a copy of it whose stages do nothing."""
    clone, floor = work / "finished/clone", work / "floor/clone"
    make_clone(clone, "sample", work, {})
    change_params(clone, lambda values: values["study"].update(lr=[0.001], batch_size=[8], num_seeds=1))
    change_params(clone, lambda values: values["evaluate"].update(num_splits=0))
    repro(clone)
    commit(clone, "finished")
    figures = list[Figure]()
    if "nothing" in parts:
        least, of_one = over_status(clone, rounds), over_status(make_one_stage(work / "one/clone"), rounds)
        figures += [
            reported("nothing to do: dvc repro, s", least["repro"], ".2f"),
            at_most("nothing to do: dvc repro over dvc status", MAX_NOTHING, least["repro"] / least["status"], ".2f"),
            reported("the same of a pipeline of one stage", of_one["repro"] / of_one["status"], ".2f"),
        ]
    if "lr" in parts:
        make_floor(clone, floor)
        for head in ("linear", "logistic"):
            figures += changed_lr({"with work": clone, "without": floor}, head, rounds)
    return figures


def over_status(clone: Path, rounds: int) -> dict[str, float]:
    """Seconds of `dvc status` and of `dvc repro` with nothing to do."""
    return least_of({name: partial(nothing_to_do, clone, name) for name in ("status", "repro")}, rounds)


def nothing_to_do(clone: Path, command: str) -> float:
    return dvc_seconds(clone, command)[0]


def make_one_stage(clone: Path) -> Path:
    """A repository whose pipeline is one stage that ran and writes a line, with the settings of this one."""
    (clone / ".dvc").mkdir(parents=True)
    shutil.copyfile(ROOT / ".dvc/config", clone / ".dvc/config")
    (clone / "dvc.yaml").write_text("stages: {line: {cmd: echo line > line, outs: [line]}}\n", encoding="utf-8")
    subprocess.run(["git", "init", "--quiet"], cwd=clone, check=True)
    repro(clone)
    return clone


def make_floor(clone: Path, floor: Path) -> None:
    """A copy of the clone whose stages only change a byte of what they write, where that is a folder."""
    shutil.copytree(clone, floor, symlinks=True, ignore=shutil.ignore_patterns(".fiftyone"))
    yaml, path = YAML(typ="safe", pure=True), floor / "dvc.yaml"
    all_stages = yaml.load(path.read_text(encoding="utf-8"))["stages"]
    for stage in all_stages.values():
        make_idle(stage.get("do", stage))
    with path.open("w", encoding="utf-8") as file:
        yaml.dump({"stages": all_stages}, file)
    repro(floor)
    commit(floor, "stages that do nothing")


def make_idle(stage: dict[str, Any]) -> None:
    """Change a stage of dvc.yaml: what it wrote stays, and a folder of it gets a file with the shell's number."""
    outputs: dict[str, dict[str, Any]] = {"outs": {}, "metrics": {}}
    for kind, by_name in outputs.items():
        for each in stage.get(kind, ()):
            [(name, options)] = each.items() if isinstance(each, Mapping) else [(each, {})]
            by_name[name] = {**options, "persist": True}
        if by_name:
            stage[kind] = [{name: options} for name, options in by_name.items()]
    folders = [name for name in outputs["outs"] if not Path(name).suffix]
    stage["cmd"] = f"rm -f {folders[0]}/idle; echo $$ > {folders[0]}/idle" if folders else "true"


def changed_lr(clones: Mapping[str, Path], head: str, rounds: int) -> list[Figure]:
    """Of an experiment with another lr. clones: with and without work."""
    for clone in clones.values():
        change_params(clone, lambda values: values["train"].update(head=head, lr=0.001))  # an experiment's lr stays
        repro(clone)
        commit(clone, head)
    walls, ran = {name: list[float]() for name in clones}, dict[str, list[str]]()
    for number in range(rounds):  # another value each time: DVC knows the results of those that it has seen
        for name, clone in clones.items():
            option = f"train.lr={0.01 + number / 1000}"
            seconds, output = dvc_seconds(clone, "exp", "run", "--set-param", option)
            walls[name].append(seconds)
            ran[name] = sorted(RAN.findall(output))
    if ran["with work"] != ran["without"]:
        sys.exit(f"error: other stages ran where they do nothing: {ran}")
    least, what = {name: min(each) for name, each in walls.items()}, f"train.lr changed, {head} head"
    return [
        reported(f"{what}: dvc exp run, s ({', '.join(ran['without'])})", least["with work"], ".1f"),
        reported(f"{what}: the same stages doing nothing, s", least["without"], ".1f"),
        at_most(f"{what}: over stages that do nothing", MAX_OVER_FLOOR, least["with work"] / least["without"], ".2f"),
    ]


def whole(work: Path) -> list[Figure]:
    """Of runs of the sample from nothing, here and at the early commit."""
    clone, early = work / "whole/clone", work / "early/clone"
    make_clone(clone, "sample", work, {})
    unpack_early(early)
    (early_s, _), (wall, output) = dvc_seconds(early, "repro"), dvc_seconds(clone, "repro")
    own = sum(map(float, OWN_SECONDS.findall(output)))
    return [
        reported("the sample from nothing: dvc repro, s", wall, ".1f"),
        reported("the sample from nothing: its stages' own work, s", own, ".1f"),
        reported(f"the sample from nothing: dvc repro at {EARLY}, s", early_s, ".1f"),
        at_most("the sample from nothing: over its stages' own work", MAX_OVER_WORK, wall / own, ".2f"),
        at_most(f"the sample from nothing: over {EARLY}", MAX_OF_EARLY, wall / early_s, ".2f"),
    ]


def unpack_early(folder: Path) -> None:
    """The early commit as a repository of its own, in which nothing has run."""
    folder.mkdir(parents=True)
    packed = subprocess.run(["git", "archive", EARLY], cwd=ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    (folder / "dvc.lock").unlink(missing_ok=True)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)


def least_of(measures: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Name -> the least of what it measures, by turns."""
    found = [{name: measure() for name, measure in measures.items()} for _ in range(rounds)]
    return {name: min(each[name] for each in found) for name in measures}


def cpu_seconds(*words: str) -> float:
    """Of all cores together, by this Python with these words, in this working tree."""
    before = getrusage(RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    subprocess.run([sys.executable, *words], cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = getrusage(RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def dvc_seconds(clone: Path, *words: str) -> tuple[float, str]:
    """Wall seconds of a command of DVC in a clone, whose cache is beside it, and what it printed on both streams."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(clone / "src"),
        CACHE_DIR: str(clone.with_name("cache")),
    }
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *words],
        cwd=clone,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{done.stdout}\nerror: dvc {' '.join(words)} failed in {clone}; see above")
    return time.perf_counter() - started, done.stdout


if __name__ == "__main__":
    main()
