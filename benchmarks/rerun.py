"""What a change of train.lr costs, and a run with nothing to do: how much of it is the stages', how much is DVC's.

    python benchmarks/rerun.py [--archives DIR] [--sizes 1000 20000] [--json FILE]

With DIR, which is as for benchmarks/real_photos.py, the vehicles preset runs once in a scratch clone and then again as
`dvc exp run -S train.lr=...`: with the head that it selects, which is fitted whole and takes no notice of lr (its
stages run again all the same), and with a linear head, which is trained by it. The stages' own is what their scripts
take when they are run alone, one after the other, and is to be the larger half; of that their starts, the interpreter
and its imports, are what processes take that do no more. The rest of the wall is DVC. Each is the least of five rounds.

Then, for each size, that many small generated images go through the stages up to curate, and `dvc repro curate` with
nothing to do is held against `dvc status --with-deps curate`, which looks at the same stages, by turns.

Prints required beside reached and exits 1 when a figure falls short. About ten minutes on two idle cores.
"""

import re
import sys
import tempfile
import time
from pathlib import Path

from figures import Figure, at_least, at_most, conclude, make_parser, reported
from growth import make_generated_clone
from scratch import VEHICLES, WEIGHTS, change_params, make_clone, repro, require_files, run

MAX_RERUN_S = 15
MAX_OVER_STATUS = 1.3  # times dvc status
NUM_ROUNDS = 5
IMPORTS = "import runpy, sys; sys.path.insert(0, 'stages'); runpy.run_path(sys.argv[1], run_name='imported')"


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--archives", type=Path)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1_000, 20_000])
    arguments = parser.parse_args()
    figures = []
    with tempfile.TemporaryDirectory(prefix="tandem-rerun-") as work:
        if arguments.archives:
            archives = require_files(arguments.archives, WEIGHTS, *VEHICLES.values())
            clone = Path(work) / "vehicles"
            make_clone(clone, "vehicles", archives, VEHICLES)
            for head in ("logistic", "linear"):
                figures += changed_lr(clone, head)
        for size in arguments.sizes:
            figures += nothing_to_do(Path(work) / f"generated-{size}", size)
    conclude(figures, arguments)


def changed_lr(clone: Path, head: str) -> list[Figure]:
    """Of an experiment with another lr, in a clone whose head is of this kind."""
    change_params(clone, lambda values: values["train"].update(head=head, lr=0.001))  # an experiment's lr stays
    repro(clone)
    run(clone, "git", "add", "--all")
    run(clone, "git", "-c", "user.name=b", "-c", "user.email=b@localhost", "commit", "--quiet", "--message", head)
    walls, stages = [], list[list[str]]()
    for number in range(NUM_ROUNDS):  # another value each time: DVC knows the results of those that it has seen
        wall, output = dvc(clone, "exp", "run", "--set-param", f"train.lr={0.01 + number / 1000}")
        stages = [[*name.split("@")] for name in re.findall(r"Running stage '(.+)'", output)]
        walls.append(wall)
    scripts = sum(least_seconds(clone, f"stages/{stage[0]}.py", *stage[1:]) for stage in stages)
    starts = sum(least_seconds(clone, "-c", IMPORTS, f"stages/{stage[0]}.py") for stage in stages)
    wall, what = min(walls), f"train.lr changed, {head} head"
    return [
        at_most(f"{what}: s", MAX_RERUN_S, wall, ".1f"),
        reported(f"{what}: stages ({', '.join('@'.join(stage) for stage in stages)}), s", scripts, ".1f"),
        reported(f"{what}: their starts, Python and imports, s", starts, ".1f"),
        reported(f"{what}: DVC's own, s", wall - scripts, ".1f"),
        at_least(f"{what}: the stages' fraction", 0.5, scripts / wall, ".2f"),
    ]


def least_seconds(clone: Path, *arguments: str) -> float:
    """Seconds of this Python with these arguments, the least of the rounds."""
    return min(timed(clone, sys.executable, *arguments)[0] for _ in range(NUM_ROUNDS))


def nothing_to_do(clone: Path, num_images: int) -> list[Figure]:
    make_generated_clone(clone, num_images)
    repro(clone, "curate")
    commands = (("status", "--with-deps", "curate"), ("repro", "curate"))
    walls = [[dvc(clone, *command)[0] for command in commands] for _ in range(NUM_ROUNDS)]
    status_s, repro_s = (min(column) for column in zip(*walls, strict=True))
    what = f"nothing to do, {num_images} images"
    return [
        reported(f"{what}: dvc repro, s", repro_s, ".1f"),
        at_most(f"{what}: dvc repro over dvc status", MAX_OVER_STATUS, repro_s / status_s, ".2f"),
    ]


def dvc(clone: Path, *arguments: str) -> tuple[float, str]:
    return timed(clone, sys.executable, "-m", "dvc", *arguments)


def timed(clone: Path, *command: str) -> tuple[float, str]:
    """Wall seconds, and what the command printed."""
    started = time.perf_counter()
    output = run(clone, *command)
    return time.perf_counter() - started, output


if __name__ == "__main__":
    main()
