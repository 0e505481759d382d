"""What a change costs: images decoded, passes through backbones, and time, beside a run of everything.

    python benchmarks/rerun.py [--archives DIR] [--images 2000] [--sizes 1000 20000] [--json FILE]

In a scratch clone of so many small generated images, and with DIR, which is as for benchmarks/real_photos.py, in one of
the vehicles preset, everything runs once, with no stored features. Then each change is made to that state, one at a
time, and `dvc repro` runs: a class gets another name, an alias moves to another class, an alias is ignored, 1 % new
images come as a source of their own, and as more files in an archive (generated images alone), one backbone more, and
another train.lr. Decoders and engines are counted in every stage (benchmarks/counting). Required: a change of labels
decodes no file in ingest, nothing of what is stored in any other stage, and passes nothing through a frozen backbone;
new images of their own source are decoded alone, and cost at most 2 % of all passes; train.lr costs nothing of
these. With new images and with another backbone, whose features give other candidates, what curate decodes is reported.

With DIR, a change of train.lr as `dvc exp run -S train.lr=...` too: with the head that the preset selects, which is
fitted whole and takes no notice of lr (its stages run again all the same), and with a linear head, which is trained by
it. The stages' own is what their scripts take when they are run alone, one after the other, and is to be the larger
half; of that their starts, the interpreter and its imports, are what processes take that do no more. The rest of the
wall is DVC. Each is the least of five rounds.

Then, for each size, that many small generated images go through the stages up to curate, and `dvc repro curate` with
nothing to do is held against `dvc status --with-deps curate`, which looks at the same stages, by turns.

Prints required beside reached and exits 1 when a figure falls short. About half an hour on two idle cores.
"""

import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from figures import Figure, at_least, at_most, conclude, make_parser, reported
from growth import command_cost, make_generated_clone, pack
from rerun_costs import (
    EVERYTHING,
    NEW_BACKBONE,
    NEW_PERCENT,
    OWN_SOURCE,
    SAME_ARCHIVE,
    Rerun,
    as_record,
    read_counts,
    rerun_figures,
)
from scratch import VEHICLES, WEIGHTS, change_params, make_clone, read_params, repro, require_files, run, write_params
from tandem.files import sha256

COUNTING = Path(__file__).resolve().parent / "counting"
MAX_RERUN_S = 15
MAX_OVER_STATUS = 1.3  # times dvc status
NUM_ROUNDS = 5
IMPORTS = "import runpy, sys; sys.path.insert(0, 'stages'); runpy.run_path(sys.argv[1], run_name='imported')"
Params = dict[str, Any]


class Labels(NamedTuple):
    """An alias of a clone's labels, the class that it stands for, and another class."""

    alias: str
    own: str
    other: str


GENERATED = Labels("three", "two", "one")
OF_VEHICLES = Labels("carro", "car", "truck")


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--archives", type=Path)
    parser.add_argument("--images", type=int, default=2_000, help="generated ones, of the changes; 0 leaves them out")
    parser.add_argument("--sizes", type=int, nargs="*", default=[1_000, 20_000])
    arguments = parser.parse_args()
    figures, details = list[Figure](), dict[str, Any]()
    with tempfile.TemporaryDirectory(prefix="tandem-rerun-") as work:
        if arguments.images:
            reruns = changed_generated(Path(work) / "changed/clone", arguments.images)
            figures += rerun_figures("generated", reruns, num_new=num_new(arguments.images))
            details["generated"] = [as_record(each) for each in reruns]
        if arguments.archives:
            archives = require_files(arguments.archives, WEIGHTS, *VEHICLES.values())
            clone = Path(work) / "vehicles/clone"
            make_clone(clone, "vehicles", archives, VEHICLES)
            reruns = rerun_changes(clone, common_changes(clone, OF_VEHICLES, num_images=1_000))
            figures += rerun_figures("vehicles", reruns, num_new=num_new(1_000))
            details["vehicles"] = [as_record(each) for each in reruns]
            for head in ("logistic", "linear"):
                figures += changed_lr(clone, head)
        for size in arguments.sizes:
            figures += nothing_to_do(Path(work) / f"generated-{size}/clone", size)
    conclude(figures, arguments, details=details)


