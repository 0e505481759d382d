"""What is changed on purpose fits the code of today, and what survives is counted, listed or shown."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from mutants import COLUMNS, summed_up
from mutation import planted
from mutation.groups import GROUPS, LEFT_OUT, STAGES, Mutant, group_of
from mutation.mutmut_runs import changes, chosen, modules, mutant, undecorate, write_config
from mutation.plants import PLANTS, Plant

ROOT = Path(__file__).parents[2]
CODE = '''
class Split:
    """Images."""

    @cached_property
    def rows(self) -> int:
        """How many."""
        if self.ids:

            return len(self.ids)
        return 0

    @property
    def last(self):
        return self.ids[-1]


@contextmanager
def opened(
    path,
) -> object:
    with path.open() as file:
        yield file


NUMBER = 3
'''


def test_what_is_planted_stands_once_in_the_code_of_today():
    texts = {path: (ROOT / path).read_text(encoding="utf-8") for path in {plant.path for plant in PLANTS}}
    assert [plant for plant in PLANTS if texts[plant.path].count(plant.was) != 1] == []
    assert len(set(PLANTS)) == len(PLANTS) > 100


def test_the_tests_and_modules_of_the_groups_are_there_and_no_module_is_in_two():
    for group in (*GROUPS.values(), STAGES):
        assert [path for path in group.tests if not (ROOT / path).exists()] == []
        assert all(list(ROOT.glob(pattern)) for pattern in group.modules)
    for test in LEFT_OUT:
        path, name = test.split("::")
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8")
    found = modules(ROOT)
    assert {group_of(path) for path in found} == set(GROUPS)
    with pytest.raises(KeyError):
        group_of("src/tandem/cli/main.py")


def test_each_plant_is_tried_on_the_tests_of_its_module_and_then_of_its_group():
    own, group = planted.tests_of(ROOT, "src/tandem/training/fitting/logistic.py")
    assert own == ["tests/training/test_logistic.py"]
    assert group == GROUPS["training"].tests
    assert list(planted.tests_of(ROOT, "stages/train.py")) == [STAGES.tests]


def test_a_plant_is_in_the_file_inside_the_block_alone_and_must_fit(tmp_path):
    (path := tmp_path / "a.py").write_text("limit = 3\n")
    with planted.replaced(path, Plant("a.py", "limit = 3", "limit = 4")):
        assert path.read_text() == "limit = 4\n"
    assert path.read_text() == "limit = 3\n"
    with (
        pytest.raises(SystemExit, match=r"'limit = 5' stands 0 times in a\.py"),
        planted.replaced(path, Plant("a.py", "limit = 5", "")),
    ):
        pass


def test_properties_and_context_managers_lose_their_decorators_and_stay_what_they_are(tmp_path):
    (path := tmp_path / "a.py").write_text(
        "from contextlib import contextmanager\nfrom functools import cached_property\n" + CODE
    )
    undecorate(path)
    text = path.read_text()
    assert "@" not in text
    exec(text, module := {})
    split = module["Split"]()
    split.ids = [4, 5]
    assert (split.rows, split.last) == (2, 5)
    with module["opened"](path) as file:
        assert file.read() == text


def test_the_changes_of_a_mutated_file_are_read_but_for_those_of_a_zip_s_strict(tmp_path):
    mutated = tmp_path / "mutants/src/tandem/files.py"
    mutated.parent.mkdir(parents=True)
    body = "def x_f__mutmut_{}(a, b):\n    # why\n    return list(zip(a, b{})) + {}\n\n\n"
    variants = [
        ("orig", ", strict=True", "[1]"),
        (1, ", strict=False", "[1]"),
        (2, ", ", "[1]"),
        (3, ", strict=True", "[2]"),
    ]
    mutated.write_text("".join(body.format(*variant) for variant in variants))
    ended = {f"tandem.files.x_f__mutmut_{number}": 0 for number in (1, 2, 3)}
    Path(f"{mutated}.meta").write_text(json.dumps({"exit_code_by_key": ended}))
    found = changes(tmp_path)
    assert found == {
        "tandem.files.x_f__mutmut_3": (
            "return list(zip(a, b, strict=True)) + [1]",
            "return list(zip(a, b, strict=True)) + [2]",
        )
    }
    survivor = mutant("tandem.files.x_f__mutmut_3", found["tandem.files.x_f__mutmut_3"], 0)
    assert survivor == Mutant("files", "tandem.files.f", *found["tandem.files.x_f__mutmut_3"], False)
    assert mutant("tandem.files.xǁAǁb__mutmut_3", ("", ""), 1)[1::3] == ("tandem.files.A.b", True)
    with pytest.raises(SystemExit, match="ended with 4"):
        mutant("tandem.files.x_f__mutmut_3", ("", ""), 4)


def test_a_seed_chooses_the_same_mutants_while_others_come_and_go():
    names = [f"name{number}" for number in range(100)]
    few = chosen(names, 10, 0)
    assert len(set(few)) == 10
    assert [name for name in chosen([*names, "one more"], 11, 0) if name in few] == few
    assert chosen(names, 10, 1) != few
    assert sorted(chosen(names, 0, 0)) == sorted(names)


def test_mutmut_s_configuration_names_modules_tests_and_those_that_are_left_out(tmp_path):
    (tmp_path / "params.yaml").touch()
    write_config(tmp_path, ["src/tandem/files.py"], ["splits without leakage", "stages"])
    lines = (tmp_path / "setup.cfg").read_text().splitlines()
    for line in ("process_isolation=forkserver", "    src/tandem/files.py", "    tests/curation", "    params.yaml"):
        assert line in lines
    assert lines.count("    --deselect") == len(LEFT_OUT)


def test_survivors_that_are_not_listed_are_shown_and_the_equivalent_do_not_count(capsys):
    killed = [Mutant("files", "f", "a", "b", True)] * 18
    alive = [Mutant("files", "f", "a", change, False) for change in ("c", "d", "e")]
    row = dict(zip(COLUMNS, ("f", "a", "c", "equivalent", "the same"), strict=True))
    known = [row, row | {"becomes": "d", "kind": "accepted", "reason": "costs more than it is worth"}]
    figures, details = summed_up(["files"], killed + alive, known)
    assert details["groups"] == {"files": {"tried": 21, "equivalent": 1, "killed": 18}}
    assert [figure.value for figure in figures] == [0.9, 1]
    assert not any(figure.is_reached for figure in figures)
    assert "not listed: f\n  - a\n  + e" in capsys.readouterr().out
    assert all(figure.is_reached for figure in summed_up(["files"], killed + alive[:1], known)[0])
