"""Everything that reads what a person or an earlier run has left, each with a small valid input."""

import io
import json
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from PIL import Image

from faults.trial import Reader
from scratch import ROOT
from tandem.datasets.formats.registry import AUTO, read_annotations
from tandem.features.backbones.weights import read_weights
from tandem.files import sha256
from tandem.images.encoding import encode_images
from tandem.inference.export import write_model
from tandem.inference.exported import OOD_SCORE, PIXELS, PROBABILITIES, ModelCard, load_exported
from tandem.inference.graph import Graph, GraphOutput
from tandem.pipeline.params import read_params
from tandem.pipeline.schema import check_params
from tandem.sources.receipts import Fetched, make_receipt, read_receipt, write_receipt
from tandem.sources.unpacking.unpack import unpack
from tandem.tables.decisions import load_decisions
from tandem.tables.features import load_features, write_features
from tandem.tables.index import ImageRecord, Index, Origin, load_index, save_index
from tandem.tables.logits import Logits, load_logits, save_logits
from tandem.tables.samples import Sample, Samples, load_samples, save_samples
from tandem.training.linear import Linear, load_linear

_IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "TGA", "JPEG2000")
_STORED_PX = 8  # of images of 32 x 24: small enough that they are scaled while they are decoded
_CORNER = (0.0, 0.0, 0.5, 0.5)  # a crop, for which they are decoded fully
_LABELS = ("bus", "car")
_IDS = tuple(f"{number:064x}" for number in range(1, 5))


def readers() -> dict[str, Reader]:
    """Name -> reader."""
    found = [*_images(), *_archives(), *_formats(), *_own_files(), _params(), _decisions()]
    return {reader.name: reader for reader in found}


