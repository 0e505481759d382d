"""What a split by file would have claimed, on data where copies are all there is to know."""

import numpy as np
import pytest

from tandem.curation.naive_split import accuracy_by_split
from tandem.tables.index import ImageRecord, Origin
from tandem.tables.samples import Sample, Samples
from tandem.tables.splits import assign_split

CLASSES = ("car", "truck")


def draw(name):
    return assign_split(name, fractions={"train": 0.6, "val": 0.2, "test": 0.2}, seed=0)


def drawn(num_scenes, files_each, *, note=""):
    """Scenes of no class at all but their own noise: each has several files, of which one is used."""
    rng = np.random.default_rng(0)
    x, records, samples = [], [], []
    for scene in range(num_scenes):
        row, label = rng.normal(size=256), CLASSES[rng.integers(2)]
        for number in range(files_each):
            id_ = f"{scene:03}{number}"
            x.append(row)
            records.append(ImageRecord(id_, label, f"{id_}.jpg", 9, 9, (), (Origin("web", f"{id_}.jpg", label),)))
            split = draw(f"{scene}") if number == 0 else ""
            samples.append(
                Sample(id_, label, "web", f"{scene}", split, "" if split else note or f"copy of {scene:03}0")
            )
    return records, Samples.of(CLASSES, tuple(samples)), np.array(x, dtype=np.float32)


def test_copies_of_test_files_in_train_are_worth_points_that_are_not_there():
    found = accuracy_by_split(*drawn(150, 4), draw)
    assert found["split_by_group"]["top1_accuracy"] == pytest.approx(0.5, abs=0.2)
    assert found["split_by_file"]["top1_accuracy"] > 0.85
    assert found["split_by_file"]["test_images"] == pytest.approx(0.2 * 600, rel=0.3)


@pytest.mark.parametrize("note", ["conflict: copies are labelled car and truck", "dropped: logos"])
def test_files_whose_class_nobody_knows_are_in_neither(note):
    found = accuracy_by_split(*drawn(60, 3, note=note), draw)
    assert found["split_by_file"]["test_images"] == pytest.approx(0.2 * 60, rel=0.7)


def test_every_place_where_a_image_was_found_is_a_file():
    records, samples, x = drawn(60, 1)
    twice = [
        ImageRecord(r.id, r.label, r.file, 9, 9, (), (*r.origins, Origin("yard", f"{r.id}.jpg", "x"))) for r in records
    ]
    once, both = (
        accuracy_by_split(each, samples, x, draw)["split_by_file"]["test_images"] for each in (records, twice)
    )
    assert both > once


def test_without_a_test_image_there_is_no_accuracy():
    records, samples, x = drawn(10, 1)
    nobody = Samples.of(CLASSES, tuple(Sample(s.id, s.label, s.source, s.group, "train") for s in samples.samples))
    assert np.isnan(accuracy_by_split(records, nobody, x, lambda name: "train")["split_by_group"]["top1_accuracy"])
