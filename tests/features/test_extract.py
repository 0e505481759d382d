"""Rows against a direct forward pass, image by image."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision import models

from tandem.errors import DataError
from tandem.features.backbones import backbone as backbones
from tandem.features.backbones.backbone import Backbone
from tandem.features.engines import engine as engines
from tandem.features.extract import _AHEAD_A_WORKER, _BATCHES_AHEAD, extract
from tandem.images.transforms import load_transformed, resize_image

SIZE = 48
MOBILENET = Path(__file__).resolve().parents[3] / "shared" / "data" / "weights" / "mobilenet_v2-imagenet.pth"


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small gain nothing from threads, and lose much when other work has the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return backbones.load_backbone("shufflenet_v2_x0_5", weights="random", sha256=None, seed=0, size_px=SIZE)


def drawn(seed: int, size: tuple[int, int] = (80, 60), mode: str = "RGB") -> Image.Image:
    """A smooth image of random colors."""
    colors = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(colors).resize(size, Image.Resampling.BICUBIC).convert(mode)


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Eleven images of several sizes and modes, in an order that is not that of their names."""
    modes = ["RGB", "L", "RGBA", "P", "1", "CMYK", "LA", "RGB", "I;16", "RGB", "YCbCr"]
    found = []
    for number, mode in enumerate(modes):
        path = tmp_path / f"{97 * number % 11:02}.{'tiff' if mode in ('CMYK', 'YCbCr') else 'png'}"
        drawn(number, (50 + 9 * number, 90 - 3 * number), mode).save(path)
        found.append(path)
    return found


def run(paths: list[Path], backbone: Backbone, **options: object) -> Iterator[np.ndarray]:
    chosen = {"size_px": SIZE, "resize": "squash", "batch_size": 4, "workers": 2, **options}
    engine = engines.start_engine(
        backbone, engine="reference", size_px=chosen["size_px"], batch_size=chosen["batch_size"], device="cpu"
    )
    return extract(paths, engine=engine, name=backbone.name, **chosen)


def direct(image: Image.Image, net: nn.Module) -> np.ndarray:
    """The features of one image, squashed, in a forward pass of its own."""
    pixels = resize_image(np.array(image.convert("RGB")), size_px=SIZE, resize="squash")
    with torch.no_grad():
        return net(torch.from_numpy(pixels)[None])[0].numpy()


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