def changed_generated(clone: Path, num_images: int) -> list[Rerun]:
    """All changes, in a clone of generated images whose trainings are small."""
    make_generated_clone(clone, num_images)
    change_params(clone, make_small)
    more = clone.with_name("more.zip")
    pack(more, num_images + num_new(num_images))
    changes = common_changes(clone, GENERATED, num_images=num_images)
    changes[SAME_ARCHIVE] = lambda values: values["sources"]["generated"].update(
        archive={"path": str(more), "sha256": sha256(more)}
    )
    return rerun_changes(clone, changes)


def make_small(values: Params) -> None:
    """Labels of two classes, of which one has an alias, and trainings that take little."""
    values["labels"]["classes"] = {GENERATED.other: [], GENERATED.own: [GENERATED.alias]}
    values["train"].update(head="logistic", epochs=2, batch_size=256)
    values["study"].update(lr=[0.001], batch_size=[256], num_seeds=1)
    values["evaluate"].update(num_splits=0, num_resamples=100)


def common_changes(clone: Path, labels: Labels, *, num_images: int) -> dict[str, Callable[[Params], None]]:
    """Name -> what it does to the parameters. num_images: of which the new ones are a part."""
    new = clone.with_name("new.zip")
    pack(new, num_new(num_images), classes=[labels.own], first=10**6)
    source = {"kind": "archive", "archive": {"path": str(new), "sha256": sha256(new)}, "format": "class_folders"}
    return {
        "a class renamed": lambda values: rename_class(values["labels"], labels.own),
        "an alias moved to another class": lambda values: move_alias(values["labels"], labels),
        "an alias ignored": lambda values: ignore_alias(values["labels"], labels),
        OWN_SOURCE: lambda values: values["sources"].update(new=source),
        NEW_BACKBONE: lambda values: values["backbones"].update(resnet18={"weights": "random"}),
        "train.lr": lambda values: values["train"].update(lr=0.005),
    }


def num_new(num_images: int) -> int:
    return num_images * NEW_PERCENT // 100


def rename_class(labels: Params, name: str) -> None:
    """Its old name stays as an alias; classes keep their order."""
    labels["classes"] = {
        f"{each}_renamed" if each == name else each: [name, *aliases] if each == name else aliases
        for each, aliases in labels["classes"].items()
    }


def move_alias(labels: Params, of: Labels) -> None:
    labels["classes"][of.own].remove(of.alias)
    labels["classes"][of.other].append(of.alias)


def ignore_alias(labels: Params, of: Labels) -> None:
    labels["classes"][of.own].remove(of.alias)
    labels["ignore"].append(of.alias)


def rerun_changes(clone: Path, changes: Mapping[str, Callable[[Params], None]]) -> list[Rerun]:
    """Everything first, and then each change on that state alone."""
    reruns = [counted_repro(clone, EVERYTHING)]
    commit(clone, EVERYTHING)
    before = read_params(clone)
    for name, change in changes.items():
        change_params(clone, change)
        reruns.append(counted_repro(clone, name))
        run(clone, "git", "checkout", "--quiet", "--force", "HEAD")
        write_params(clone, before)  # git takes a file of the same second and size for unchanged
        run(clone, sys.executable, "-m", "dvc", "checkout", "--quiet", "--force")
    return reruns


def counted_repro(clone: Path, name: str) -> Rerun:
    """`dvc repro` with what it decodes and passes through backbones."""
    counts = clone.with_name("counts.csv")
    counts.write_bytes(b"")
    environment = {"PYTHONPATH": f"{clone / 'src'}{os.pathsep}{COUNTING}", "TANDEM_COUNTS": str(counts)}
    cost = command_cost(clone, sys.executable, "-m", "dvc", "repro", environment=environment)
    rerun = Rerun(name, cost, read_counts(counts))
    sys.stderr.write(f"{as_record(rerun)}\n")  # all figures come at the end, an hour later
    return rerun


def changed_lr(clone: Path, head: str) -> list[Figure]:
    """Of an experiment with another lr, in a clone whose head is of this kind."""
    change_params(clone, lambda values: values["train"].update(head=head, lr=0.001))  # an experiment's lr stays
    repro(clone)
    commit(clone, head)
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


def commit(clone: Path, message: str) -> None:
    """All that git tracks in the clone."""
    run(clone, "git", "add", "--all")
    author = ("-c", "user.name=b", "-c", "user.email=b@localhost")
    run(clone, "git", *author, "commit", "--quiet", "--allow-empty", "--message", message)


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
