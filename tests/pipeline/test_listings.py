"""Listings of the code that a script runs, in a package made for it; test_structure checks those of this project."""

import hashlib
from pathlib import Path

import pytest

from tandem.pipeline.code.listings import Code, write_listings

FILES = {
    "src/tandem/__init__.py": "",
    "src/tandem/errors.py": "",
    "src/tandem/alone.py": "import json\n",
    "src/tandem/room/__init__.py": "",
    "src/tandem/room/door.py": "def enter():\n    from tandem.room.inner import cellar\n    return cellar\n",
    "src/tandem/room/window.py": "",
    "src/tandem/room/blocks.py": """
class Heavy:
    def load(self, name):
        with open(name):
            match name:
                case "a":
                    try:
                        pass
                    except OSError:
                        for _ in name:
                            from tandem import alone
""",
    "src/tandem/room/inner/__init__.py": "",
    "src/tandem/room/inner/cellar.py": "import tandem.errors\nfrom tandem.room import door\n",
    "stages/plain.py": "from tandem import alone\n",
    "stages/deep.py": "from tandem.room.door import enter\n",
    "stages/_beside.py": "from tandem import alone\n",
    "stages/beside.py": "import json\nfrom _beside import alone\n",
    "stages/blocks.py": "if True:\n    pass\nelse:\n    import tandem.room.blocks\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def listed(root: Path, stage: str) -> list[str]:
    return [line.split("  ")[1] for line in Code(root).listing(root / "stages" / f"{stage}.py").splitlines()]


def test_a_script_runs_the_modules_that_it_imports_and_the_packages_on_the_way(root: Path) -> None:
    assert listed(root, "plain") == ["src/tandem/__init__.py", "src/tandem/alone.py", "stages/plain.py"]


def test_imports_are_followed_within_functions_and_in_circles_but_not_to_neighbors(root: Path) -> None:
    assert listed(root, "deep") == [
        "src/tandem/__init__.py",
        "src/tandem/errors.py",
        "src/tandem/room/__init__.py",
        "src/tandem/room/door.py",
        "src/tandem/room/inner/__init__.py",
        "src/tandem/room/inner/cellar.py",
        "stages/deep.py",
    ]


def test_imports_are_found_in_every_kind_of_block(root: Path) -> None:
    assert {"src/tandem/room/blocks.py", "src/tandem/alone.py"} < set(listed(root, "blocks"))


def test_a_module_beside_a_script_counts_with_what_it_imports_and_is_no_script_itself(root: Path) -> None:
    names = ["src/tandem/__init__.py", "src/tandem/alone.py"]
    assert listed(root, "beside") == [*names, "stages/_beside.py", "stages/beside.py"]
    (root / "src/tandem/json.py").write_text("")  # beside a module of the package, where Python does not look
    assert listed(root, "plain") == ["src/tandem/__init__.py", "src/tandem/alone.py", "stages/plain.py"]


def test_a_line_is_one_of_sha256sum(root: Path) -> None:
    digest = hashlib.sha256(FILES["stages/plain.py"].encode()).hexdigest()
    assert f"{digest}  stages/plain.py" in Code(root).listing(root / "stages" / "plain.py").splitlines()


def test_each_script_has_a_listing_that_changes_with_what_it_runs_alone(root: Path) -> None:
    folder = root / "code"
    write_listings(root / "stages", folder, root=root)
    before = {path.name: path.read_text() for path in folder.iterdir()}
    assert set(before) == {"plain.txt", "deep.txt", "beside.txt", "blocks.txt"}
    (root / "src/tandem/room/window.py").write_text("# changed")
    write_listings(root / "stages", folder, root=root)
    assert {path.name: path.read_text() for path in folder.iterdir()} == before
    (root / "src/tandem/errors.py").write_text("# changed")
    write_listings(root / "stages", folder, root=root)
    assert [name for name in before if (folder / name).read_text() != before[name]] == ["deep.txt"]
