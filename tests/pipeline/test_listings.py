"""Listings of the code that a script runs, in a package made for it; test_structure checks those of this project."""

import ast
import hashlib
import sysconfig
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


@pytest.mark.parametrize(
    "statement",
    [
        b"import json, tandem.alone as one, os\n",
        b"import json; import tandem.alone\n",
        b"if True: import tandem.alone\n",
        b"from tandem import (  # a comment (with brackets), a comma\n    errors,  # and, one\n    alone as one,\n)\n",
        b"import json as js, tandem . alone as one\n",
        b"from tandem import errors, \\\n    alone\n",
        b"from tandem.\\\n    alone import \\\n    one\n",
        b"from tandem . alone import one\r\n",
        b"x = '#'; from tandem.alone import(one)\n",
        b"\xef\xbb\xbfimport tandem.alone\n",
        b"import json\rimport tandem.alone\r",
        b"try:\n\tfrom tandem.alone import*\nexcept ImportError: pass\n",
    ],
)
def test_an_import_is_found_however_it_is_written(statement: bytes, root: Path) -> None:
    ast.parse(statement)  # which is code
    (root / "stages/plain.py").write_bytes(statement)
    assert "src/tandem/alone.py" in listed(root, "plain")


def test_no_import_of_the_standard_library_is_overlooked(root: Path) -> None:
    modules = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[::3]
    assert len(modules) > 50
    for module in modules:
        imported = set()
        for node in ast.walk(ast.parse(module.read_bytes())):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module)
        (root / "stages/plain.py").write_bytes(module.read_bytes())
        for name in imported:  # each is there to be imported from beside the script
            path = root.joinpath("stages", *name.split(".")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        own = {f"stages/{name.replace('.', '/')}.py" for name in imported}
        assert own <= {"stages/plain.py", *listed(root, "plain")}, module


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
