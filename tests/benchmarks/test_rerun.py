"""The changes that are made to a clone's labels."""

import rerun
from rerun import Labels

OF = Labels("carro", "car", "truck")


def labels():
    return {"classes": {"car": ["carro"], "truck": []}, "ignore": ["bus"]}


def test_a_class_that_is_renamed_keeps_its_place_and_its_images():
    values = labels()
    rerun.rename_class(values, "car")
    assert list(values["classes"].items()) == [("car_renamed", ["car", "carro"]), ("truck", [])]


def test_an_alias_moves_to_another_class_or_is_ignored():
    moved, ignored = labels(), labels()
    rerun.move_alias(moved, OF)
    rerun.ignore_alias(ignored, OF)
    assert moved["classes"] == {"car": [], "truck": ["carro"]}
    assert ignored == {"classes": {"car": [], "truck": []}, "ignore": ["bus", "carro"]}
