"""That whatever changes the bytes of features changes their recipe, and that a recipe loads no library."""

import json
import subprocess
import sys

import pytest

from factories import extract_settings
from tandem.cache import recipe as recipes
from tandem.cache.recipe import code_digest
from tandem.features.recipe import backbone_recipe
from tandem.features.settings import BackboneSettings

RANDOM = BackboneSettings("random")
FILE = BackboneSettings("weights/a.pth", sha256="1" * 64)


def recipe(name="resnet18", weights=RANDOM, *, device="cpu", batch_size=16, **changes):
    return backbone_recipe(name, weights, extract_settings(**changes), device=device, batch_size=batch_size)


@pytest.mark.parametrize(
    "other",
    [
        {"name": "resnet34"},
        {"weights": BackboneSettings("IMAGENET1K_V1")},
        {"weights": FILE},
        {"device": "cuda"},
        {"batch_size": 8},
        {"size_px": 64},
        {"resize": "crop"},
        {"interpolation": "bicubic"},
        {"tta_views": 2},
        {"engine": "auto"},
        {"seed": 1},
        {"weights": BackboneSettings("random", layer="layer3")},
        {"weights": BackboneSettings("random", pooling="gem")},
        {"weights": BackboneSettings("random", size_px=32)},
        {"weights": BackboneSettings("random", size_px=32, interpolation="bicubic")},
        {"weights": BackboneSettings("random", provider="timm")},
    ],
)
def test_another_setting_is_another_recipe(other):
    assert recipe() == recipe()
    assert recipe(**other) != recipe()


def test_a_name_and_a_path_are_no_part_of_it_and_the_seed_is_that_of_random_weights():
    elsewhere = BackboneSettings("elsewhere.pth", sha256="1" * 64, architecture="resnet18")
    assert recipe(weights=FILE) == recipe("mine", elsewhere, seed=5)
    assert recipe(weights=FILE) != recipe(weights=BackboneSettings("weights/a.pth", sha256="2" * 64))


@pytest.mark.parametrize("name", ["features/extract.py", "images/decode.py", "seeding.py", "cache/once.py"])
def test_the_code_that_computes_is_part_of_it_and_what_computes_no_feature_is_not(name, tmp_path, monkeypatch):
    for each in (name, "datasets/merge.py"):
        (tmp_path / each).parent.mkdir(exist_ok=True)
        (tmp_path / each).write_text("x = 1\n")
    monkeypatch.setattr(recipes, "_PACKAGE", tmp_path)
    code_digest.cache_clear()
    before = recipe()
    for changed in ("datasets/merge.py", name):
        assert recipe() == before
        (tmp_path / changed).write_text("x = 2\n")
        code_digest.cache_clear()
    assert recipe() != before
    monkeypatch.undo()
    code_digest.cache_clear()


def test_libraries_and_the_machine_are_part_of_it():
    assert recipe()["libraries"]["torch"] is not None
    assert {"processor", "cores", "environment"} <= recipe().keys()


def test_a_recipe_is_plain_and_loads_neither_torch_nor_an_engine():
    code = """
import json, sys
from tandem.features.embedding import backbone_extractor
from tandem.features.settings import BackboneSettings, ExtractSettings
settings = ExtractSettings(size_px=32, resize="squash", interpolation="bilinear", tta_views=1, engine="auto", seed=0)
extractor = backbone_extractor("resnet18", BackboneSettings("random"), settings, device="auto", batch_size=16)
loaded = [name for name in ("torch", "torchvision", "openvino") if name in sys.modules]
print(json.dumps([extractor.recipe, loaded]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    found, loaded = json.loads(done.stdout)
    assert loaded == []
    assert found == recipe(engine="auto", device="auto")
