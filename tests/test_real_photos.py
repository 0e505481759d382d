"""The vehicles preset on real photographs, when they lie beside the project."""

from pathlib import Path

import pytest

import real_photos
from tandem.files import read_json

ARCHIVES = Path(__file__).resolve().parents[2] / "shared" / "data"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not ARCHIVES.is_dir(), reason=f"no real photographs in {ARCHIVES}"),
]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    clone = tmp_path_factory.mktemp("photos") / "vehicles"
    real_photos.prepare(clone, "vehicles", ARCHIVES, real_photos.VEHICLES)
    params = real_photos.read_params(clone)
    del params["backbones"]["resnet50"]  # its pass takes a minute, and no claim here needs it
    real_photos.write_params(clone, params)
    real_photos.repro(clone, "evaluate")
    return clone


def test_every_copy_that_the_archives_hold_is_found(clone):
    assert real_photos.copies_found(clone) == len(real_photos.COPIES)


def test_no_near_pair_lies_across_two_splits(clone):
    assert real_photos.cross_split_pairs(clone) == 0
    assert read_json(clone / "metrics/curate.json")["near_duplicate_pairs"] > 40


def test_the_honest_accuracy_is_below_what_a_split_by_file_claims(clone):
    honest = read_json(clone / "metrics/evaluate.json")["models"]["mobilenet_v2"]["top1_accuracy"]
    claimed = real_photos.claimed_by_file_split(clone, seed=0)
    assert 0.84 < honest < claimed
    assert claimed > 0.93


def test_every_file_is_accounted_for(clone):
    counts = read_json(clone / "metrics/merge.json")
    # car 98 + 215 + 19 + 336 + 2, motorcycle 99 + 215 + 180 + 2, truck 98 + 182 + 2
    assert counts["files"] == 1448
    assert counts["byte_copies"] == 370
    assert counts["dropped"] == {"ignored_label": 191}
