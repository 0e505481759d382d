"""What reads the files of a run takes the parameters that it ran with, or says what differs."""

import json

import pytest

from tandem.errors import DataError
from tandem.pipeline.finished import params_of_finished_run


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "params.yaml").write_text("train: {lr: 0.1, epochs: 3}\n")
    stages = {"train": {"params": {"params.yaml": {"train": {"lr": 0.1, "epochs": 3}}}}}
    (tmp_path / "dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": stages}))
    for name in ("ensemble", "convert"):
        (tmp_path / "data" / name).mkdir(parents=True)
    (tmp_path / "data/ensemble/selected.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


def test_the_parameters_of_the_last_run_are_read(folder):
    assert params_of_finished_run(folder) == {"train": {"lr": 0.1, "epochs": 3}}


def test_other_parameters_than_those_of_the_last_run_are_named(folder):
    (folder.parent / "params.yaml").write_text("train: {lr: 0.2, epochs: 3}\n")
    with pytest.raises(DataError, match=r"params\.yaml differs from the last run in train\.lr; run `dvc repro`, or"):
        params_of_finished_run(folder)


@pytest.mark.parametrize("missing", ["ensemble/selected.json", "convert"])
def test_before_a_run_what_to_do_is_said(folder, missing):
    path = folder / missing
    path.rmdir() if path.is_dir() else path.unlink()
    with pytest.raises(DataError, match="nothing was trained in this folder yet; run `dvc repro` in the project's"):
        params_of_finished_run(folder)
