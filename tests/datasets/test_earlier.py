"""An output of ingest used again: files that have not changed are not decoded, and the bytes are those from nothing."""

import io
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from factories import ingest_settings
from planted_images import smooth_image, with_capture
from tandem.datasets.earlier import EarlierImages, load_earlier, save_record
from tandem.datasets.examples import SourceAnnotations
from tandem.datasets.formats.annotations import Annotation, Box
from tandem.datasets.ingest import ingest
from tandem.datasets.ingested import save_ingested
from tandem.datasets.settings import IngestSettings
from tandem.sources.settings import BoxPolicy

SETTINGS = ingest_settings(max_side_px=30)
CROPS = BoxPolicy("crop", 0.0, 4)


def png(seed: int, size: int = 40) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def run(root: Path, files: dict[str, bytes], output: str, *, crops: bool = False, **given: object) -> None:
    """Ingest these files of one class to a folder, with what is known of an earlier run."""
    tree, folder = root / f"files of {output}", root / output
    for name, data in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(data)
    boxes = (Box(0, 0, 0.5, 1), Box(0.5, 0, 0.5, 0.05)) if crops else (None,)
    annotations = [Annotation(name, "car", box) for name in files for box in boxes]
    source = SourceAnnotations(tree, annotations, CROPS if crops else None)
    folder.mkdir()
    save_ingested(ingest("yard", source, SETTINGS, folder=folder, workers=2, **given), folder)  # type: ignore[arg-type]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def earlier_of(root: Path, output: str, settings: IngestSettings = SETTINGS) -> EarlierImages:
    (root / "code.txt").touch()
    save_record(root / output, root / "record.json", SETTINGS, code=root / "code.txt")
    return load_earlier(root / output, root / "record.json", settings, code=root / "code.txt")


TAKEN = with_capture(smooth_image(7), "2024:05:01 10:11:12", format="PNG")
FIRST = {"a.png": png(1), "b.png": png(2), "copy of b.png": png(2), "bad.png": png(3)[:-60], "small.png": png(4, 20)}
SECOND = {"0.png": png(9), "b.png": png(2), "moved.png": png(1), "bad.png": png(3)[:-60], "c.png": png(8)}


@pytest.mark.parametrize("crops", [False, True])
def test_only_new_files_are_decoded_and_the_bytes_are_those_from_nothing(
    tmp_path: Path, decodes: Counter[bytes], crops: bool
) -> None:
    run(tmp_path, FIRST, "first", crops=crops)
    decodes.clear()
    run(tmp_path, SECOND, "second", crops=crops, earlier=earlier_of(tmp_path, "first"))
    if crops:  # whether a crop is too small is judged anew
        assert decodes == {png(9): 1, png(8): 1, png(2): 1, png(1): 1}
    else:
        assert decodes == {png(9): 1, png(8): 1}
    run(tmp_path, SECOND, "from nothing", crops=crops)
    assert contents(tmp_path / "second") == contents(tmp_path / "from nothing")


def test_after_a_change_of_settings_code_or_output_all_is_decoded(tmp_path: Path) -> None:
    run(tmp_path, FIRST, "first")
    known = SETTINGS, tmp_path / "first", tmp_path / "record.json", tmp_path / "code.txt"
    digest = next(iter(earlier_of(tmp_path, "first")._found))[0]

    def is_known(settings: IngestSettings = SETTINGS) -> bool:
        _, folder, record, code = known
        return load_earlier(folder, record, settings, code=code).get(digest, None) is not None

    assert is_known()
    assert not is_known(replace(SETTINGS, max_side_px=31))
    (tmp_path / "code.txt").write_text("other code")
    assert not is_known()
    (tmp_path / "code.txt").write_text("")
    assert is_known()
    images = tmp_path / "first/images.csv"
    images.write_text(images.read_text(encoding="utf-8").replace("40,40", "41,40", 1), encoding="utf-8")
    assert not is_known()
    (tmp_path / "record.json").unlink()
    assert not is_known()


def test_an_image_whose_stored_bytes_are_damaged_is_decoded_again(tmp_path: Path, decodes: Counter[bytes]) -> None:
    run(tmp_path, FIRST, "first")
    shard = tmp_path / "first/images-00000.tar"
    data = bytearray(shard.read_bytes())
    data[600] ^= 1  # of the first image
    shard.write_bytes(data)
    decodes.clear()
    run(tmp_path, FIRST, "second", earlier=earlier_of(tmp_path, "first"))
    assert decodes == {png(1): 1}
    run(tmp_path, FIRST, "from nothing")
    assert contents(tmp_path / "second") == contents(tmp_path / "from nothing")


def test_where_the_stored_images_are_gone_all_is_decoded_again(tmp_path: Path, decodes: Counter[bytes]) -> None:
    run(tmp_path, FIRST, "first")
    known = earlier_of(tmp_path, "first")
    (tmp_path / "first/images-00000.tar").unlink()
    decodes.clear()
    run(tmp_path, FIRST, "second", earlier=known)
    assert decodes == {png(1): 1, png(2): 1, png(4, 20): 1}


def test_what_a_file_states_of_its_capture_stays_when_it_is_not_decoded_again(
    tmp_path: Path, decodes: Counter[bytes]
) -> None:
    run(tmp_path, {"taken.png": TAKEN}, "first")
    decodes.clear()
    run(tmp_path, {"taken.png": TAKEN}, "second", earlier=earlier_of(tmp_path, "first"))
    assert not decodes
    assert b"2024-05-01T10:11:12,EOS 6D" in contents(tmp_path / "second")["found.csv"]
    assert contents(tmp_path / "second") == contents(tmp_path / "first")


def test_an_output_of_a_version_that_read_no_captures_is_not_used(tmp_path: Path) -> None:
    run(tmp_path, {"taken.png": TAKEN}, "first")
    assert len(earlier_of(tmp_path, "first")._found) == 1
    found = tmp_path / "first/found.csv"
    lines = (
        found.read_text(encoding="utf-8").replace(",captured_at,camera", "").replace(",2024-05-01T10:11:12,EOS 6D", "")
    )
    found.write_text(lines, encoding="utf-8")
    assert len(lines.splitlines()[0].split(",")) == len(lines.splitlines()[1].split(",")) == 6
    assert len(earlier_of(tmp_path, "first")._found) == 0
