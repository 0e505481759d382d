"""Mutants by mutmut: of the functions of the groups' modules, in a copy of the working tree.

mutmut writes all mutants of a function beside it, and forks a process that has imported the tests for each; of these it
runs those that reach the function. It leaves decorated functions as they are, so properties and context managers are
written without `@` in the copy. Constants of modules, which it leaves too, are planted (.planted).
"""

import ast
import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from difflib import ndiff
from hashlib import sha256
from pathlib import Path

from mutation.groups import GROUPS, LEFT_OUT, Mutant, group_of
from mutation.own_session import run_to_end

_FIRST, _FIRST_TESTS = "tandem.seeding.*", ["tests/test_seeding.py"]  # few: with them mutmut generates all others
_KILLED = {1, 3, 24, -24, 36, 152, 255, -9, -11}  # as mutmut has it: a failed test, and what came to no end
_SURVIVED = {0, 5, 33}  # all tests passed, or there is none
_STRICT = re.compile(r"(, )?strict=\w+|, (?=\))")
_PLUGINS = ("cacheprovider", "unraisableexception")  # the latter collects garbage for most of a mutant's time
_DECORATORS = ("property", "cached_property", "contextmanager")


def mutmut_outcomes(clone: Path, number: int, seed: int, groups: Sequence[str]) -> list[Mutant]:
    """What became of so many mutants of these groups, or of all where number is 0, chosen by a seed."""
    paths = [path for path in modules(clone) if group_of(path) in groups]
    if not paths:
        return []
    for path in paths:
        undecorate(clone / path)
    write_config(clone, paths, groups)
    mutmut(clone, "run", _FIRST)
    changed = {name: change for name, change in changes(clone).items() if mutant(name, change, 0).group in groups}
    names = chosen(changed, number, seed)
    mutmut(clone, "run", *names)
    ended = results(clone)
    return [mutant(name, changed[name], ended[name]) for name in names]


def modules(clone: Path) -> list[str]:
    """Of all groups."""
    found = {path for group in GROUPS.values() for pattern in group.modules for path in clone.glob(pattern)}
    return sorted(path.relative_to(clone).as_posix() for path in found if path.name != "__init__.py")


def undecorate(path: Path) -> None:
    """`@property def x` becomes `def x` and `x = property(x)`."""
    text = path.read_text(encoding="utf-8")
    lines, nodes = text.splitlines(keepends=True), ast.walk(ast.parse(text))
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef) and len(node.decorator_list) == 1]
    for node in sorted(functions, key=lambda node: -node.lineno):  # the last first, so that line numbers stay
        decorator = ast.unparse(node.decorator_list[0])
        if decorator in _DECORATORS:
            assert node.end_lineno is not None, "what was parsed has an end"
            lines.insert(node.end_lineno, f"{' ' * node.col_offset}{node.name} = {decorator}({node.name})\n")
            del lines[node.decorator_list[0].lineno - 1]
    path.write_text("".join(lines), encoding="utf-8")


def write_config(clone: Path, paths: Iterable[str], groups: Iterable[str]) -> None:
    """setup.cfg, which mutmut reads."""
    tests = sorted({*_FIRST_TESTS, *(path for name in groups if name in GROUPS for path in GROUPS[name].tests)})
    left_out = [word for test in LEFT_OUT for word in ("--deselect", test)]
    values = {
        "process_isolation": ["forkserver"],
        "source_paths": ["src"],
        "only_mutate": sorted({*paths, "src/tandem/seeding.py"}),
        "also_copy": [path.name for path in clone.iterdir() if path.name not in ("src", "setup.cfg", ".git")],
        "pytest_add_cli_args_test_selection": tests,
        "pytest_add_cli_args": [
            "-m",
            "not slow",
            *(word for name in _PLUGINS for word in ("-p", f"no:{name}")),
            *left_out,
        ],
    }
    lines = ["[mutmut]", *(f"{key}={_value(words)}" for key, words in values.items())]
    (clone / "setup.cfg").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _value(words: Sequence[str]) -> str:
    return words[0] if words in (["forkserver"],) else "".join(f"\n    {word}" for word in words)


