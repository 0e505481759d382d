"""The promises, the modules that they rest on, and the tests that must notice a change of these modules."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import NamedTuple


class Group(NamedTuple):
    """modules, tests: paths in the repository, the modules with `*`."""

    modules: tuple[str, ...]
    tests: tuple[str, ...]


class Mutant(NamedTuple):
    """function: or file. was, becomes: what differs."""

    group: str
    function: str
    was: str
    becomes: str
    is_killed: bool


_STAGES = "tests/project/test_stage_numbers.py"

GROUPS: Mapping[str, Group] = {
    "splits without leakage": Group(
        ("src/tandem/curation/*.py", "src/tandem/tables/splits.py", "src/tandem/images/hashing.py"),
        ("tests/curation", "tests/tables/test_splits.py", "tests/images/test_hashing.py", _STAGES),
    ),
    "near duplicates": Group(
        ("src/tandem/curation/duplicates/*.py", "src/tandem/curation/duplicates/by_features/*.py"), ("tests/curation",)
    ),
    "training": Group(
        ("src/tandem/training/*.py", "src/tandem/training/fitting/*.py", "src/tandem/seeding.py"),
        ("tests/training", "tests/test_seeding.py", _STAGES),
    ),
    "scores": Group(("src/tandem/evaluation/*.py",), ("tests/evaluation", _STAGES)),
    "labels and tables": Group(
        ("src/tandem/datasets/labels.py", "src/tandem/tables/*.py"), ("tests/datasets/test_labels.py", "tests/tables")
    ),
    "files": Group(
        ("src/tandem/files.py", "src/tandem/sources/receipts.py", "src/tandem/sources/transfer/checksums.py"),
        ("tests/test_files.py", "tests/tables", "tests/sources/test_receipts.py", "tests/sources/test_checksums.py"),
    ),
}
# Not in the tables that mutmut changes, but planted by hand.
STAGES = Group(("stages/*.py",), (_STAGES, "tests/curation/test_sabotage.py"))

# These start a Python of their own, in which mutmut finds no configuration.
LEFT_OUT = (
    "tests/training/test_linear_fit.py::test_a_head_waits_for_no_import_that_it_does_not_need",
    "tests/training/test_loggers.py::test_neither_package_is_imported_without_a_log_or_before_the_first_epoch",
)


def group_of(path: str) -> str:
    """The name of the first group that a module belongs to. Raises KeyError where it is in none."""
    for name, group in GROUPS.items():
        if any(PurePath(path).match(pattern) for pattern in group.modules):
            return name
    raise KeyError(path)
