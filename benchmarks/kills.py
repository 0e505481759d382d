"""What comes of killed runs: stages are killed at any moment, and `dvc repro` must go on to the same bytes.

    python benchmarks/kills.py [--kills N] [--seed N] [--json FILE]

A small project of drawn images runs once. Then one stage after another is run by force, without DVC's run cache, and at
a random moment SIGKILL ends the whole group of processes, dvc alone, the stage alone, or mongod alone. A run survives
when nothing of it is left after 20 s, `dvc repro` then ends well, and every output has the digest that it had. Where a
kill has cut a lock file of DVC, which no dvc then reads, `tandem check` must say how to mend that. Prints required
beside reached and exits 1 when a run does not survive. 100 kills, the default, take about half an hour.
"""

import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import psutil  # type: ignore[import-untyped]
from tqdm import tqdm

from figures import at_least, conclude, exactly, make_parser, reported
from scratch import ROOT

sys.path.insert(0, str(ROOT / "tests"))
from scratch_project import Clone, generate_sources, make_clone, processes, tiny_params  # type: ignore

TARGETS = ("group", "dvc", "stage", "mongod")
PATIENCE_S = 20
REMEDY = re.compile(r"^error: .*`((?:rm|git checkout) \S+)`$", re.MULTILINE)


class Kill(NamedTuple):
    """after_s: seconds after the start of dvc."""

    stage: str
    target: str
    after_s: float


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    tried, survived, num_mended = Counter[str](), Counter[str](), 0
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        root = Path(folder)
        generate_sources(root / "sources", per_label=8)
        clone = make_clone(root / "clone", params=tiny_params(root / "sources"))
        clone.repro()
        clone.commit("the run")
        reference, seconds = clone.lock(), seconds_of_stages(clone)
        for kill in tqdm(kills(seconds, arguments.kills, random.Random(arguments.seed)), "kills", disable=None):
            tried[kill.target] += 1
            problem, was_mended = what_went_wrong(clone, kill, reference)
            num_mended += was_mended
            if problem:
                tqdm.write(f"{kill.stage}, {kill.target} killed after {kill.after_s:.2f} s: {problem}")
            else:
                survived[kill.target] += 1
    figures = [exactly(f"{target} killed, survived", tried[target], survived[target]) for target in TARGETS]
    figures.append(reported("lock files of DVC that were cut, and mended as tandem check says", num_mended, ".0f"))
    conclude([*figures, at_least("kills", arguments.kills, tried.total(), ".0f")], arguments)


def seconds_of_stages(clone: Clone) -> dict[str, float]:
    """Stage -> seconds of dvc with it, forced."""
    found = {}
    for stage in clone.dvc("stage", "list", "--name-only").split():
        start = time.monotonic()
        clone.dvc("repro", "-f", "-s", "--no-run-cache", stage)
        found[stage] = time.monotonic() - start
    return found


def kills(seconds: dict[str, float], number: int, rng: random.Random) -> list[Kill]:
    """So many, over all stages in turn; mongod is killed in the stage that starts one."""
    stages = list(seconds)
    found = []
    for turn in range(number):
        target = TARGETS[turn % len(TARGETS)]
        stage = "curate" if target == "mongod" else stages[turn // len(TARGETS) % len(stages)]
        found.append(Kill(stage, target, rng.uniform(0.3, 1) * seconds[stage]))
    return found


def what_went_wrong(clone: Clone, kill: Kill, reference: dict[str, str]) -> tuple[str, bool]:
    """ "" where the run survived, and whether a lock file of DVC had to be mended."""
    command = [sys.executable, "-m", "dvc", "repro", "-f", "-s", "--no-run-cache", kill.stage]
    process = subprocess.Popen(
        command,
        cwd=clone.root,
        env=clone.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    time.sleep(kill.after_s)
    end(process, clone, kill.target)
    process.wait(PATIENCE_S + 60)
    if left := left_running(clone):
        for each in left:
            each.kill()
        return f"{len(left)} processes are left after {PATIENCE_S} s: {left}", False
    done, was_mended = go_on(clone)
    if done.returncode:
        return f"dvc repro ended with {done.returncode}: {done.stdout[-500:]}", was_mended
    changed = [path for path, digest in clone.lock().items() if reference.get(path) != digest]
    return f"other bytes in {', '.join(changed)}" if changed else "", was_mended


def go_on(clone: Clone, *as_whom: str) -> tuple[Any, bool]:
    """The finished `dvc repro`, and whether a lock file of DVC had to be mended first, as `tandem check` says.

    as_whom: the command that runs the others.
    """
    repro = [*as_whom, sys.executable, "-m", "dvc", "repro", "--no-run-cache"]
    done = clone.run(*repro, check=False)
    if not done.returncode:
        return done, False
    said = REMEDY.search(clone.run(*as_whom, "tandem", "check", check=False).stdout)
    if said is None:
        return done, False
    clone.run(*as_whom, *said[1].split(), check=False)
    return clone.run(*repro, check=False), True


def end(process: "subprocess.Popen[bytes]", clone: Clone, target: str) -> None:
    """Kill the target; where there is none at this moment, the whole group."""
    if target == "dvc":
        process.kill()
        return
    running = processes(clone.root)
    chosen = [each for each in running if is_target(each, target)]
    for each in chosen:
        try:
            each.kill()
        except psutil.NoSuchProcess:
            continue
    if not chosen and process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def is_target(process: psutil.Process, target: str) -> bool:
    try:
        if target == "mongod":
            return bool(process.name() == "mongod")
        return target == "stage" and any(word.startswith("stages/") for word in process.cmdline())
    except psutil.Error:
        return False


def left_running(clone: Clone) -> list[psutil.Process]:
    """What still works in the clone after a while."""
    end_s = time.monotonic() + PATIENCE_S
    while (left := processes(clone.root)) and time.monotonic() < end_s:
        time.sleep(0.2)
    return left


if __name__ == "__main__":
    main()