def mutmut(clone: Path, *words: str) -> None:
    """Run mutmut, which on a terminal shows itself how far it is. Ends the program where it fails."""
    (clone / "mutants/src").mkdir(
        parents=True, exist_ok=True
    )  # Python never looks again into a folder that was not there
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([f"{clone}/mutants/src", *_own_path()])}
    environment |= {"OMP_NUM_THREADS": "1"}
    shown = sys.stderr if sys.stderr.isatty() else None
    command = [sys.executable, "-c", "from mutmut.__main__ import cli; cli()", *words]
    code, printed = run_to_end(command, folder=clone, environment=environment, shown=shown)
    if code:
        sys.exit(f"error: mutmut failed: {(printed or 'see above')[-3000:]}")


def _own_path() -> list[str]:
    """What is on PYTHONPATH, but for this project's own modules, of which the copy has others."""
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and not _is_source(path)]


def _is_source(path: str) -> bool:
    return (Path(path) / "tandem").is_dir()


def results(clone: Path) -> dict[str, int | None]:
    """Name of each mutant -> how its tests ended, None where it was not tried."""
    found = dict[str, int | None]()
    for path in sorted((clone / "mutants").rglob("*.py.meta")):
        found |= json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
    return found


def changes(clone: Path) -> dict[str, tuple[str, str]]:
    """Name of each mutant -> the lines of its function that differ, as they were and as they became.

    As Python writes them back, without comments. Without the mutants that change the `strict` of a zip alone: it stops
    what cannot happen, columns of unequal length.
    """
    found = dict[str, tuple[str, str]]()
    for path in sorted((clone / "mutants").rglob("*.py.meta")):
        module = _module(path.relative_to(clone / "mutants/src").as_posix().removesuffix(".meta"))
        functions = _functions(path.with_suffix("").read_text(encoding="utf-8"))
        for name in json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]:
            original = functions[re.sub(r"__mutmut_[0-9]+$", "__mutmut_orig", name.removeprefix(f"{module}."))]
            was, becomes = _difference(original, functions[name.removeprefix(f"{module}.")])
            if re.sub(_STRICT, "", was) != re.sub(_STRICT, "", becomes):
                found[name] = was, becomes
    return found


def _module(path: str) -> str:
    return path.removesuffix(".py").replace("/", ".")


def _functions(code: str) -> dict[str, list[str]]:
    """Function or method -> its arguments, and the lines of its body."""
    nodes = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.FunctionDef))
    return {node.name: [ast.unparse(node.args), *"\n".join(map(ast.unparse, node.body)).split("\n")] for node in nodes}


def _difference(was: Sequence[str], becomes: Sequence[str]) -> tuple[str, str]:
    lines = [line for line in ndiff(was, becomes) if line[0] in "-+"]
    one, other = (" ".join(line[1:].strip() for line in lines if line[0] == sign) for sign in "-+")
    return one, other


def chosen(names: Iterable[str], number: int, seed: int) -> list[str]:
    """So many of the names, by the seed; the same ones stay chosen while others come and go."""
    order = sorted(names, key=lambda name: sha256(f"{seed}/{name}".encode()).hexdigest())
    return order[: number or None]


def mutant(name: str, change: tuple[str, str], code: int | None) -> Mutant:
    """The outcome of one. Ends the program where its tests neither passed nor failed."""
    if code not in _KILLED | _SURVIVED:
        sys.exit(f"error: the tests of {name} ended with {code}")
    module, _, function = re.sub(r"__mutmut_[0-9]+$", "", name).rpartition(".")
    written = function.removeprefix("xǁ").removeprefix("x_").replace("ǁ", ".")
    group = group_of(f"src/{module.replace('.', '/')}.py")
    return Mutant(group, f"{module}.{written}", *change, code in _KILLED)
