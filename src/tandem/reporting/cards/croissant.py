"""The curated data set as Croissant metadata: JSON-LD that registries index and that `mlcroissant` loads.

Croissant 1.0 (https://docs.mlcommons.org/croissant/docs/croissant-spec.html) with the fields of its extension for
responsible AI, RAI 1.0 (https://docs.mlcommons.org/croissant/docs/croissant-rai-spec.html). The records are lines of
IMAGES_CSV, which lies beside it: every image with its class, split, group and where it was found; the images themselves
are in the sources, whose archives are listed with their digests.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from tandem.reporting.facts import RunFacts
from tandem.reporting.licenses import Licensing
from tandem.reporting.page.statements import Statements, source_in_words
from tandem.sources.receipts import Receipt

IMAGES_CSV = "images.csv"
CONFORMS_TO = ("http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0")
_TERMS = (  # of the namespace cr, with the same name in it
    "citeAs", "column", "equivalentProperty", "extract", "field", "fileObject", "fileProperty", "fileSet", "format",
    "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex",
    "repeated", "replace", "samplingRate", "separator", "source", "subField", "transform",
)  # fmt: skip
_CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    **{term: f"cr:{term}" for term in _TERMS},
}
_SPLITS = {"train": "cr:TrainingSplit", "val": "cr:ValidationSplit", "test": "cr:TestSplit"}
_COLUMNS = {  # of IMAGES_CSV: name -> type, meaning, the enumeration that its values are of
    "id": ("sc:Text", "Hash of the pixels, 32 hex digits.", ""),
    "label": ("sc:Text", "Class.", "classes"),
    "split": ("sc:Text", "Empty where the image is left out.", "splits"),
    "group": (
        "sc:Text",
        "Images of one group are in one split: near duplicates and what belongs together.",
        "",
    ),
    "source": ("sc:Text", "Where it was found first.", "sources"),
    "path": ("sc:Text", "Of the file, in the source.", ""),
    "width": ("sc:Integer", "Of the original, upright, in pixels.", ""),
    "height": ("sc:Integer", "Of the original, upright, in pixels.", ""),
    "exclusion_reason": ("sc:Text", "Why it is left out, empty where it is not.", ""),
}
_ARCHIVES = {  # kind -> address of the archive that the receipt's digest is of
    "kaggle": "https://www.kaggle.com/api/v1/datasets/download/{dataset}?datasetVersionNumber={version}",
    "roboflow": "https://universe.roboflow.com/{project}/dataset/{version}",
}
_MEDIA_TYPES = {
    ".zip": "application/zip",
    ".tar": "application/x-tar",
    ".gz": "application/gzip",
    ".tgz": "application/gzip",
}


def images_csv(facts: RunFacts) -> str:
    """One line an image of the index, in its order, under a header; excluded ones too."""
    samples, index = facts.samples, facts.index
    paths = (origins[0].path for origins in index.origins)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(
        zip(
            samples.ids,
            samples.labels.tolist(),
            samples.splits.tolist(),
            samples.groups.tolist(),
            samples.sources.tolist(),
            paths,
            index.widths.tolist(),
            index.heights.tolist(),
            samples.exclusion_reasons.tolist(),
            strict=True,
        )
    )
    return text.getvalue()


def croissant(facts: RunFacts, said: Statements, licensing: Licensing, *, table: str) -> str:
    """The metadata as JSON. table: what images_csv returned, which is to lie beside it under the name IMAGES_CSV.

    The version is 1.0.0 with the first digits of the table's digest as its build: the same images, classes and splits
    have the same version. datePublished is the date of git's commit. creator, url and citeAs are there where a person
    states them; that of the creator alone is required by Croissant, and `mlcroissant` warns where it is missing.
    """
    digest = hashlib.sha256(table.encode()).hexdigest()
    metadata = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": list(CONFORMS_TO),
        "name": said.title,
        "description": said.description,
        "license": [each.url or each.name for row in licensing.rows for each in row.licenses],
        "url": said.url,
        "creator": {"@type": "sc:Organization", "name": said.creator} if said.creator else None,
        "citeAs": f"{said.creator}: {said.title}. {said.url}".strip() if said.creator else "",
        "datePublished": facts.state.commit_date,
        "version": f"1.0.0+{digest[:12]}",
        "keywords": ["image classification", *facts.samples.class_names],
        **_responsible_ai(said),
        "distribution": [
            _file_object(IMAGES_CSV, IMAGES_CSV, "text/csv", digest, len(table.encode()), "One line an image."),
            *_archives(facts, licensing),
        ],
        "recordSet": [*_enumerations(facts, licensing), _images()],
    }
    stated = {key: value for key, value in metadata.items() if value not in ("", None)}
    stated["license"] = list(dict.fromkeys(metadata["license"]))
    return json.dumps(stated, indent=2, ensure_ascii=False) + "\n"


def _responsible_ai(said: Statements) -> dict[str, Any]:
    return {
        "rai:dataCollection": said.collection,
        "rai:dataAnnotationProtocol": [said.annotation],
        "rai:dataPreprocessingProtocol": [said.preprocessing],
        "rai:dataUseCases": [said.intended_use],
        "rai:dataBiases": [said.biases],
        "rai:dataLimitations": [said.limitations],
        "rai:personalSensitiveInformation": [said.personal_information],
        "rai:dataSocialImpact": "Not stated.",
        "rai:dataReleaseMaintenancePlan": "Not stated.",
    }


def _archives(facts: RunFacts, licensing: Licensing) -> Iterator[dict[str, Any]]:
    """Of the sources that are one file. A folder has none, and neither has the generated sample."""
    for row in licensing.rows:
        receipt = facts.receipts.get(row.source)
        if receipt is None or receipt.kind == "sample" or receipt.sha256 == receipt.tree_sha256:
            continue
        address, media_type = _address(receipt)
        name = f"{row.source}-archive"
        yield _file_object(name, address, media_type, receipt.sha256, receipt.archive_bytes, f"Source {row.source}.")


def _address(receipt: Receipt) -> tuple[str, str]:
    """Of a service's archive; of a user's file its name alone, which says nothing of their disk. And its type."""
    if receipt.kind in _ARCHIVES:
        return _ARCHIVES[receipt.kind].format_map(receipt.asked), "application/zip"
    path = PurePosixPath(receipt.what)
    return path.name, _MEDIA_TYPES.get(path.suffix.lower(), "application/octet-stream")


def _file_object(
    name: str, address: str, media_type: str, sha256: str, num_bytes: int, description: str
) -> dict[str, Any]:
    """num_bytes: 0 where it is not known."""
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "description": description,
        "contentUrl": address,
        **({"contentSize": f"{num_bytes} B"} if num_bytes else {}),
        "encodingFormat": media_type,
        "sha256": sha256,
    }


def _enumerations(facts: RunFacts, licensing: Licensing) -> Iterator[dict[str, Any]]:
    classes = [{"name": name} for name in facts.samples.class_names]
    sources = [
        {
            "name": row.source,
            "origin": source_in_words(row.source, facts.receipts.get(row.source)),
            "license": "; ".join(each.name for each in row.licenses),
        }
        for row in licensing.rows
    ]
    yield _enumeration("classes", "sc:Enumeration", classes)
    yield _enumeration("splits", "cr:Split", [{"name": name, "url": url} for name, url in _SPLITS.items()])
    yield _enumeration("sources", "sc:Enumeration", sources)


def _enumeration(name: str, data_type: str, rows: list[dict[str, str]]) -> dict[str, Any]:
    """A record set whose records stand in the metadata."""
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "dataType": data_type,
        "key": {"@id": f"{name}/name"},
        "field": [_field(f"{name}/{column}", "sc:URL" if column == "url" else "sc:Text", column) for column in rows[0]],
        "data": [{f"{name}/{column}": value for column, value in row.items()} for row in rows],
    }


def _images() -> dict[str, Any]:
    fields = []
    for column, (data_type, meaning, enumeration) in _COLUMNS.items():
        field = _field(f"images/{column}", data_type, meaning)
        field["source"] = {"fileObject": {"@id": IMAGES_CSV}, "extract": {"column": column}}
        if enumeration:
            field["references"] = {"field": {"@id": f"{enumeration}/name"}}
        fields.append(field)
    return {"@type": "cr:RecordSet", "@id": "images", "name": "images", "key": {"@id": "images/id"}, "field": fields}


def _field(id_: str, data_type: str, description: str) -> dict[str, Any]:
    name = id_.rpartition("/")[2]
    return {"@type": "cr:Field", "@id": id_, "name": name, "description": description, "dataType": data_type}
