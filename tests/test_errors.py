"""The tree of errors is the one in its docstring, and the only one."""

import ast
import re
from pathlib import Path

import pytest

from tandem import errors

SRC = Path(errors.__file__).parent


def documented_tree() -> dict[str, str]:
    """Class -> parent, read from the docstring: four columns a level."""
    parents: dict[str, str] = {}
    branch: list[str] = ["Exception"]
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"(?P<indent>(?:[ |]   )*)(?P<mark>\+-- )?(?P<name>[A-Z]\w+)  +\S", line)
        if match:
            depth = len(match["indent"]) // 4 + bool(match["mark"])
            parents[match["name"]] = branch[depth]
            branch[depth + 1 :] = [match["name"]]
    return parents


def test_the_classes_are_those_of_the_docstring() -> None:
    defined = {
        name: value.__base__.__name__
        for name, value in vars(errors).items()
        if isinstance(value, type) and value.__base__
    }
    assert documented_tree() == defined
    assert len(defined) > 5


def error_classes(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    ends = ("Error", "Exception", "Warning", "Exit", "Interrupt", *documented_tree())
    return [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base).endswith(ends) for base in node.bases)
    ]


@pytest.mark.parametrize(
    "path", sorted(set(SRC.rglob("*.py")) - {SRC / "errors.py"}), ids=lambda path: path.relative_to(SRC).as_posix()
)
def test_no_other_module_defines_an_error(path: Path) -> None:
    assert error_classes(path) == []


def test_the_search_for_errors_finds_them() -> None:
    assert set(error_classes(SRC / "errors.py")) == set(documented_tree())


def test_a_corrupt_image_keeps_its_reason_beside_its_message() -> None:
    error = errors.CorruptImageError("truncated", "the data ends early")
    assert (error.reason, str(error)) == ("truncated", "the data ends early")
    assert isinstance(error, errors.PipelineError)
