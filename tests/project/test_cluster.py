"""The stages with runtime.cluster: DVC sees the outputs of one machine."""

import re
import shutil

import pytest

from ray_nodes import Nodes
from scratch_project import CURATES, INGESTS, Clone, copied

pytestmark = pytest.mark.slow


def test_dvc_sees_the_same_outputs_from_a_cluster(first, work, two_nodes: Nodes):
    extract = f"extract@{CURATES}"
    # with no cache but its own, which is empty: all features are computed
    with copied(Clone(first[0].root), work, "cluster") as clone:
        locked = clone.stages()
        params = clone.root / "params.yaml"
        text = re.sub(r"\bcluster:( null)?", f'cluster: "{two_nodes.address}"', params.read_text(encoding="utf-8"))
        params.write_text(text, encoding="utf-8")
        assert clone.params()["runtime"]["cluster"] == two_nodes.address
        assert clone.repro(extract).ran == {"check"}, "another engine is no other result"
        for folder in (".tandem/ingested", "data/ingest", f"data/extract/{CURATES}"):
            shutil.rmtree(clone.root / folder)
        assert not clone.root.with_name(f"{clone.root.name}-cache").exists()
        said = clone.dvc("repro", "--force", "--single-item", *sorted(INGESTS), extract)
        assert "49 images, 49 of them new" in said
        changed = {name for name, entry in clone.stages().items() if entry != locked[name]}
        assert changed <= {"check"}
        assert clone.dvc("status", *sorted(INGESTS), extract).strip().endswith("up to date.")
