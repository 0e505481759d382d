"""Which backbones a model reads."""

import pytest

from tandem.files import write_json
from tandem.ood.backbones import backbones_read_by

BACKBONES = ("a", "b", "c")


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({"b": 1.0}, ["b"]),
        ({"c": 0.5, "a": 0.5}, ["a", "c"]),
        ({"a lr=0.01 batch_size=8 seed=0": 0.5, "b": 0.5}, ["a", "b"]),
        ({"a": 0.5, "logit lr=0.01 batch_size=8 seed=0": 0.5}, ["a", "b", "c"]),
    ],
)
def test_a_mean_reads_the_backbones_of_its_models_and_an_ensemble_in_it_all(tmp_path, weights, expected):
    write_json(tmp_path / "greedy/mean.json", {"weights": weights, "temperature": 1.0})
    assert backbones_read_by("greedy", BACKBONES, tmp_path) == expected


def test_a_head_reads_its_own_and_an_ensemble_that_was_trained_all(tmp_path):
    assert backbones_read_by("b", BACKBONES, tmp_path) == ["b"]
    assert backbones_read_by("stack", BACKBONES, tmp_path) == ["a", "b", "c"]


def test_a_student_reads_the_one_whose_features_it_learnt_on(tmp_path):
    write_json(tmp_path / "student/student.json", {"backbone": "c"})
    assert backbones_read_by("student", BACKBONES, tmp_path) == ["c"]
