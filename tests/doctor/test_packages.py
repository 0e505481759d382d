"""Python and packages, judged of planted versions and read of this installation."""

from dataclasses import replace
from importlib.metadata import version

import pytest

from tandem.doctor.packages import (
    Installation,
    judge_installation,
    judge_python_of_stages,
    read_installation,
    read_pins,
)

SOUND = Installation(
    python="3.12.4",
    prefix="/venv",
    python_range=">=3.11",
    versions={"torch": "2.12.0+cpu", "torchvision": "0.27.0", "pi-heif": "1.2.0"},
    requirements=(
        "torch<2.16,>=2.11",
        "pi_heif<2,>=1.1",
        "openvino; platform_system == 'Nowhere'",
        "ruff; extra == 'x'",
    ),
    pair="torch (==2.12.0)",
    pinned={"torch": "2.12.0+cpu", "pi-heif": "1.2.0"},
)


def levels(found):
    return {each.subject: each.level for each in judge_installation(found)}


def test_what_fits_is_ok_extras_and_other_systems_left_out():
    assert set(levels(SOUND).values()) == {"ok"}
    assert "all 2 are in the ranges" in str(judge_installation(SOUND)[1])


@pytest.mark.parametrize(
    ("change", "subject", "level", "words"),
    [
        ({"python": "3.10.1"}, "Python", "error", "3.10.1 in /venv; >=3.11 is needed"),
        ({"requirements": ("torch>=2.13",)}, "packages", "error", "torch 2.12.0+cpu is installed, >=2.13 is needed"),
        ({"requirements": ("polars",)}, "packages", "error", "polars is missing"),
        ({"requirements": ()}, "packages", "note", "tandem is not installed in /venv"),
        ({"pair": "torch==2.11.0"}, "torch", "error", "==2.11.0 is needed by torchvision"),
        ({"versions": {"torch": "2.12.0"}}, "torch", "error", "torch 2.12.0, torchvision missing"),
        ({"pinned": {"torch": "2.11.0"}}, "requirements.lock", "note", "1 others: torch 2.12.0+cpu for 2.11.0"),
        ({"pinned": {"polars": "1.0"}}, "requirements.lock", "note", "1 missing: polars"),
    ],
)
def test_what_does_not_fit_is_named_with_both_versions(change, subject, level, words):
    found = {each.subject: each for each in judge_installation(replace(SOUND, **change))}
    assert found[subject].level == level
    assert words in str(found[subject])


@pytest.mark.parametrize(
    ("found", "level", "words"),
    [
        ("/venv/bin/python", "ok", "/venv/bin/python"),
        (
            "/usr/bin/python",
            "note",
            "what is checked here is /venv; `source /venv/bin/activate`",
        ),
        (None, "error", "there is no `python` on PATH"),
    ],
)
def test_stages_run_by_the_python_of_the_path(found, level, words):
    (finding,) = judge_python_of_stages(found, prefix="/venv")
    assert finding.level == level
    assert words in str(finding)


def test_many_differences_are_counted_and_a_few_are_named():
    pinned = {f"package{number}": "1" for number in range(9)}
    (*_, found) = judge_installation(replace(SOUND, pinned=pinned))
    assert "9 missing: package0" in found.text
    assert "package5 and 3 more" in found.text


def test_without_a_pinned_set_nothing_is_said_of_one():
    assert "requirements.lock" not in levels(replace(SOUND, pinned={}))


def test_pins_are_those_of_this_machine():
    text = """\
# of a tool
aa_b==1.2 ; python_full_version >= '3'
    # via tandem
cc==2 ; sys_platform == 'nowhere'
dd>=3
-e .
"""
    assert read_pins(text) == {"aa-b": "1.2"}


def test_this_installation_is_read_without_a_file_of_pins(tmp_path):
    found = read_installation(tmp_path / "requirements.lock")
    assert found.versions["torch"] == version("torch")
    assert found.pinned == {}
    assert found.pair.startswith("torch")
    assert any(each.startswith("fiftyone") for each in found.requirements)
