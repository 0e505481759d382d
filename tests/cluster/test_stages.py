"""The stages with runtime.cluster: DVC sees the outputs of one machine."""

import re
import shutil

import pytest

from ray_nodes import Nodes
from scratch_project import CURATES, INGESTS, generate_sources, make_clone, tiny_params

pytestmark = pytest.mark.slow


def test_dvc_sees_the_same_outputs_from_a_cluster(tmp_path, two_nodes: Nodes):
    generate_sources(tmp_path / "sources", per_label=8)
    clone = make_clone(tmp_path / "clone", params=tiny_params(tmp_path / "sources"))
    extract = f"extract@{CURATES}"
    clone.repro(extract)
    locked = clone.stages()

    params = clone.root / "params.yaml"
    text = re.sub(r"\bcluster:( null)?", f'cluster: "{two_nodes.address}"', params.read_text(encoding="utf-8"))
    params.write_text(text, encoding="utf-8")
    assert clone.params()["runtime"]["cluster"] == two_nodes.address
    assert clone.repro(extract).ran == {"check"}, "another engine is no other result"
    for folder in (".tandem/ingested", "data/ingest", f"data/extract/{CURATES}"):
        shutil.rmtree(clone.root / folder)
    shutil.rmtree(tmp_path / "clone-cache")  # of features
    said = clone.dvc("repro", "--force", "--single-item", *sorted(INGESTS), extract)
    assert "49 images, 49 of them new" in said
    changed = {name for name, entry in clone.stages().items() if entry != locked[name]}
    assert changed <= {"check"}
    assert clone.dvc("status", *sorted(INGESTS), extract).strip().endswith("up to date.")
