"""Nothing that git or DVC obeys, and nothing that a tool left behind, is data; all else is."""

import pytest

from tandem.sources.unpacking.litter import litter, litter_in_words


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".dvcignore", ".dvcignore"),
        ("repo/data/.dvcignore", ".dvcignore"),
        ("./.dvc/config", ".dvc/"),
        ("repo/.DVC/tmp/lock", ".DVC/"),
        ("dvc.yaml", "dvc.yaml"),
        ("repo/DVC.lock", "DVC.lock"),
        ("images.dvc", "images.dvc"),
        ("car/1.jpg.dvc", "1.jpg.dvc"),
        ("sub/.git", ".git"),  # of a submodule, a file
        (".gitignore", ".gitignore"),
        ("car/.gitattributes", ".gitattributes"),
        (".gitmodules", ".gitmodules"),
        ("repo/.git/objects/3f/ab", ".git/"),
        ("car/.ipynb_checkpoints/1-checkpoint.jpg", ".ipynb_checkpoints/"),
        (".idea/workspace.xml", ".idea/"),
        (".Trash-1000/files/1.jpg", ".Trash-1000/"),
        ("__MACOSX/car/._1.jpg", "__MACOSX/"),
        ("car/@eaDir/1.jpg/SYNOPHOTO_THUMB_XL.jpg", "@eaDir/"),
        ("$RECYCLE.BIN/1.jpg", "$RECYCLE.BIN/"),
        ("car/._1.jpg", "._1.jpg"),
        ("car/Thumbs.db", "Thumbs.db"),
        ("car/desktop.ini", "desktop.ini"),
    ],
)
def test_litter_is_known_by_a_folder_above_or_by_name(path: str, found: str) -> None:
    assert litter(path) == found


@pytest.mark.parametrize(
    "path",
    ["1.jpg", "./1.jpg", "../1.jpg", "car/.1.jpg", "git/1.jpg", "dvc/yaml.jpg", "x.dvc/1.jpg", "a/Thumbs.db.jpg",
     "dvc.yaml/1.jpg", "macosx/1.jpg", "car/dvc.yaml.txt", "", ".", "..."],
)  # fmt: skip
def test_data_is_no_litter(path: str) -> None:
    assert litter(path) == ""


def test_what_is_left_out_is_said_in_one_clause() -> None:
    assert litter_in_words({}) == ""
    assert litter_in_words({".dvcignore": 1}) == "1 file is left out as litter (.dvcignore)"
    counts = {".git/": 62, "Thumbs.db": 2, "x.dvc": 1}
    assert litter_in_words(counts) == "65 files are left out as litter (62 of .git/, 2 x Thumbs.db, x.dvc)"
