"""What was downloaded, from where, how much of it and under which licence: one small JSON file for each source."""

import codecs
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tandem import files
from tandem.errors import DamagedFileError
from tandem.sources.unpacking.litter import litter_in_words

NOT_STATED = "not stated"
_LICENSE_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "LICENCE.txt", "LICENCE.md")
_MAX_TITLE, _MAX_TITLE_FROM = 80, 2000  # letters of a licence's title, and of what it is looked for in


class Fetched(NamedTuple):
    """what: the name or path of the source. version: "" where the source has none.

    sha256: of the archive as it was served; of the folder's tree (files.dir_sha256) where there is none.
    archive_bytes: its size, 0 where there is none. served_hash: what the service's storage states of it (x-goog-hash).
    client: name and version. licence: as the service states it. volatile: names of files that differ from one export
    to the next of the same data. left_out: litter that is not among the files, its name -> number of files. "" or empty
    where nothing is known.
    """

    what: str
    version: str
    sha256: str
    archive_bytes: int = 0
    served_hash: str = ""
    client: str = ""
    licence: str = ""
    volatile: tuple[str, ...] = ()
    left_out: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True)
class Receipt:
    """source: its name in the parameters. kind: archive, kaggle, roboflow, ... asked: its parameters of that kind.

    what, version, sha256, archive_bytes, served_hash, client, volatile: as in Fetched. tree_sha256: of the unpacked
    files but for the volatile ones. num_bytes, num_files: of all unpacked files. licence: as the files or the service
    state it, or "not stated". augmentation: versions of each image that an export states, None where it states none.
    left_out: as in Fetched; a receipt's file has it only where something was left out.
    The time of the download is that of the receipt's file, so that the same data have the same receipt.
    """

    source: str
    kind: str
    asked: Mapping[str, Any]
    what: str
    version: str
    sha256: str
    archive_bytes: int
    served_hash: str
    client: str
    volatile: tuple[str, ...]
    tree_sha256: str
    num_bytes: int
    num_files: int
    licence: str
    augmentation: int | None
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def in_words(self) -> str:
        """How much was downloaded, and what was left out of it."""
        left_out = litter_in_words(self.left_out)
        return f"{self.num_files} files, {self.num_bytes / 1e6:.1f} MB" + (f"; {left_out}" if left_out else "")


def make_receipt(folder: Path, fetched: Fetched, *, source: str, kind: str, asked: Mapping[str, Any]) -> Receipt:
    """The receipt for a folder that holds what was fetched and nothing else."""
    paths = files.list_files(folder)
    licence = licence_as_stated(folder)
    if fetched.licence and licence == NOT_STATED:
        licence = fetched.licence
    return Receipt(
        source=source,
        kind=kind,
        asked=asked,
        **fetched._asdict() | {"licence": licence, "left_out": dict(sorted(fetched.left_out.items()))},
        tree_sha256=files.dir_sha256(folder, without=fetched.volatile),
        num_bytes=sum(path.stat().st_size for path in paths),
        num_files=len(paths),
        augmentation=augmentation_as_stated(folder),
    )


def write_receipt(path: Path, receipt: Receipt) -> None:
    """Write a receipt as JSON, whole or not at all."""
    facts = asdict(receipt)
    files.write_json(path, facts if receipt.left_out else {key: facts[key] for key in facts if key != "left_out"})


def read_receipt(path: Path) -> Receipt | None:
    """The receipt in a file; None where there is no file, or one of an earlier version with other fields."""
    try:
        value = files.read_json(path)
        return Receipt(**value | {"volatile": tuple(value["volatile"])})
    except (DamagedFileError, ValueError, TypeError, KeyError):
        return None


def augmentation_as_stated(folder: Path) -> int | None:
    """How many versions of each image a Roboflow export says it holds; 1 is the image alone, None is not stated."""
    for path in (path for path in files.list_files(folder) if path.name == "README.roboflow.txt"):
        text = path.read_text("utf-8", errors="replace")
        if found := re.search(r"applied to create (\d+) versions? of each source image", text):
            return int(found[1])
        if "No image augmentation techniques were applied" in text:
            return 1
    return None


def licence_as_stated(folder: Path) -> str:
    """The licence that a dataset's own files name, several joined by "; ", or "not stated".

    In this order: Roboflow's README.dataset.txt, roboflow.license or license in data.yaml, licenses[].name in COCO
    files (smallest first: all of a set say the same) and in Kaggle's dataset-metadata.json, license in the head of a
    dataset card (README.md), and the first line of a LICENSE file. A file that cannot be read states nothing: whether
    it is corrupt is for the reader of its format to say.
    """
    paths = files.list_files(folder)
    readers = {
        "README.dataset.txt": _in_readme,
        "data.yaml": _in_data_yaml,
        ".json": _in_coco,
        "dataset-metadata.json": _in_licenses,
        "README.md": _in_card,
        **dict.fromkeys(_LICENSE_FILES, _first_line),
    }
    for ending, read in readers.items():
        candidates = sorted(
            (path for path in paths if path.name.lower().endswith(ending.lower())), key=lambda path: path.stat().st_size
        )
        if licence := next(filter(None, map(read, candidates)), ""):
            return licence
    return NOT_STATED


def _in_readme(path: Path) -> str:
    line = re.search(r"^\s*Licen[sc]e:[ \t]*(\S.*?)\s*$", path.read_text("utf-8", errors="replace"), re.MULTILINE)
    return line[1] if line else ""


def _in_data_yaml(path: Path) -> str:
    value = _yaml(path.read_bytes())
    roboflow = value.get("roboflow")
    return (_of_key(roboflow) if isinstance(roboflow, Mapping) else "") or _of_key(value)


def _in_card(path: Path) -> str:
    """Of a dataset card, whose head is YAML between two lines of three hyphens."""
    data = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    start, head, *_ = [*re.split(rb"^---[ \t]*\r?$", data, maxsplit=2, flags=re.MULTILINE), b""]
    return "" if start.strip() else _of_key(_yaml(head))


def _first_line(path: Path) -> str:
    """Of a licence's text: its title, unless it is as long as a sentence."""
    lines = path.read_text("utf-8", errors="replace")[:_MAX_TITLE_FROM].splitlines()
    title = next((line.strip(" #*=\ufeff") for line in lines if line.strip(" #*=\ufeff")), "")
    return title if len(title) <= _MAX_TITLE else ""


def _of_key(value: Mapping[Any, Any]) -> str:
    """What `license` says, a text or a list of them."""
    stated = value.get("license")
    return _joined(each for each in (stated if isinstance(stated, list) else [stated]) if isinstance(each, str))


def _yaml(data: bytes) -> Mapping[Any, Any]:
    """The mapping that it is; an empty one for anything else."""
    try:
        value = YAML(typ="safe", pure=True).load(data)
    except (YAMLError, ValueError):
        return {}
    return value if isinstance(value, Mapping) else {}


def _in_coco(path: Path) -> str:
    # Not every JSON file of a set: a large one is read only where COCO's annotations usually are.
    is_coco = path.name == "_annotations.coco.json" or path.parent.name == "annotations"
    return _in_licenses(path) if is_coco else ""


def _in_licenses(path: Path) -> str:
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return ""
    entries = value.get("licenses") if isinstance(value, Mapping) else None
    if not isinstance(entries, list):
        return ""
    return _joined(entry.get("name") for entry in entries if isinstance(entry, Mapping))


def _joined(names: Iterable[Any]) -> str:
    return "; ".join(dict.fromkeys(str(name).strip() for name in names if name))
