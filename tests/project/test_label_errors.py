"""Label errors by images of a size of their own: what that costs, and what it leaves alone."""

import pytest

from rerun_costs import read_counts
from scratch_project import EXTRACTS, read_csv, read_json

pytestmark = pytest.mark.slow


def test_a_size_of_their_own_embeds_each_image_once_and_reruns_nothing_but_what_reads_the_list(clone):
    clone.change("label_errors.fraction", 0.5)  # so that there is a list
    assert clone.repro("label_errors").ran == {"check", "label_errors"}
    before = read_csv(clone.root / "metrics/label_errors.csv")
    num_images = read_json(clone.root / "metrics/summary.json")["images"]
    clone.change("label_errors.size_px", 48)
    again = clone.counting(path := clone.root.with_suffix(".csv")).repro()
    assert again.ran - {"evaluate"} == {"check", "label_errors"}  # evaluate reads how many there are
    once = {"decode": num_images, "pass": len(EXTRACTS) * num_images}
    assert read_counts(path) == {("label_errors", kind): number for kind, number in once.items()}
    found = read_csv(clone.root / "metrics/label_errors.csv")
    assert len(found) == len(before) > 0
    assert [row["self_confidence"] for row in found] != [row["self_confidence"] for row in before]
