"""What the bytes of features depend on, their image apart: settings, weights, code, libraries and the machine.

Known without building a network or loading a library, so that features which are there already cost neither.
"""

from tandem.cache.recipe import circumstances
from tandem.features.settings import RANDOM, BackboneSettings, ExtractSettings

_CODE = ("features", "images", "seeding.py")  # of the package: what turns an image's bytes into features
_LIBRARIES = (
    "torch", "torchvision", "timm", "openvino", "onnxruntime", "numpy", "ml-dtypes", "pillow", "simplejpeg", "pi-heif",
)  # fmt: skip


def backbone_recipe(
    name: str, weights: BackboneSettings, settings: ExtractSettings, *, device: str, batch_size: int
) -> dict[str, object]:
    """Of the features of a backbone. device, batch_size: of runtime."""
    return {
        **common_recipe(settings, device=device, batch_size=batch_size),
        **network_recipe(name, weights),
        "weights": weights.sha256 or weights.weights,
        "seed": settings.seed if weights.weights == RANDOM else None,
        "engine": settings.engine,
    }


def network_recipe(name: str, weights: BackboneSettings) -> dict[str, object]:
    """Of what a backbone computes, its weights apart: a network that ends at another layer has the same ones."""
    return {
        "provider": weights.provider,
        "own_size_px": weights.size_px,
        "own_interpolation": weights.interpolation,
        "layer": weights.layer,
        "pooling": weights.pooling,
        "architecture": weights.architecture or name,
    }


def common_recipe(settings: ExtractSettings, *, device: str, batch_size: int) -> dict[str, object]:
    """Of the features of any network. batch_size: on which the order of a pass's sums depends."""
    return {
        "size_px": settings.size_px,
        "resize": settings.resize,
        "interpolation": settings.interpolation,
        "tta_views": settings.tta_views,
        "device": device,
        "batch_size": batch_size,
        **circumstances(_CODE, _LIBRARIES),
    }
