"""Mutants planted by hand (.plants): each in a copy of the working tree, and the tests of its module or its group."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from shutil import copytree

from tqdm import tqdm

from mutation.groups import GROUPS, STAGES, Mutant, group_of
from mutation.own_session import run_to_end
from mutation.plants import PLANTS, Plant


def planted_outcomes(clone: Path, groups: Sequence[str]) -> list[Mutant]:
    """What became of each plant of these groups; the working tree is copied once a worker."""
    workers, plants = os.cpu_count() or 1, [plant for plant in PLANTS if _group(plant.path) in groups]
    if not passes(clone, sorted({test for plant in plants for tests in tests_of(clone, plant.path) for test in tests})):
        sys.exit("error: tests fail on the code as it is")
    clones = Queue[Path]()
    for number in range(workers):
        clones.put(copytree(clone, clone.parent / f"{clone.name}-{number}"))

    def outcome(plant: Plant) -> Mutant:
        copy = clones.get()
        try:
            with replaced(copy / plant.path, plant):
                is_killed = not all(passes(copy, tests) for tests in tests_of(copy, plant.path))
        finally:
            clones.put(copy)
        return Mutant(_group(plant.path), plant.path, plant.was, plant.becomes, is_killed)

    with ThreadPoolExecutor(workers) as pool:
        return list(tqdm(pool.map(outcome, plants), "planted mutants", len(plants), disable=None))


def _group(path: str) -> str:
    return "stages" if path.startswith("stages/") else group_of(path)


def tests_of(clone: Path, path: str) -> Iterator[Sequence[str]]:
    """The test file of a module first, then the tests of its whole group."""
    module = Path(path)
    own = [each for each in (clone / "tests").rglob(f"test_{module.stem}.py") if each.parent.name in module.parts]
    if own:
        yield [each.relative_to(clone).as_posix() for each in own]
    yield STAGES.tests if path.startswith("stages/") else GROUPS[group_of(path)].tests


def passes(clone: Path, tests: Sequence[str]) -> bool:
    """Whether all of these tests pass in the copy; what comes to no end does not."""
    environment = {**os.environ, "PYTHONPATH": f"{clone}/src", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", "not slow", *tests]
    try:
        code, printed = run_to_end(command, folder=clone, environment=environment, timeout_s=1200)
    except subprocess.TimeoutExpired:
        return False
    if code not in (0, 1, 2):  # passed, failed, or not even collected
        sys.exit(f"error: pytest {' '.join(tests)} ended with {code}: {printed[-2000:]}")
    return code == 0


@contextmanager
def replaced(path: Path, plant: Plant) -> Iterator[None]:
    """Inside the block the file has the plant."""
    text = path.read_text(encoding="utf-8")
    if text.count(plant.was) != 1:
        sys.exit(f"error: {plant.was!r} stands {text.count(plant.was)} times in {plant.path}; put the plant right")
    path.write_text(text.replace(plant.was, plant.becomes), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(text, encoding="utf-8")
