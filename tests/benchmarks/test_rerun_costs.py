"""What is required of a change, by planted costs, and what is counted, by real decoders and engines."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import rerun_costs
from growth import Cost
from rerun_costs import EVERYTHING, NEW_BACKBONE, OWN_SOURCE, SAME_ARCHIVE, Rerun

ROOT = Path(__file__).resolve().parents[2]
ALL = Rerun(EVERYTHING, Cost(100.0, 150.0, 900.0), {("ingest", "decode"): 1000, ("extract", "pass"): 2000})

PROGRAM = """
import io
import numpy as np
from PIL import Image
from tandem.features.engines.base import Engine
from tandem.images.decode import decode

for format in ("JPEG", "PNG"):
    file = io.BytesIO()
    Image.new("RGB", (40, 40), "red").save(file, format)
    decode(file.getvalue(), min_side_px=1, max_pixels=10_000)
engine = Engine("one", lambda batches: (batch.mean((1, 2)) for batch in batches))
assert [len(part) for part in engine.embed([np.zeros((3, 4, 4, 3)), np.zeros((2, 4, 4, 3))])] == [3, 2]
"""


def rerun(change, *, ingested=0, passes=0, converted=0, curated=0, exported=0):
    counts = {("ingest", "decode"): ingested, ("extract", "pass"): passes, ("convert", "pass"): converted}
    counts |= {("curate", "decode"): curated, ("export", "decode"): exported}
    return Rerun(change, Cost(1.0, 1.0, 1.0), counts)


@pytest.mark.parametrize(
    ("after", "are_reached"),
    [
        (rerun("a class renamed"), [True, True, True, True]),
        (rerun("a class renamed", ingested=1), [False, True, True, True]),
        (rerun("a class renamed", converted=1), [True, False, True, True]),
        (rerun("a class renamed", curated=1), [True, True, False, True]),
        (rerun("a class renamed", exported=1), [True, True, True, False]),
        (rerun("train.lr", passes=1), [True, False, True, True]),
        (rerun(OWN_SOURCE, ingested=10, passes=30, converted=10, curated=9), [True, True, True, True]),
        (rerun(OWN_SOURCE, ingested=10, passes=30, converted=11), [True, False, True, True]),
        (rerun(SAME_ARCHIVE, ingested=1010, passes=20), [False, True, True, True]),
        (rerun(NEW_BACKBONE, passes=1000, curated=9), [True, True, True, True]),
        (rerun(NEW_BACKBONE, ingested=1, passes=1000), [False, True, True, True]),
        (ALL, [True, True, True, True]),
    ],
)
def test_what_is_required_depends_on_the_change(after, are_reached):
    figures = rerun_costs.required_of("generated", after, ALL, num_new=10)
    assert [figure.is_reached for figure in figures] == are_reached


def test_each_change_has_its_decodes_and_its_time():
    figures = {figure.what: figure.value for figure in rerun_costs.rerun_figures("v", [ALL], num_new=10)}
    assert figures["v, everything: files decoded by ingest"] == 1000
    assert figures["v, everything: passes through frozen backbones"] == 2000
    assert figures["v, everything: s of all cores"] == 150


def test_comparisons_of_engines_are_no_passes_and_other_stages_decode_too():
    counts = {
        ("extract", "comparison"): 16,
        ("extract", "decode"): 5,
        ("finetune", "pass"): 64,
        ("finetune", "decode"): 64,
        ("curate", "decode"): 7,
    }
    record = rerun_costs.as_record(Rerun("train.lr", Cost(1.04, 2.06, 3.0), counts))
    assert record["passes"] == 0
    assert (record["decoded_by_curate"], record["decoded_elsewhere"]) == (7, 69)
    assert (record["seconds"], record["core_seconds"]) == (1.0, 2.1)
    assert record["by_stage"]["finetune pass"] == 64


def test_decoders_and_engines_are_counted_where_they_are_called(tmp_path):
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "benchmarks/counting")])
    environment = {**os.environ, "PYTHONPATH": path, "TANDEM_COUNTS": str(tmp_path / "counts.csv")}
    (tmp_path / "extract.py").write_text(PROGRAM, encoding="utf-8")
    subprocess.run([sys.executable, "extract.py"], cwd=tmp_path, env=environment, check=True)
    assert rerun_costs.read_counts(tmp_path / "counts.csv") == {("extract", "decode"): 2, ("extract", "pass"): 5}
