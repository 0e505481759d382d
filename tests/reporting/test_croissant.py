"""Croissant metadata, checked and loaded by mlcroissant, the reference implementation."""

import csv
import hashlib
import io
import json
from dataclasses import replace

import pytest

from planted_cards import EXPORT, KAGGLE, card_facts
from tandem.reporting.cards.croissant import CONFORMS_TO, IMAGES_CSV, croissant, images_csv
from tandem.reporting.licenses import licensing
from tandem.reporting.page.statements import statements

# rdflib calls a class of its own that it has deprecated
pytestmark = pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")
STATED = {"title": "Cars of the town", "creator": "The town", "url": "https://example.org/cars"}


def written(folder, facts):
    """The metadata as a value; it and its table lie in the folder."""
    table = images_csv(facts)
    licences = licensing({name: each.licence for name, each in facts.receipts.items()}, {})
    text = croissant(facts, statements(facts), licences, table=table)
    (folder / IMAGES_CSV).write_text(table, encoding="utf-8")
    (folder / "croissant.json").write_text(text, encoding="utf-8")
    return json.loads(text)


def loaded(folder):
    import mlcroissant  # a second

    return mlcroissant.Dataset(folder / "croissant.json")


def test_mlcroissant_finds_no_fault_and_loads_every_image(tmp_path):
    facts = card_facts(tmp_path, report=STATED, file_name="a,{}.png")
    written(tmp_path, facts)
    dataset = loaded(tmp_path)
    assert dataset.metadata.issues.errors == set()
    assert dataset.metadata.issues.warnings == set()
    records = list(dataset.records("images"))
    assert len(records) == len(facts.samples)
    texts = [
        {key.removeprefix("images/"): each.decode() if isinstance(each, bytes) else each for key, each in row.items()}
        for row in records
    ]
    assert texts[1] == {
        "id": facts.samples.ids[1],
        "label": "motorcycle",
        "split": None,
        "group": facts.samples.ids[0],
        "source": "exports",
        "path": "motorcycle/a,1.png",
        "width": 48,
        "height": 32,
        "exclusion_reason": f"duplicate of {facts.samples.ids[0]}",
    }
    assert [row["split"] or "" for row in texts] == facts.samples.splits.tolist()
    assert [row["label"] for row in texts] == facts.samples.labels.tolist()
    assert [row["classes/name"] for row in dataset.records("classes")] == ["car", "motorcycle", "truck"]
    assert [row["splits/url"] for row in dataset.records("splits")] == [
        "cr:TrainingSplit",
        "cr:ValidationSplit",
        "cr:TestSplit",
    ]
    assert [row["sources/license"] for row in dataset.records("sources")] == ["CC-BY-NC-4.0", "CC-BY-SA-4.0"]


def test_without_what_only_people_know_it_is_valid_and_says_that_it_is_not_stated(tmp_path):
    value = written(tmp_path, card_facts(tmp_path))
    dataset = loaded(tmp_path)
    assert dataset.metadata.issues.errors == set()
    assert [each.partition('"')[2].partition('"')[0] for each in dataset.metadata.issues.warnings] == [
        "http://mlcommons.org/croissant/citeAs"
    ]
    assert not {"creator", "url", "citeAs"} & set(value)
    assert value["rai:dataUseCases"] == ["What the model and the data are meant for is not stated."]
    assert dataset.metadata.data_biases == value["rai:dataBiases"]
    assert dataset.metadata.personal_sensitive_information[0].startswith("No search for personal information")


def test_every_field_of_responsible_ai_is_there_and_conforms_to_its_specification(tmp_path):
    value = written(tmp_path, card_facts(tmp_path))
    assert value["conformsTo"] == list(CONFORMS_TO)
    assert {key for key in value if key.startswith("rai:")} == {
        "rai:dataCollection",
        "rai:dataAnnotationProtocol",
        "rai:dataPreprocessingProtocol",
        "rai:dataUseCases",
        "rai:dataBiases",
        "rai:dataLimitations",
        "rai:personalSensitiveInformation",
        "rai:dataSocialImpact",
        "rai:dataReleaseMaintenancePlan",
    }


def test_archives_are_listed_with_their_digests_and_no_folder_of_the_user(tmp_path):
    folder = replace(EXPORT, source="folder", sha256=EXPORT.tree_sha256)
    service = replace(
        KAGGLE, source="bikes", kind="roboflow", asked={"project": "me/bikes", "version": 2, "format": "coco"}
    )
    value = written(tmp_path, card_facts(tmp_path, receipts=(KAGGLE, EXPORT, folder, service)))
    table, kaggle, export, roboflow = value["distribution"]
    data = (tmp_path / IMAGES_CSV).read_bytes()
    assert (table["sha256"], table["contentSize"]) == (hashlib.sha256(data).hexdigest(), f"{len(data)} B")
    assert kaggle == {
        "@type": "cr:FileObject",
        "@id": "web-archive",
        "name": "web-archive",
        "description": "Source web.",
        "contentUrl": "https://www.kaggle.com/api/v1/datasets/download/owner/cars?datasetVersionNumber=3",
        "contentSize": "1234 B",
        "encodingFormat": "application/zip",
        "sha256": "ab" * 32,
    }
    assert (export["contentUrl"], export["encodingFormat"]) == ("exports.zip", "application/zip")
    assert "contentSize" not in export
    assert roboflow["contentUrl"] == "https://universe.roboflow.com/me/bikes/dataset/2"
    assert "/home/me" not in json.dumps(value)


def test_the_version_changes_with_the_images_and_with_nothing_else(tmp_path):
    facts = card_facts(tmp_path)
    first = written(tmp_path, facts)["version"]
    assert written(tmp_path, card_facts(tmp_path, report=STATED))["version"] == first
    moved = facts.samples.splits.copy()
    moved[2] = "val" if moved[2] != "val" else "train"
    assert written(tmp_path, replace(facts, samples=facts.samples.with_splits(moved)))["version"] != first


def test_licences_are_addresses_of_spdx_each_once(tmp_path):
    both = (KAGGLE, replace(EXPORT, licence=KAGGLE.licence))
    assert written(tmp_path, card_facts(tmp_path, receipts=both))["license"] == [
        "https://spdx.org/licenses/CC-BY-NC-4.0.html"
    ]


def test_the_table_has_one_line_an_image_with_any_name(tmp_path):
    facts = card_facts(tmp_path, file_name='ä "{}",\n.png')
    rows = list(csv.DictReader(io.StringIO(images_csv(facts))))
    assert [row["id"] for row in rows] == list(facts.samples.ids)
    assert rows[0]["path"] == 'car/ä "0",\n.png'