@pytest.mark.parametrize(("batch_size", "workers"), [(1, 1), (4, 2), (11, 3), (64, 1)])
def test_rows_are_those_of_a_forward_pass_a_image_in_the_order_of_the_paths(
    batch_size: int, workers: int, backbone: Backbone, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{97 * number % 11:02}.png" for number in range(11)]
    for number, path in enumerate(paths):
        drawn(number, (50 + 9 * number, 90 - 3 * number)).save(path)
    batches = list(run(paths, backbone, batch_size=batch_size, workers=workers))
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    rows = np.concatenate(batches)[:, 0]
    expected = np.stack([direct(Image.open(path), backbone.net) for path in paths])
    assert rows.dtype == np.float32
    assert rows.shape == (11, backbone.dim)
    assert np.allclose(rows, expected, rtol=1e-4, atol=1e-5)
    gaps = np.abs(expected[:, None] - expected[None]).max(2)[~np.eye(11, dtype=bool)]
    assert gaps.min() > 1e-2  # a wrong order would be seen


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_each_view_is_a_forward_pass_of_its_own_whatever_the_batches(
    batch_size: int, backbone: Backbone, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for number, path in enumerate(paths):
        drawn(number).save(path)
    rows = np.concatenate(list(run(paths, backbone, batch_size=batch_size, views=3)))
    seen = (load_transformed(path.read_bytes(), size_px=SIZE, resize="squash", views=3) for path in paths)
    with torch.no_grad():
        expected = np.stack([backbone.net(torch.from_numpy(each)).numpy() for each in seen])
    assert rows.shape == (5, 3, backbone.dim)
    assert np.allclose(rows, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(rows[:, 0] - rows[:, 1]).max() > 1e-2


def test_images_of_all_modes_go_through_one_batch(paths: list[Path], backbone: Backbone) -> None:
    rows = np.concatenate(list(run(paths, backbone, batch_size=11)))
    assert rows.shape == (11, 1, backbone.dim)
    assert np.isfinite(rows).all()


def test_the_same_images_give_the_same_bytes(paths: list[Path], backbone: Backbone) -> None:
    one, other = (np.concatenate(list(run(paths, backbone, workers=workers))) for workers in (1, 3))
    assert one.tobytes() == other.tobytes()


def test_squash_and_crop_are_different_inputs(paths: list[Path], backbone: Backbone) -> None:
    squash, crop = (np.concatenate(list(run(paths, backbone, resize=resize))) for resize in ("squash", "crop"))
    assert not np.allclose(squash, crop, atol=1e-2)


def test_no_path_gives_no_batch(backbone: Backbone) -> None:
    assert list(run([], backbone)) == []


def test_extraction_leaves_the_backbone_bit_identical(paths: list[Path], backbone: Backbone) -> None:
    list(run(paths, backbone))
    assert backbones.state_digest(backbone.net) == backbone.digest


def test_a_file_that_is_missing_stops_the_pass_only_when_it_is_reached(backbone: Backbone, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number:02}.png" for number in range(40)]
    for number, path in enumerate(paths[:30]):
        drawn(number).save(path)
    batches = run(paths, backbone, batch_size=2)
    rows = np.concatenate([next(batches) for _ in range(15)])
    assert len(rows) == 30
    with pytest.raises(DataError, match=r"30\.png cannot be read any more \(.*No such file.*\); run the merge stage"):
        next(batches)


def test_only_a_few_batches_are_read_ahead(backbone: Backbone, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number:02}.png" for number in range(40)]
    for path in paths:
        drawn(0).save(path)
    batches = run(paths, backbone, batch_size=2, workers=1)
    first = next(batches)
    unread = paths[2 + max(2 * _BATCHES_AHEAD, _AHEAD_A_WORKER) :]
    for path in unread:  # whatever was read ahead has the pixels of before
        drawn(1).save(path)
    rows = np.concatenate([first, *batches])[:, 0]
    assert np.allclose(rows[-len(unread) :], direct(drawn(1), backbone.net), rtol=1e-4, atol=1e-5)
    assert np.allclose(rows[:2], direct(drawn(0), backbone.net), rtol=1e-4, atol=1e-5)


def test_a_file_that_is_damaged_is_an_error_that_names_it(paths: list[Path], backbone: Backbone) -> None:
    paths[4].write_bytes(paths[4].read_bytes()[:60])
    with pytest.raises(DataError, match=rf"{paths[4].name} cannot be read any more \(.*\); run the merge stage again"):
        list(run(paths, backbone))


@pytest.mark.skipif(not MOBILENET.is_file(), reason="the MobileNetV2 weights do not lie beside the repository")
def test_the_crop_is_what_torchvision_does_with_its_imagenet_weights(tmp_path: Path) -> None:
    net = models.mobilenet_v2()
    net.load_state_dict(torch.load(MOBILENET, weights_only=True))
    net.classifier = nn.Identity()
    transform = models.MobileNet_V2_Weights.IMAGENET1K_V1.transforms()
    paths, expected = [], []
    for number, size in enumerate([(300, 300), (335, 200), (201, 333), (150, 171), (640, 427)]):
        paths.append(tmp_path / f"{number}.png")
        drawn(number, size).save(paths[-1])
        with torch.no_grad():
            expected.append(net.eval()(transform(drawn(number, size))[None])[0].numpy())
    backbone = backbones.load_backbone(
        "mobilenet_v2", weights=str(MOBILENET), sha256=sha256(MOBILENET.read_bytes()).hexdigest(), seed=0, size_px=224
    )
    crop, squash = (
        np.concatenate(list(run(paths, backbone, size_px=224, resize=resize))) for resize in ("crop", "squash")
    )
    assert cosines(crop[:, 0], np.stack(expected)).min() > 0.999  # torch and Pillow round a few pixels differently
    assert cosines(squash[:, 0], np.stack(expected)).min() < 0.99
