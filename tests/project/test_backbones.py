"""`tandem backbones` on a finished run: a line a backbone, and no pass for a candidate that becomes one."""

import json
import sys

import pytest

from pages import json_keys
from scratch_project import copied

pytestmark = pytest.mark.slow

TANDEM = (sys.executable, "-c", "from tandem.cli.main import app; app()", "backbones")
CANDIDATE = "torchvision/shufflenet_v2_x0_5/random"


def test_candidates_are_ranked_beside_the_projects_own_and_cost_no_pass_later(first, work):
    with copied(first[0], work, "backbones") as clone:
        said = clone.run(*TANDEM, CANDIDATE, "--json").stdout
        found = json.loads(said[said.index("{\n") :])
        assert set(found) == json_keys("tandem backbones")
        names = [each["name"] for each in found["backbones"]]
        assert set(names) == {*clone.params()["backbones"], CANDIDATE}
        accuracies = [each["top1_accuracy"]["value"] for each in found["backbones"]]
        assert accuracies == sorted(accuracies, reverse=True)
        assert [each["gain"] is None for each in found["backbones"]] == [True, *[False] * (len(names) - 1)]
        assert all(each["ms"] > 0 and each["megabytes"] > 0 for each in found["backbones"])
        lines = clone.run(*TANDEM, CANDIDATE).stdout.splitlines()
        *rows, _, second = lines[-len(names) - 2 :]
        assert [line.split()[0] for line in rows] == names
        assert second.startswith(f"beside {names[0]}")
        assert (found["best_second"] or "none adds anything") in second
        clone.change("backbones.shufflenet_v2_x0_5", {"weights": "random"})
        assert " images, 0 of them new, " in clone.repro("extract@shufflenet_v2_x0_5").text
