"""Features of files against a direct forward pass, image by image."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision import models

from embeddings import cosines, joined
from factories import RANDOM_WEIGHTS, extract_settings
from networks import file_weights
from tandem.features.backbones.backbone import Backbone, load_backbone, state_digest
from tandem.features.engines.engine import start_engine
from tandem.features.extract import extract, extraction_meta
from tandem.features.settings import ExtractSettings
from tandem.images.transforms import load_transformed, resize_image

SETTINGS = extract_settings(size_px=48)
MOBILENET = Path(__file__).resolve().parents[3] / "shared" / "data" / "weights" / "mobilenet_v2-imagenet.pth"


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return load_backbone("shufflenet_v2_x0_5", RANDOM_WEIGHTS, seed=0, size_px=SETTINGS.size_px)


def smooth(seed: int, size: tuple[int, int] = (80, 60), mode: str = "RGB") -> Image.Image:
    """An image of random colors."""
    colors = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(colors).resize(size, Image.Resampling.BICUBIC).convert(mode)


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Eleven images of several sizes and modes, in an order that is not that of their names."""
    modes = ["RGB", "L", "RGBA", "P", "1", "CMYK", "LA", "RGB", "I;16", "RGB", "YCbCr"]
    paths = []
    for number, mode in enumerate(modes):
        path = tmp_path / f"{97 * number % 11:02}.{'tiff' if mode in ('CMYK', 'YCbCr') else 'png'}"
        smooth(number, (50 + 9 * number, 90 - 3 * number), mode).save(path)
        paths.append(path)
    return paths


def run(
    paths: list[Path],
    backbone: Backbone,
    *,
    settings: ExtractSettings = SETTINGS,
    batch_size: int = 4,
    workers: int = 2,
) -> Iterator[np.ndarray]:
    engine = start_engine(backbone, engine="reference", size_px=settings.size_px, batch_size=batch_size, device="cpu")
    return extract(paths, engine=engine, settings=settings, batch_size=batch_size, workers=workers, name=backbone.name)


def forward(image: Image.Image, net: nn.Module) -> np.ndarray:
    """The features of one image, squashed, in a forward pass of its own."""
    pixels = resize_image(
        np.array(image.convert("RGB")), size_px=SETTINGS.size_px, resize="squash", interpolation="bilinear"
    )
    with torch.no_grad():
        return net(torch.from_numpy(pixels)[None])[0].numpy()


@pytest.mark.parametrize(("batch_size", "workers"), [(1, 1), (4, 2), (11, 3), (64, 1)])
def test_features_are_those_of_a_forward_pass_for_each_image_in_the_order_of_the_paths(
    batch_size: int, workers: int, backbone: Backbone, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{97 * number % 11:02}.png" for number in range(11)]
    for number, path in enumerate(paths):
        smooth(number, (50 + 9 * number, 90 - 3 * number)).save(path)
    batches = list(run(paths, backbone, batch_size=batch_size, workers=workers))
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    features = joined(batches)[:, 0]
    expected = np.stack([forward(Image.open(path), backbone.net) for path in paths])
    assert features.dtype == np.float32
    assert features.shape == (11, backbone.dim)
    assert np.allclose(features, expected, rtol=1e-4, atol=1e-5)
    gaps = np.abs(expected[:, None] - expected[None]).max(2)[~np.eye(11, dtype=bool)]
    assert gaps.min() > 1e-2  # a wrong order would be seen


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_each_tta_view_is_a_forward_pass_of_its_own_whatever_the_batches(
    batch_size: int, backbone: Backbone, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for number, path in enumerate(paths):
        smooth(number).save(path)
    settings = extract_settings(size_px=48, tta_views=3)
    features = joined(run(paths, backbone, settings=settings, batch_size=batch_size))
    views = (
        load_transformed(path.read_bytes(), size_px=48, resize="squash", interpolation="bilinear", tta_views=3)
        for path in paths
    )
    with torch.no_grad():
        expected = np.stack([backbone.net(torch.from_numpy(each)).numpy() for each in views])
    assert features.shape == (5, 3, backbone.dim)
    assert np.allclose(features, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(features[:, 0] - features[:, 1]).max() > 1e-2


def test_images_of_all_modes_go_through_one_batch(paths: list[Path], backbone: Backbone) -> None:
    features = joined(run(paths, backbone, batch_size=11))
    assert features.shape == (11, 1, backbone.dim)
    assert np.isfinite(features).all()


def test_the_same_images_give_the_same_bytes(paths: list[Path], backbone: Backbone) -> None:
    one, other = (joined(run(paths, backbone, workers=workers)) for workers in (1, 3))
    assert one.tobytes() == other.tobytes()


def test_squash_and_crop_are_different_inputs(paths: list[Path], backbone: Backbone) -> None:
    squash, crop = (
        joined(run(paths, backbone, settings=extract_settings(size_px=48, resize=resize)))
        for resize in ("squash", "crop")
    )
    assert not np.allclose(squash, crop, atol=1e-2)


def test_no_path_gives_no_batch(backbone: Backbone) -> None:
    assert list(run([], backbone)) == []


def test_extraction_leaves_the_backbone_bit_identical(paths: list[Path], backbone: Backbone) -> None:
    list(run(paths, backbone))
    assert state_digest(backbone.net) == backbone.digest


def test_what_is_written_beside_the_features_says_how_they_were_made(backbone: Backbone) -> None:
    made = {"weights_sha256": backbone.digest, "engine": "torch float32"}
    assert extraction_meta(backbone.name, RANDOM_WEIGHTS, SETTINGS, **made) == {
        "backbone": "shufflenet_v2_x0_5",
        "weights": "random",
        "weights_sha256": backbone.digest,
        "engine": "torch float32",
        "size_px": 48,
        "resize": "squash",
        "interpolation": "bilinear",
        "tta_views": 1,
    }


@pytest.mark.skipif(not MOBILENET.is_file(), reason="the MobileNetV2 weights do not lie beside the repository")
def test_the_crop_is_what_torchvision_does_with_its_imagenet_weights(tmp_path: Path) -> None:
    net = models.mobilenet_v2()
    net.load_state_dict(torch.load(MOBILENET, weights_only=True))
    net.classifier = nn.Identity()
    transform = models.MobileNet_V2_Weights.IMAGENET1K_V1.transforms()
    paths, expected = [], []
    for number, size in enumerate([(300, 300), (335, 200), (201, 333), (150, 171), (640, 427)]):
        paths.append(tmp_path / f"{number}.png")
        smooth(number, size).save(paths[-1])
        with torch.no_grad():
            expected.append(net.eval()(transform(smooth(number, size))[None])[0].numpy())
    backbone = load_backbone("mobilenet_v2", file_weights(MOBILENET), seed=0, size_px=224)
    crop, squash = (
        joined(run(paths, backbone, settings=extract_settings(size_px=224, resize=resize)))
        for resize in ("crop", "squash")
    )
    assert cosines(crop[:, 0], np.stack(expected)).min() > 0.999  # torch and Pillow round a few pixels differently
    assert cosines(squash[:, 0], np.stack(expected)).min() < 0.99
