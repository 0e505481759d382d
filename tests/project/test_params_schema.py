"""The JSON schema of params.yaml for editors, held against the settings, the presets and planted mistakes."""

import copy
import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from pages import ROOT, script, yaml
from tandem.errors import ParamsError
from tandem.pipeline.params import read_params
from tandem.pipeline.schema import check_params

GENERATOR = script("docs/params_schema.py")
SCHEMA = json.loads((ROOT / "params.schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft7Validator(SCHEMA)
FILES = [ROOT / "params.yaml", *sorted((ROOT / "presets").glob("*.yaml"))]
SAMPLE = read_params(FILES[0])
KAGGLE = "{kind: kaggle, kaggle: {dataset: ada/cars, version: 1}, format: auto}"
# key and what to write there as YAML
RIGHT = [
    ("train.trainable_backbone_layers", "5"),
    ("train.trainable_backbone_layers", "{resnet50: 5, mobilenet_v2: 0}"),
    ("ingest.max_side_px", "null"),
    ("labels.match", "exact"),
    ("sources.snapshots", KAGGLE),
    ("sources.snapshots", "{kind: archive, archive: {path: a.zip, sha256: null}, format: yolo}"),
    ("backbones.resnet50", "{weights: random, architecture: null}"),
    ("train.lr", "1"),
    ("study.lr", "[0.1, 1]"),
]
WRONG = [
    ("train.batch_size", "0"),
    ("train.batch_size", "8.5"),
    ("train.batch_size", "'8'"),
    ("train.lr", "0"),
    ("train.lr", "fast"),
    ("train.dropout", "1"),
    ("train.head", "mlpp"),
    ("train.trainable_backbone_layers", "6"),
    ("train.trainable_backbone_layers", "{resnet50: -1}"),
    ("train.trainable_backbone_layers", "all"),
    ("train.epoch", "3"),
    ("finetune.lp_ft", "'yes'"),
    ("finetune.augment.rand_augment_ops", "11"),
    ("curate.fractions.train", "1.0"),
    ("curate.min_correlation", "0"),
    ("curate.seed", "-1"),
    ("ingest.max_side_px", "0"),
    ("labels.classes", "{car: []}"),
    ("labels.classes", "{car: [], ' ': []}"),
    ("labels.ignore", "bus"),
    ("labels.match", "fuzzy"),
    ("sources", "{}"),
    ("sources", f"{{'a b': {KAGGLE}}}"),
    ("sources.snapshots.kind", "zip"),
    ("sources.snapshots.kind", "kaggle"),
    ("sources.snapshots.format", "folder"),
    ("sources.snapshots", KAGGLE.replace("ada/cars", "cars")),
    ("sources.snapshots", KAGGLE.replace("version: 1", "version: latest")),
    ("backbones.resnet50", "{weights: ''}"),
    ("backbones.resnet50", "{weights: a.pth, sha256: abc}"),
    ("backbones", "{}"),
    ("study.batch_size", "[]"),
    ("evaluate.num_resamples", "99"),
    ("extract.size_px", "2048"),
    ("runtime.device", "gpu"),
    ("runtime", "null"),
]


def changed(key, text):
    """The sample's parameters with a value of YAML at a key."""
    params = copy.deepcopy(SAMPLE)
    *above, last = key.split(".")
    section = params
    for name in above:
        section = section[name]
    section[last] = yaml(text)
    return params


def test_the_committed_schema_is_what_the_settings_and_the_page_of_parameters_say():
    said = "run `python docs/params_schema.py`, and commit params.schema.json"
    assert (ROOT / "params.schema.json").read_text(encoding="utf-8") == GENERATOR.schema_text(), said
    Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_preset_is_valid_and_names_the_schema_where_it_lies_beside_params(path):
    assert list(VALIDATOR.iter_errors(read_params(path))) == []
    (named,) = re.findall(r"^# yaml-language-server: \$schema=(\S+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert (ROOT / named).is_file()


@pytest.mark.parametrize(("key", "text"), RIGHT)
def test_what_check_takes_the_schema_takes(key, text):
    params = changed(key, text)
    check_params(params)
    assert list(VALIDATOR.iter_errors(params)) == []


@pytest.mark.parametrize(("key", "text"), WRONG)
def test_what_check_refuses_for_its_type_or_range_the_schema_refuses_at_the_same_place(key, text):
    params = changed(key, text)
    with pytest.raises(ParamsError):
        check_params(params)
    places = [".".join(map(str, each.absolute_path)) for each in VALIDATOR.iter_errors(params)]
    assert any(key.startswith(place) or place.startswith(key) for place in places), places


def test_every_key_has_its_meaning_from_the_page_of_parameters():
    known = GENERATOR.meanings()
    assert sorted(set(known) - set(described(SCHEMA))) == []
    assert [key for key, text in described(SCHEMA).items() if text is None] == []


def described(node, path=""):
    """Key, as the page of parameters writes it -> the description of each value that is no section."""
    found = {}
    for each in node.get("anyOf", [node]):
        parts = {f"{path}.{name}".lstrip("."): value for name, value in each.get("properties", {}).items()}
        if isinstance(inner := each.get("additionalProperties"), dict) and "layers" not in path:
            parts[f"{path}.{'<class>' if path.endswith('classes') else '<name>'}"] = inner
        for key, value in parts.items():
            found |= described(value, key)
    return found or {path: node.get("description")}


def test_the_schema_lies_beside_the_parameters():
    assert Path(GENERATOR.PATH) == ROOT / "params.schema.json"