def encoded_image(format: str, *, mode: str = "RGB") -> bytes:
    """A small drawn image, with EXIF where the format has it."""
    pixels = np.kron(np.random.default_rng(0).integers(0, 256, (6, 8, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    image, file = Image.fromarray(pixels).convert(mode), io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"exif": exif.tobytes()} if format in ("JPEG", "PNG", "WEBP", "TIFF") else {}
    image.save(file, format, **options)
    return file.getvalue()


def _images() -> Iterator[Reader]:
    def read(folder: Path) -> object:
        data = (folder / "image").read_bytes()
        return encode_images(data, [None, _CORNER], min_side_px=1, max_pixels=10**7, max_side_px=_STORED_PX)

    for format in _IMAGE_FORMATS:
        yield Reader(f"image {format}", {"image": encoded_image(format)}, ("image",), read, may_miss=False)
    yield Reader("image PNG, 16 bits", {"image": encoded_image("PNG", mode="I;16")}, ("image",), read, may_miss=False)
    yield Reader("image PNG, palette", {"image": encoded_image("PNG", mode="P")}, ("image",), read, may_miss=False)
    yield Reader("image JPEG, CMYK", {"image": encoded_image("JPEG", mode="CMYK")}, ("image",), read, may_miss=False)


def _archives() -> Iterator[Reader]:
    members = {f"{label}/{number}.png": encoded_image("PNG") for label in _LABELS for number in range(3)}

    def read(folder: Path) -> object:
        (folder / "unpacked").mkdir()
        return unpack(folder / "archive", folder / "unpacked", max_files=1000, max_bytes=10**8)

    for name, compression in {"stored": zipfile.ZIP_STORED, "deflated": zipfile.ZIP_DEFLATED}.items():
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", compression) as archive:
            for path, data in members.items():
                archive.writestr(path, data)
        yield Reader(f"zip, {name}", {"archive": file.getvalue()}, ("archive",), read, may_miss=False)
    for mode in ("w", "w:gz", "w:bz2", "w:xz"):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode=mode) as tar:
            for path, data in members.items():
                info = tarfile.TarInfo(path)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        yield Reader(f"tar {mode[2:] or 'plain'}", {"archive": file.getvalue()}, ("archive",), read, may_miss=False)


def _formats() -> Iterator[Reader]:
    def read(folder: Path) -> object:
        return read_annotations(folder, format=AUTO)

    images = {f"{place}{number}.jpg": encoded_image("JPEG") for number in range(3) for place in ("images/", "")}
    flat = {path: data for path, data in images.items() if "/" not in path}
    names = [f"{number}.jpg" for number in range(3)]
    lines = b"0 0.5 0.5 0.5 0.25\n1 0.25 0.25 0.5 0.5\n"
    yolo = {"data.yaml": b"train: images\nnc: 2\nnames:\n- bus\n- car\n"}
    yolo |= {f"labels/{number}.txt": lines for number in range(3)}
    coco = {
        "images": [{"id": n, "file_name": name, "width": 32, "height": 24} for n, name in enumerate(names)],
        "categories": [{"id": n, "name": label, "supercategory": "x"} for n, label in enumerate(_LABELS)],
        "annotations": [{"id": n, "image_id": n, "category_id": n % 2, "bbox": [2, 3, 10, 8.5]} for n in range(3)],
    }
    labels = {"classes": list(_LABELS), "labels": {str(n): n % 2 for n in range(3)}}
    voc = (
        "<annotation><filename>{}.jpg</filename><size><width>32</width><height>24</height></size><object><name>bus"
        "</name><bndbox><xmin>2</xmin><ymin>3</ymin><xmax>9</xmax><ymax>8</ymax></bndbox></object></annotation>"
    )
    table = b"filename,class,xmin,ymin,xmax,ymax,width,height\n" + b"".join(
        f"{name},bus,1,2,9,9,32,24\n".encode() for name in names
    )
    layouts: Mapping[str, tuple[Mapping[str, bytes], Mapping[str, bytes]]] = {
        "YOLO": ({path: data for path, data in images.items() if "/" in path}, yolo),
        "COCO": (flat, {"_annotations.coco.json": json.dumps(coco).encode()}),
        "FiftyOne": (
            {f"data/{path}": data for path, data in flat.items()},
            {"labels.json": json.dumps(labels).encode()},
        ),
        "Pascal VOC": (flat, {f"{n}.xml": voc.format(n).encode() for n in range(3)}),
        "CSV": (flat, {"labels.csv": table}),
    }
    for name, (unlabelled, annotations) in layouts.items():
        yield Reader(f"format {name}", {**unlabelled, **annotations}, tuple(annotations), read)


def _own_files() -> Iterator[Reader]:
    rng = np.random.default_rng(0)
    record = (
        ImageRecord(id_, _LABELS[n % 2], f"{n}.png", 32, 24, (), (Origin("a", "x", "y"),)) for n, id_ in enumerate(_IDS)
    )
    index = Index.of(record)
    rows = (Sample(id_, _LABELS[n % 2], "a", f"g{n}", "train", "") for n, id_ in enumerate(_IDS))
    samples = Samples.of(_LABELS, rows)
    values = rng.normal(size=(4, 2)).astype(np.float32)
    yield _saved(
        "index", lambda folder: save_index(index, folder / "index.csv"), lambda folder: load_index(folder / "index.csv")
    )
    yield _saved("samples", lambda folder: save_samples(samples, folder), load_samples)
    yield _saved(
        "features",
        lambda folder: write_features(folder, ids=_IDS, dim=2, batches=[values[:, None]], meta={"backbone": "net"}),
        lambda folder: np.asarray(load_features(folder, ids=_IDS).tta_views).sum(),
    )
    yield _saved(
        "logits",
        lambda folder: save_logits(Logits(_IDS, _LABELS, values), folder / "logits.npz"),
        lambda folder: load_logits(folder / "logits.npz"),
    )
    zeros, ones = np.zeros(3, np.float32), np.ones((2, 3), np.float32)
    head = Linear(mean=zeros, std=ones[0], weight=ones, bias=zeros[:2])
    yield _saved(
        "linear head",
        head.save,
        lambda folder: load_linear(folder / "head.npz"),
    )
    yield _saved(
        "exported model",
        lambda folder: write_model(_tiny_model(), _CARD, folder / "model.onnx"),
        lambda folder: load_exported(folder / "model.onnx", threads=1),
        is_sealed=True,
    )
    yield _weights()
    yield _receipt()


def _saved(
    name: str, save: Callable[[Path], object], read: Callable[[Path], object], *, is_sealed: bool = False
) -> Reader:
    """A reader of what `save` writes into an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "made"
        target.mkdir()
        save(target)
        files = {path.relative_to(target).as_posix(): path.read_bytes() for path in sorted(target.rglob("*.*"))}
    return Reader(name, files, tuple(files), read, is_sealed)


_CARD = ModelCard("net", _LABELS, 8, "squash", 1, 1.0, 0.5, 0.1, None, {})


def _tiny_model() -> onnx.ModelProto:
    graph = Graph()
    means = graph.add("ReduceMean", graph.add("Cast", PIXELS, to=TensorProto.FLOAT), np.array([1, 2]), keepdims=0)
    probs = graph.add("Softmax", graph.add("MatMul", means, np.ones((3, 2))), axis=-1)
    score = graph.add("ReduceMax", means, np.array([1]), keepdims=0)
    images = helper.make_tensor_value_info(PIXELS, TensorProto.UINT8, ["views", 8, 8, 3])
    return graph.model([images], GraphOutput(PROBABILITIES, probs), GraphOutput(OOD_SCORE, score, ("n",)))


def _weights() -> Reader:
    file = io.BytesIO()
    torch.save({"layer.weight": torch.ones(2, 3), "layer.bias": torch.zeros(2)}, file)

    def read(folder: Path) -> object:
        return read_weights(folder / "weights.pth", digest=sha256(folder / "weights.pth"))

    return Reader("weights", {"weights.pth": file.getvalue()}, ("weights.pth",), read)


def _receipt() -> Reader:
    fetched = Fetched("x", "1", "0" * 64, 1, "", "client", "MIT")

    def save(folder: Path) -> None:
        (folder / "files").mkdir()
        write_receipt(folder / "a.json", make_receipt(folder / "files", fetched, source="a", kind="kaggle", asked={}))

    return _saved("receipt", save, lambda folder: read_receipt(folder / "a.json"))


def _params() -> Reader:
    files = {"params.yaml": (ROOT / "params.yaml").read_bytes()}
    return Reader("params.yaml", files, tuple(files), lambda folder: check_params(read_params(folder / "params.yaml")))


def _decisions() -> Reader:
    rows = f"id,action,value,reason\n{_IDS[0]},relabel,car,\n{_IDS[1]},drop,,blurred\n".encode()
    return Reader("decisions.csv", {"d.csv": rows}, ("d.csv",), lambda folder: load_decisions(folder / "d.csv"))
