"""`tandem drift` and `tandem select` in a scratch clone with a finished run, on images that are generated for them."""

import csv
import json
import shutil
import subprocess
import sys

import pytest

from pages import json_keys
from scratch_project import LABELS, copied, image, save

pytestmark = pytest.mark.slow

TANDEM = (sys.executable, "-c", "from tandem.cli.main import app; app()")


@pytest.fixture(scope="module")
def project(first, work):
    """With folders of new images: like those of the sources, darkened, and with files that are known or broken."""
    with copied(first[0], work, "new-images") as clone:
        for label in LABELS:
            for number in range(300, 308):
                save(image(label, number), clone.root / "alike" / label / f"{number}.png")
                save(image(label, number + 50) // 4, clone.root / "dark" / f"{label}-{number}.png")
        mixed = clone.root / "mixed"
        shutil.copytree(clone.root / "alike", mixed)
        save(image("bars", 400), mixed / "twin-1.png")
        save(image("bars", 400) // 4 * 4, mixed / "twin-2.png")
        save(image("bars", 2), mixed / "known.png")  # of the source `web`
        save(image("bars", 3) // 4 * 4, mixed / "nearly-known.png")
        (mixed / "broken.png").write_bytes((mixed / "known.png").read_bytes()[:300])
        (mixed / "notes.txt").write_text("nor is this")
        yield clone


def tandem(project, *arguments):
    return subprocess.run(
        [*TANDEM, *arguments], cwd=project.root, env=project.environment(), capture_output=True, text=True, timeout=300
    )


def test_images_like_those_of_the_sources_are_no_drift(project):
    done = tandem(project, "drift", "alike")
    assert done.returncode == 0, done.stdout + done.stderr
    first, second, *_, verdict = done.stdout.splitlines()
    assert first == "24 new images"
    assert second.startswith("24 new images (24 groups) beside ")
    assert verdict == "no drift found (at alpha 0.05, corrected for 7 tests)"


def test_darkened_images_are_drift_with_an_exit_code_of_its_own(project):
    done = tandem(project, "drift", "dark", "--json")
    assert done.returncode == 3
    found = json.loads(done.stdout)
    assert set(found) == json_keys("tandem drift")
    drifted = {test["name"] for test in found["tests"] if test["is_drift"]}
    assert found["is_drift"] and "brightness" in drifted
    assert not drifted & {"aspect_ratio", "min_side_px"}
    assert (found["images"], found["failed"], found["compared"]["new"]) == (24, [], {"images": 24, "groups": 24})


def test_a_file_that_cannot_be_read_is_named_and_keeps_the_exit_code_from_being_0(project):
    done = tandem(project, "drift", "mixed", "--json")
    assert done.returncode == 1
    assert "error: mixed/broken.png: the image's data ends early or is corrupt" in done.stderr
    found = json.loads(done.stdout)
    assert [each["path"] for each in found["failed"]] == ["mixed/broken.png"]
    assert (found["images"], found["other_files"], found["in_project"], found["is_drift"]) == (28, 1, 1, False)
    assert found["compared"]["new"] == {"images": 28, "groups": 27}


def test_of_many_files_a_sample_is_compared_and_that_is_said(project):
    done = tandem(project, "drift", "dark", "--max-images", "15")
    assert done.returncode == 3
    assert done.stdout.startswith(
        "15 new images, a random sample of 24 files (--max-images)\n15 new images (15 groups) "
    )


def test_images_are_selected_of_which_no_two_are_alike_and_none_is_known(project):
    done = tandem(project, "select", "mixed", "-n", "26", "--json", "--copy-to", "to_label")
    assert done.returncode == 1  # one file is broken
    found = json.loads(done.stdout)
    assert set(found) == json_keys("tandem select")
    assert (found["candidates"], found["near_duplicates_of_project"], found["near_duplicates"]) == (25, 2, 1)
    names = [each["path"] for each in found["selected"]]
    assert len(set(names)) == 25
    assert not {"mixed/known.png", "mixed/nearly-known.png", "mixed/twin-2.png"} & set(names)
    assert "mixed/twin-1.png" in names
    copies = sorted((project.root / "to_label").iterdir())
    assert [path.name.partition("-")[0] for path in copies] == [f"{rank:04d}" for rank in range(1, 26)]
    assert [path.read_bytes() for path in copies] == [(project.root / name).read_bytes() for name in names]


def test_the_least_sure_stand_first_with_a_reason_as_csv(project):
    done = tandem(project, "select", "alike", "-n", "4", "--csv")
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert [row["rank"] for row in rows] == list("1234")
    uncertainty = [float(row["uncertainty"]) for row in rows]
    assert uncertainty == sorted(uncertainty, reverse=True)
    assert all(row["reason"].startswith(f"{row['label']} or {row['second_label']}: less sure than ") for row in rows)


def test_images_of_the_project_itself_leave_nothing_to_select(project):
    done = tandem(project, "select", "mixed/known.png")
    assert (done.returncode, done.stdout.splitlines()) == (
        0,
        [
            "1 new images; left out: 1 that the project has or near duplicates of them, 0 near duplicates of others",
            "0 of 0 images that are left are selected",
        ],
    )


def test_a_folder_without_images_is_an_error(project):
    (project.root / "empty").mkdir()
    (project.root / "empty/notes.txt").touch()
    done = tandem(project, "drift", "empty")
    assert (done.returncode, done.stdout) == (1, "")
    assert "error: there is no image that can be read in empty; name other files or folders" in done.stderr
    for command in ("drift", "select"):
        done = tandem(project, command, "-")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            "error: standard input (-) is one image, and several are compared here; name files or folders\n"
        )
