"""Machines that differ are named, with what they differ in."""

import pytest

from tandem.cluster.agreement import HERE, Agreement
from tandem.errors import ClusterError


def test_all_must_say_the_same() -> None:
    agreed = Agreement()
    assert agreed.facts == {}
    agreed.require(HERE, {"code": "one", "libraries": {"torch": "2.11"}})
    agreed.require("node 10.0.0.2", {"code": "one", "libraries": {"torch": "2.11"}})
    assert agreed.facts["code"] == "one"
    said = r"this machine and node 10\.0\.0\.4 .* differ in libraries \{'torch': '2\.11'\} and \{'torch': '2\.12'\}: "
    with pytest.raises(ClusterError, match=said):
        agreed.require("node 10.0.0.4", {"code": "one", "libraries": {"torch": "2.12"}})


def test_what_only_one_of_them_says_is_a_difference() -> None:
    agreed = Agreement()
    agreed.require(HERE, {"code": "one"})
    with pytest.raises(ClusterError, match="differ in gpus None and 2"):
        agreed.require("node 10.0.0.4", {"code": "one", "gpus": 2})
