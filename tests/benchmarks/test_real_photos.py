"""The vehicles preset on real photographs, when they lie beside the project.

Its three sources come through the real clients from a mock server, two more archives from the disk.
"""

from pathlib import Path

import pytest

import real_photos
import scratch
from services import KAGGLE_KEY, KAGGLE_USERNAME, ROBOFLOW_KEY, Services
from tandem.evaluation.metrics import top1_accuracy
from tandem.evaluation.scores import predictions_on
from tandem.files import read_json, sha256
from tandem.tables.logits import load_logits
from tandem.tables.samples import load_samples

ARCHIVES = Path(__file__).resolve().parents[3] / "shared" / "data"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not ARCHIVES.is_dir(), reason=f"no real photographs in {ARCHIVES}"),
]


PRESET = scratch.read_preset("vehicles")["sources"]
KEYS = {"KAGGLE_USERNAME": KAGGLE_USERNAME, "KAGGLE_KEY": KAGGLE_KEY, "ROBOFLOW_API_KEY": ROBOFLOW_KEY}


def serve(services, name):
    """Offer the archive of one of the preset's sources under the name and version that the preset asks for."""
    source, archive = PRESET[name], ARCHIVES / scratch.VEHICLES[name]
    if source["kind"] == "kaggle":
        return services.add_kaggle(source["kaggle"]["dataset"], version=source["kaggle"]["version"], archive=archive)
    asked = source["roboflow"]
    return services.add_roboflow(asked["project"], version=asked["version"], fmt=asked["format"], archive=archive)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    clone = tmp_path_factory.mktemp("photos") / "vehicles"
    scratch.make_clone(clone, "vehicles", ARCHIVES, scratch.VEHICLES)
    values = scratch.read_params(clone)
    values["sources"] |= PRESET
    del values["backbones"]["resnet50"]  # no claim here is about it
    values["train"] |= {"head": "linear", "folds": 2}  # nor about the head
    scratch.write_params(clone, values)
    with Services() as services, pytest.MonkeyPatch.context() as environment:
        for key, value in (services.environ() | KEYS | {"HOME": str(clone.parent)}).items():
            environment.setenv(key, value)
        for name in PRESET:
            serve(services, name)
        scratch.repro(clone, "train@mobilenet_v2")
    assert services.unexpected == []
    return clone


def test_every_source_of_the_preset_came_whole_from_its_service(clone):
    for name, source in PRESET.items():
        receipt = read_json(clone / f"data/download/receipts/{name}.json")
        assert receipt["sha256"] == sha256(ARCHIVES / scratch.VEHICLES[name])
        assert receipt["kind"] == source["kind"]
        assert receipt["asked"].items() >= source[source["kind"]].items()
    assert read_json(clone / "data/download/receipts/openimages.json")["licence"] == "CC BY 4.0"


def test_every_near_duplicate_that_the_archives_hold_is_found(clone):
    assert real_photos.num_known_pairs_grouped(clone) == len(real_photos.KNOWN_PAIRS)


def test_no_near_duplicates_lie_across_two_splits(clone):
    assert real_photos.num_cross_split_pairs(clone) == 0
    assert read_json(clone / "metrics/curate.json")["near_duplicate_pairs"] > 40


def test_the_accuracy_of_a_group_aware_split_is_below_what_a_random_split_claims(clone):
    samples = load_samples(clone / "data/curate")
    logits = load_logits(clone / "data/train/mobilenet_v2/logits.npz")
    honest = top1_accuracy(predictions_on(samples.test, logits.values))
    claimed = real_photos.random_split_accuracy(clone, seed=0)
    assert 0.84 < honest < claimed
    assert claimed > 0.93


def test_every_file_is_accounted_for(clone):
    counts = read_json(clone / "metrics/merge.json")
    # car 98 + 215 + 19 + 336 + 2, motorcycle 99 + 215 + 180 + 2, truck 98 + 182 + 2
    assert counts["files"] == 1448
    assert counts["byte_duplicates"] == 370
    assert counts["excluded"] == {"ignored_label": 191}
