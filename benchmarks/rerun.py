"""What a change of train.lr costs, and a run with nothing to do: how much of it is the stages', how much is DVC's.

    python benchmarks/rerun.py [--archives DIR] [--sizes 1000 20000] [--json FILE]

With DIR, which is as for benchmarks/real_photos.py, the vehicles preset runs once in a scratch clone and then again as
`dvc exp run -S train.lr=...`: with the head that it selects, which is fitted whole and takes no notice of lr (its stages
run again all the same), and with a linear head, which is trained by it. The stages' own is what their scripts take when
they are run alone, one after the other, and is to be the larger half; of that their starts, the interpreter and its
imports, are what processes take that do no more. The rest of the wall is DVC. Each is the least of five rounds.

Then, for each size, that many small drawn images go through the stages up to curate, and `dvc repro curate` with
nothing to do is held against `dvc status --with-deps curate`, which looks at the same stages, by turns.

Prints required beside reached and exits 1 when a figure falls short. About ten minutes on two idle cores.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import growth
import real_photos
from figures import Figure, conclude

RERUN_S = 15
NO_OP = 1.3  # times dvc status
ROUNDS = 5
IMPORTS = "import runpy, sys; runpy.run_path(sys.argv[1], run_name='imported')"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archives", type=Path)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1_000, 20_000])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures = []
    with tempfile.TemporaryDirectory(prefix="tandem-rerun-") as work:
        if arguments.archives:
            archives = real_photos.whole(arguments.archives, real_photos.WEIGHTS, *real_photos.VEHICLES.values())
            clone = Path(work) / "vehicles"
            real_photos.prepare(clone, "vehicles", archives, real_photos.VEHICLES)
            for head in ("logistic", "linear"):
                figures += changed_lr(clone, head)
        for size in arguments.sizes:
            figures.append(no_op(Path(work) / f"drawn-{size}", size))
    conclude(figures, arguments.json)


def changed_lr(clone: Path, head: str) -> list[Figure]:
    real_photos.change(clone, lambda values: values["train"].update(head=head, lr=0.001))  # an experiment's lr stays
    real_photos.repro(clone)
    run(clone, "git", "add", "--all")
    run(clone, "git", "-c", "user.name=b", "-c", "user.email=b@localhost", "commit", "--quiet", "--message", head)
    walls, stages = [], list[list[str]]()
    for number in range(ROUNDS):  # another value each time: DVC knows the results of those that it has seen
        wall, said = dvc(clone, "exp", "run", "--set-param", f"train.lr={0.01 + number / 1000}")
        stages = [[*name.split("@")] for name in re.findall(r"Running stage '(.+)'", said)]
        walls.append(wall)
    scripts = sum(least(clone, f"stages/{stage[0]}.py", *stage[1:]) for stage in stages)
    starts = sum(least(clone, "-c", IMPORTS, f"stages/{stage[0]}.py") for stage in stages)
    wall, share = min(walls), scripts / min(walls)
    parts = {
        f"{', '.join('@'.join(stage) for stage in stages)}": scripts,
        "of it their starts: Python and imports": starts,
        "DVC's own": wall - scripts,
    }
    return [
        Figure(f"train.lr changed, {head} head: s", f"<= {RERUN_S}", f"{wall:.1f}", wall, wall <= RERUN_S),
        *(Figure(f"  {what}, s", None, f"{seconds:.1f}", seconds, True) for what, seconds in parts.items()),
        Figure("  the stages' share", ">= 0.5", f"{share:.2f}", share, share >= 0.5),
    ]


def least(clone: Path, *arguments: str) -> float:
    """Seconds of this Python with these arguments, the least of the rounds."""
    return min(timed(clone, sys.executable, *arguments)[0] for _ in range(ROUNDS))


def no_op(clone: Path, images: int) -> Figure:
    growth.drawn_clone(clone, images)
    real_photos.repro(clone, "curate")
    commands = (("status", "--with-deps", "curate"), ("repro", "curate"))
    walls = [[dvc(clone, *command)[0] for command in commands] for _ in range(ROUNDS)]
    status, repro = (min(column) for column in zip(*walls, strict=True))
    ratio = repro / status
    text = f"{ratio:.2f} ({repro:.1f} s)"
    return Figure(f"nothing to do, {images} images: over status", f"<= {NO_OP}", text, ratio, ratio <= NO_OP)


def dvc(clone: Path, *arguments: str) -> tuple[float, str]:
    return timed(clone, sys.executable, "-m", "dvc", *arguments)


def timed(clone: Path, *command: str) -> tuple[float, str]:
    started = time.perf_counter()
    said = run(clone, *command)
    return time.perf_counter() - started, said


def run(clone: Path, *command: str) -> str:
    """What the command said; ends the program where it fails. Runs with this Python and the clone's own code."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(clone / "src")}
    done = subprocess.run(command, cwd=clone, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"error: {' '.join(command)} failed; see above")
    return done.stdout


if __name__ == "__main__":
    main()
