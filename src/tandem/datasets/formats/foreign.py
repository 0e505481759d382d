"""Layouts that are not read, named as what they are, with what to do instead."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tandem import files
from tandem.datasets.formats.image_files import ImageFiles, is_hidden
from tandem.datasets.formats.label_files import is_label_line
from tandem.datasets.formats.text import first_names
from tandem.images.signatures import IMAGE_SUFFIXES

_EXPORT = "export it as COCO, YOLO or Pascal VOC"
_CLASS_FOLDERS = "save its images into a folder for each class"
_TABLE = "save it as a CSV file with the columns filename and label"
_WORD_AND_NUMBER, _OFTEN = re.compile(r"(?P<word>.*[^\W\d_])[\W_]*\d+"), 2
_PEEKED = 65_536  # bytes of a file that are searched
_NUM_PEEKED = 20  # files of one suffix


class _Sign(NamedTuple):
    """name: what it is. suffixes: of the files that show it. words: what one of these files holds; none if nothing."""

    name: str
    suffixes: tuple[str, ...]
    words: tuple[bytes, ...]
    remedy: str


# The more telling first.
_SIGNS = (
    _Sign("CVAT's XML", (".xml",), (b"<annotations>", b"<image "), _EXPORT),
    _Sign("CVAT's XML of a video", (".xml",), (b"<annotations>", b"<track "), _EXPORT),
    _Sign("LabelMe's JSON", (".json",), (b'"shapes"', b'"imagePath"'), "convert it to COCO, as with labelme2coco"),
    _Sign("the JSON of VGG Image Annotator (VIA)", (".json",), (b'"region', b'"filename"'), "export it as COCO"),
    _Sign("Create ML's JSON", (".json",), (b'"coordinates"', b'"image"'), _EXPORT),
    _Sign("Supervisely's JSON", (".json",), (b'"objects"', b'"classTitle"'), _EXPORT),
    _Sign("Datumaro's own JSON", (".json",), (b'"categories"', b'"items"'), _EXPORT),
    _Sign("COCO's panoptic JSON", (".json",), (b'"segments_info"', b'"annotations"'), "take the file of instances"),
    _Sign("Label Studio's JSON", (".json",), (b'"annotations"', b'"from_name"'), _EXPORT),
    _Sign("Label Studio's short JSON", (".json",), (b'"annotator"', b'"image"'), "export it as CSV"),
    _Sign("Labelbox's JSON", (".json", ".ndjson"), (b'"data_row"', b'"projects"'), _EXPORT),
    _Sign("BDD100K's or Scalabel's JSON", (".json",), (b'"box2d"', b'"name"'), _EXPORT),
    _Sign(
        "COCO's JSON without annotations or categories, as of a test split", (".json",), (b'"images"', b'"file_name"'),
        "take a file that has `images`, `annotations` and `categories`, or add what is missing",
    ),
    _Sign(
        "FiftyOne's own FiftyOneDataset", (".json",), (b'"samples"', b'"filepath"'),
        "export it as ImageClassificationDirectoryTree, COCODetectionDataset or YOLOv5Dataset",
    ),
    _Sign(
        "a table in JSON lines, as of Hugging Face's imagefolder, without a column of labels", (".jsonl", ".ndjson"),
        (b'"file_name"',), _TABLE,
    ),
    _Sign(
        "a table in JSON lines without names of images, as of PaliGemma or OpenAI", (".jsonl", ".ndjson"), (b"{",),
        "export it as COCO, or as folders or a CSV file with the columns filename and label",
    ),
    _Sign("the CSV of VGG Image Annotator (VIA)", (".csv",), (b"region_shape_attributes",), "export it as COCO"),
    _Sign("images as numbers in a CSV file", (".csv",), (b"pixels,",), _CLASS_FOLDERS),
    _Sign("images as numbers in a CSV file", (".csv",), (b",pixels",), _CLASS_FOLDERS),
    _Sign("images as numbers in a CSV file", (".csv",), (b"pixel1", b"pixel2"), _CLASS_FOLDERS),
    _Sign("TFRecord", (".tfrecord", ".tfrecords", ".record", ".tfrec"), (), _CLASS_FOLDERS),
    _Sign("Parquet or Arrow, as of Hugging Face", (".parquet", ".arrow", ".feather"), (), _CLASS_FOLDERS),
    _Sign("a table of Excel", (".xlsx", ".xls"), (), _TABLE),
    _Sign("MATLAB's .mat", (".mat",), (), "save its labels as a CSV file with the columns filename and label"),
    _Sign("HDF5", (".h5", ".hdf5"), (), _CLASS_FOLDERS),
    _Sign("arrays of NumPy or PyTorch", (".npy", ".npz", ".pt", ".pth"), (), _CLASS_FOLDERS),
    _Sign("pickled arrays", (".pkl", ".pickle"), (), _CLASS_FOLDERS),
    _Sign("the IDX files of MNIST", ("-ubyte", ".ubyte", ".idx"), (), _CLASS_FOLDERS),
    _Sign("LMDB", (".mdb", ".lmdb"), (), _CLASS_FOLDERS),
    _Sign("MXNet's RecordIO", (".rec",), (), _CLASS_FOLDERS),
    _Sign("video", (".mp4", ".avi", ".mov", ".mkv", ".webm"), (), "cut it into images, in a folder for each class"),
)  # fmt: skip
_NAMES = (".names", "data.yaml", "data.yml", "dataset.yaml", "classes.txt")
_NO_NAMES = "the names of the classes are missing: put them into classes.txt beside the folders, a name a line"
# How the first line of a text file of labels begins.
_TEXT_SIGNS = (
    ("KITTI's labels", re.compile(rb"\s*[A-Za-z_]+([ \t]+-?\d+(\.\d+)?){14}"), _EXPORT),
    (
        "lines of an image and its label",
        re.compile(rb"\S[^\r\n]*?\.(?:jpe?g|png|bmp|webp|tiff?)[ \t,;]+\S", re.I),
        _TABLE,
    ),
    ("DOTA's labels", re.compile(rb"\s*(\d+(\.\d+)?[ \t]+){8}[A-Za-z][\w-]*[ \t]+\d"), _EXPORT),
)
_MASKS = ("mask", "masks", "labelids", "segmentationclass", "segmentationobject", "ground_truth")


def foreign_layout(root: Path) -> str:
    """One sentence on what lies there and is not read, and what to do; "" for nothing that is known."""
    paths = [path for path in files.list_files(root) if not is_hidden(path.relative_to(root))]
    for sign in _SIGNS:
        shown = [path for path in paths if path.name.lower().endswith(sign.suffixes)]
        if found := _first_with(shown, sign.words):
            return f"this is {sign.name} ({found.relative_to(root)}), which is not read: {sign.remedy}"
    for name, line, remedy in _TEXT_SIGNS:
        if found := next((path for path in _texts(paths) if line.match(_head(path))), None):
            return f"these are {name} ({found.relative_to(root)}), which are not read: {remedy}"
    if found := next((path for path in _texts(paths) if is_label_line(path)), None):
        names = (
            "their images are not found by name"
            if any(path.name.lower().endswith(_NAMES) for path in paths)
            else _NO_NAMES
        )
        return f"these are YOLO's labels ({found.relative_to(root)}), but {names}"
    if any(part.lower() in _MASKS for path in paths for part in path.relative_to(root).parts[:-1]):
        return (
            "this looks like masks of a segmentation, which are not read: lay its images out in a folder for each class"
        )
    return ""


def _texts(paths: Sequence[Path]) -> list[Path]:
    return [path for path in paths if path.suffix.lower() == ".txt"][:_NUM_PEEKED]


def flat_layout(root: Path) -> str:
    """One sentence on images that lie in no class folder, and what to do; "" where there are none."""
    images = ImageFiles(root).paths
    if not images:
        others = {path.suffix.lower() for path in files.list_files(root)} - {""}
        suffixes = ", ".join(sorted(others)[:8])
        return f"no file has the name of an image (its suffixes: {suffixes})" if others - IMAGE_SUFFIXES else ""
    folder = images[0].rpartition("/")[0] or "the folder itself"
    if named := [path for path in files.list_files(root) if path.name.lower().endswith(_NAMES)]:
        return (
            f"{named[0].relative_to(root)} names classes, as of YOLO, but none of the {len(images)} images has a file "
            "of labels (labels/<name>.txt, or <name>.txt beside it) or lies in a folder of its class"
        )
    if tables := [path for path in files.list_files(root) if path.suffix.lower() in (".csv", ".tsv")]:
        return (
            f"no column of {tables[0].relative_to(root)} holds the names of most images, such as {images[0]!r}: "
            "correct its names, or make a folder for each class"
        )
    if tables := [path for path in files.list_files(root) if path.suffix.lower() == ".json"]:
        return f"{tables[0].relative_to(root)} is of no layout that is known: {_TABLE}"
    begin = _beginnings(images)
    hint = f". Their names begin with {first_names(begin)}: if these are the classes, move each" if begin else ""
    return (
        f"{len(images)} images lie in no class folder, the first in {folder}: make a folder for each class, or a CSV "
        f"file with the columns filename and label{hint}{' into a folder of that name' if begin else ''}"
    )


def _beginnings(images: Sequence[str]) -> list[str]:
    """The words before the numbers of file names, the most frequent first, where they are few and each stands often."""
    stems = [PurePosixPath(path).stem for path in images]
    counts = Counter(match["word"] for stem in stems if (match := _WORD_AND_NUMBER.fullmatch(stem)))
    words = [word for word, count in counts.most_common() if count >= _OFTEN]
    return words if len(words) >= 2 and sum(counts[word] for word in words) > 0.9 * len(images) else []


def _first_with(paths: Sequence[Path], words: Sequence[bytes]) -> Path | None:
    for path in paths[:_NUM_PEEKED]:
        data = _head(path)
        if all(word in data for word in words):
            return path
    return None


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_PEEKED)
