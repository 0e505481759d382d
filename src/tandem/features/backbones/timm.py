"""timm's classifiers. The only module that knows timm, whose import takes seconds.

Its weights have the names of timm's tags: `weights: in1k` of `tf_efficientnet_lite0` are those that timm calls
tf_efficientnet_lite0.in1k. An architecture may be named with its tag too, which says how the input of a file of weights
is normalised; without one that is as of timm's first weights of it.
"""

import logging
import re
from pathlib import Path
from typing import Any

import timm
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError
from timm.models import PretrainedCfg, get_pretrained_cfg
from torch import nn

from tandem.errors import WeightsError
from tandem.features.backbones.catalog import require_weights_name
from tandem.features.backbones.provider import Classifier, StateDict
from tandem.features.settings import RANDOM
from tandem.files import first_line

_TAG = re.compile(r"\w+")  # a path has other letters too
_FILE = "model.safetensors"  # in timm's repositories on the Hugging Face Hub
_SECOND_LAYERS = ("head_dist.",)  # of distilled networks; what they predict is the mean of both


def architectures() -> list[str]:
    """The classifiers of timm.list_models()."""
    return list(timm.list_models())


def build(architecture: str, *, weights: str, size_px: int) -> Classifier:
    """A classifier with initial weights; see Provider.

    Of several last layers, as distilled networks have them, none is kept: features are the mean of what they would see.
    """
    config = _config(architecture, weights)
    layers = config.classifier
    options = {} if isinstance(layers, str) else {"num_classes": 0}
    net = _create(architecture.partition(".")[0], size_px=size_px, is_fixed=config.fixed_input_size, **options)
    last_layer = layers if isinstance(layers, str) else (layers or ("head",))[0]
    return Classifier(net, last_layer, _channels(config.mean), _channels(config.std))


def weights_file(architecture: str, weights: str) -> tuple[Path, str]:
    """The file in the Hub's own cache, fetched if need be, and its sha256; see Provider."""
    name = architecture.partition(".")[0]
    repository = _config(name, weights).hf_hub_id
    if not repository:
        raise WeightsError(
            f"{name} {weights} is not on the Hugging Face Hub; download its file, and name that with its sha256"
        )
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it reports each of its tries
    try:
        path = Path(hf_hub_download(repository, _FILE))
    except (OSError, HfHubHTTPError) as error:
        raise WeightsError(
            f"could not download {name} {weights}, {repository} on the Hugging Face Hub ({_reason(error)}); with a "
            f"network run again, or download its {_FILE} elsewhere and name that file with its sha256"
        ) from None
    return path, path.resolve().name  # the Hub's cache names what it keeps by its digest


def _reason(error: BaseException) -> str:
    """What began it all: the Hub's client puts sentences about several causes around it."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return first_line(error) if isinstance(error, Exception) else type(error).__name__


def adapt(state: StateDict) -> None:
    """Leave out the second last layers of distilled networks."""
    for key in [key for key in state if key.startswith(_SECOND_LAYERS)]:
        del state[key]


def _config(architecture: str, weights: str) -> PretrainedCfg:
    """What timm states of these weights, or of the architecture's own tag where they have no name."""
    name, _, tag = architecture.partition(".")
    tag = weights if _TAG.fullmatch(weights) and weights != RANDOM else tag
    try:
        config = get_pretrained_cfg(f"{name}.{tag}" if tag else name)
    except RuntimeError:
        known = [each.partition(".")[2] for each in timm.list_pretrained(f"{name}.*")]
        require_weights_name(name, tag, known, provider="timm")
        raise
    assert config is not None  # architectures are known
    return config


def _create(name: str, *, size_px: int, is_fixed: bool, **options: Any) -> nn.Module:
    """is_fixed: whether the network is made for one size of images, which is then size_px where it can be."""
    logging.getLogger("timm").setLevel(logging.ERROR)
    for fitting in ({"dynamic_img_size": True}, {"img_size": size_px}) if is_fixed else ():
        try:
            return timm.create_model(name, **options, **fitting)
        except (TypeError, AssertionError, ValueError):
            continue
    return timm.create_model(name, **options)


def _channels(values: Any) -> tuple[float, float, float]:
    red, green, blue = values
    return red, green, blue
