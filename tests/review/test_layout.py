"""Images laid out as files: what is there is not written again, and what belongs to nobody goes."""

from pathlib import Path

from tandem.review.layout import lay_out


class Planted:
    """An image that counts how often it is read."""

    def __init__(self, data: bytes) -> None:
        self.data, self.num_reads = data, 0

    def read_bytes(self) -> bytes:
        self.num_reads += 1
        return self.data


def test_each_image_is_a_file_of_its_name_and_is_written_once(tmp_path: Path) -> None:
    images, names = [Planted(b"one"), Planted(b"two")], ["1.jpg", "2.png"]
    for _ in range(2):
        lay_out(images, names, tmp_path / "images")
        assert {path.name: path.read_bytes() for path in (tmp_path / "images").iterdir()} == {
            "1.jpg": b"one",
            "2.png": b"two",
        }
    assert [image.num_reads for image in images] == [1, 1]


def test_other_files_go_and_missing_ones_come_back(tmp_path: Path) -> None:
    (tmp_path / "3.jpg").write_bytes(b"of an earlier run")
    (tmp_path / ".1.jpg.partial").write_bytes(b"o")  # of a killed run
    lay_out([Planted(b"one"), Planted(b"two")], ["1.jpg", "2.png"], tmp_path)
    (tmp_path / "2.png").unlink()
    lay_out([Planted(b"one"), Planted(b"two")], ["1.jpg", "2.png"], tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"1.jpg": b"one", "2.png": b"two"}
