"""The line that pins tandem, of each way in which it can have been installed."""

import pytest

from tandem.pipeline.code.pinned import PIN_PATH, installed_version, pinned_version
from tandem.projects import pin

COMMIT = "3f2a" * 10


@pytest.mark.parametrize(
    ("origin", "line"),
    [
        ({}, "tandem==1.2"),
        (
            {"url": "https://example.org/t", "vcs_info": {"vcs": "git", "commit_id": COMMIT}},
            f"tandem @ git+https://example.org/t@{COMMIT}  # version 1.2",
        ),
        ({"url": "https://example.org/t.whl", "archive_info": {}}, "tandem @ https://example.org/t.whl  # version 1.2"),
        ({"url": "file:///home/me/t", "dir_info": {}}, "tandem @ file:///home/me/t  # version 1.2"),
    ],
    ids=["an index", "git", "an address", "a folder"],
)
def test_a_package_is_pinned_by_where_it_came_from_and_the_version_is_read_again(tmp_path, origin, line):
    assert pin._line("1.2", origin) == line
    (tmp_path / PIN_PATH).write_text(f"{line}\n")
    assert pinned_version(tmp_path) == "1.2"


def test_a_new_file_says_what_it_is_for(tmp_path):
    text = pin.requirements()
    assert text.startswith("# The version of tandem that this project's results are computed by.")
    (tmp_path / PIN_PATH).write_text(text)
    assert pinned_version(tmp_path) == installed_version()


def test_an_earlier_file_keeps_its_other_lines(tmp_path):
    earlier = "# ours\ntimm>=1 # backbones\ntandem[s3]==0.0.1\ntandem-client==7\n"
    lines = pin.requirements(earlier).splitlines()
    assert [lines[0], lines[1], lines[3]] == ["# ours", "timm>=1 # backbones", "tandem-client==7"]
    assert lines[2].startswith("tandem")
    assert pin.requirements("timm\n").splitlines()[1:] == ["timm"]
    assert pin.requirements(pin.requirements(earlier)) == pin.requirements(earlier)


def test_this_version_by_an_address_that_somebody_wrote_is_left(tmp_path):
    ours = f"tandem @ https://example.org/tandem.whl  # version {installed_version()}\n"
    assert pin.requirements(ours) == ours
