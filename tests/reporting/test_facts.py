import pytest

from tandem.errors import DamagedFileError, DataError
from tandem.reporting.facts import read_facts

PARAMS = {"backbones": {"one": {}}, "sources": {"web": {}}}


def test_before_the_end_of_a_run_what_to_do_is_said(tmp_path):
    with pytest.raises(
        DataError, match=r"no run has ended in this folder \(.*evaluate\.json is missing\); run `dvc repro`"
    ):
        read_facts(tmp_path, PARAMS, data_dir=tmp_path / "data", metrics_dir=tmp_path / "metrics")


def test_a_file_that_a_finished_run_lacks_is_named(tmp_path):
    (tmp_path / "evaluate.json").write_text("{}")
    with pytest.raises(DamagedFileError, match=r"summary\.json is missing; run the stage that wrote it again"):
        read_facts(tmp_path, PARAMS, data_dir=tmp_path / "data", metrics_dir=tmp_path)
