import pytest
from PIL import Image

from tandem.downloading import KINDS, download
from tandem.errors import SourceError
from tandem.files import sha256, tree_sha256


def test_a_folder_comes_with_a_receipt_of_what_it_holds(tmp_path):
    (tmp_path / "mine" / "car").mkdir(parents=True)
    Image.new("RGB", (9, 9), "red").save(tmp_path / "mine" / "car" / "1.png")
    source = {"kind": "archive", "archive": {"path": str(tmp_path / "mine")}, "format": "auto"}
    receipt = download("mine", source, target=tmp_path / "files")
    assert (receipt.source, receipt.kind, receipt.num_files) == ("mine", "archive", 1)
    assert receipt.sha256 == tree_sha256(tmp_path / "files")
    assert sha256(tmp_path / "files" / "car" / "1.png") == sha256(tmp_path / "mine" / "car" / "1.png")


@pytest.mark.parametrize("kind", ["kaggle", "roboflow"])
def test_a_kind_that_cannot_be_downloaded_yet_says_so_and_what_to_do(tmp_path, kind):
    with pytest.raises(
        SourceError, match=rf"source web is of kind '{kind}', .* not .*yet|cannot download yet"
    ) as error:
        download("web", {"kind": kind, kind: {}}, target=tmp_path / "files")
    assert "kind: archive" in str(error.value)
    assert not (tmp_path / "files").exists()


def test_an_unknown_manner_of_the_sample_leaves_nothing_behind(tmp_path):
    with pytest.raises(SourceError, match="'flickr'"):
        download("web", {"kind": "sample", "sample": {"manner": "flickr", "seed": 0}}, target=tmp_path / "files")
    assert list(tmp_path.iterdir()) == []


def test_every_kind_that_works_is_named_in_the_message():
    assert set(KINDS) == {"sample", "archive"}
