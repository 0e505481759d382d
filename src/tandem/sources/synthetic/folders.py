"""The classes of the synthetic sources and the folders that stand for them; no NumPy: `tandem check` reads them."""

from collections.abc import Mapping
from typing import Literal

from tandem.sources.settings import SampleStyle

ClassName = Literal["car", "motorcycle", "truck", "bus", "bicycle"]
# Folder -> the class that it stands for.
KAGGLE: Mapping[str, ClassName] = {"Car": "car", "Truck": "truck", "motorcycle": "motorcycle", "Bus": "bus"}
ROBOFLOW: Mapping[str, ClassName] = {
    "carro": "car", "Caminhao": "truck", "moto": "motorcycle", "bicicleta": "bicycle",
}  # fmt: skip


def labels_of(style: SampleStyle) -> frozenset[str]:
    """The labels of a source of this style, which are the names of its folders."""
    return frozenset({"kaggle": KAGGLE, "roboflow": ROBOFLOW}[style])
