"""The pages' commands, run in order by bash as they stand: in a project with a finished run, or in an empty folder.

What a reader has is put there first: an archive of photographs, some images, a repository to clone and to push to.
Services are mock servers. tests/page_runs.py names what runs elsewhere, and why.
"""

import secrets
import shutil
from itertools import chain

import psutil
import pytest

from page_runs import ELSEWHERE, Session, cache_settings, runs_elsewhere
from pages import CHANGELOG, PAGES, README, ROOT, fences, rel, runnable, text_of, yaml
from scratch_project import NO_AWS, Clone, copied, processes, read_json
from services import KAGGLE_KEY, KAGGLE_USERNAME, ROBOFLOW_KEY, Services, zipped

pytestmark = pytest.mark.slow

DOCS = ROOT / "docs"
# One after the other: `predicting` hands a file on by the remote that `remotes` names, and the project of `own-data`
# takes what that of the README has computed from the cache of both.
TOGETHER = [[DOCS / "remotes.md", DOCS / "predicting.md"], [README, DOCS / "own-data.md"]]
FIRST = [*TOGETHER, [DOCS / "experiments.md"]]  # which take longest
RUN = FIRST + [[page] for page in PAGES if runnable(page) and page not in chain(*FIRST, [CHANGELOG])]
KEY, SECRET = (secrets.token_hex(10) for _ in range(2))
# No credentials but those of the bucket; and whoever commits.
ALONE = {
    **NO_AWS,
    "AWS_ACCESS_KEY_ID": KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    **{f"GIT_{role}_{what}": "a@example.invalid" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


@pytest.fixture(scope="session")
def project(first, work, given):
    """A clone with a finished run, in a git repository with an origin, and beside it some images of a reader."""
    home = work / "home"
    home.mkdir()
    with copied(Clone(first[0].root, first[0].settings | ALONE | cache_settings(home)), work, "pages") as clone:
        origin = work / "origin.git"
        clone.git("init", "-q", "--bare", str(origin))
        clone.git("remote", "add", "origin", str(origin))
        clone.git("push", "-qu", "origin", "HEAD")
        shutil.copytree(given, clone.root, dirs_exist_ok=True)
        yield clone


@pytest.fixture(scope="session")
def given(first, work):
    """What a reader has: images in `photos/` and `one.jpg`, and more of each class in `flowers.zip`."""
    folder, sources = work / "given", first[0].root.parent / "sources"
    (folder / "photos").mkdir(parents=True)
    for number in range(3):
        shutil.copy(sources / f"web/disc/{number}.png", folder / "photos")
    shutil.copy(sources / "web/disc/4.png", folder / "one.jpg")
    shutil.copy(sources / "exports.zip", folder / "flowers.zip")
    return folder


@pytest.fixture(scope="session")
def services():
    """What docs/kaggle-and-roboflow.md names, on mock servers, and the settings and credentials of its clients."""
    (sources,) = [yaml(block)["sources"] for block in fences(DOCS / "kaggle-and-roboflow.md", "yaml")]
    street, yard = sources["street"]["kaggle"], sources["yard"]["roboflow"]
    with Services() as services:
        services.add_kaggle(street["dataset"], version=street["version"], archive=zipped({"car/1.jpg": b"1"}))
        archive = zipped({"train/car/1.jpg": b"1"})
        services.add_roboflow(yard["project"], version=yard["version"], fmt=yard["format"], archive=archive)
        keys = {"KAGGLE_USERNAME": KAGGLE_USERNAME, "KAGGLE_KEY": KAGGLE_KEY, "ROBOFLOW_API_KEY": ROBOFLOW_KEY}
        yield sources, services.environ() | keys


@pytest.mark.parametrize("pages", RUN, ids=lambda pages: " ".join(map(rel, pages)))
def test_the_commands_of_pages_run_in_order(pages, project, bucket, given, work, request):
    settings = {"PROJECTS_CACHE": str(work / "projects")}
    if DOCS / "kaggle-and-roboflow.md" in pages:
        sources, of_clients = request.getfixturevalue("services")
        settings |= of_clients
        project.write_params(project.params() | {"sources": sources})
    places = {
        "<address of this repository>": str(work / "origin.git"),
        "URL": str(work / "origin.git"),
        "/mnt/disk/tandem": str(work / "disk"),
        "https://s3.example.com": bucket,
        "DIR": str(work / "written"),
        "KEY": KEY,
        "SECRET": SECRET,
        "FILES": str(given / "photos"),
    }
    session = Session(project.root, work, places, f"cp -r {given}/. .")
    for page in pages:
        done = Clone(project.root, project.settings | settings).run("bash", "-c", session.script(page), check=False)
        assert done.returncode == 0, done.stdout[-4000:]
        if page.stem == "experiments":
            check_queue(project)
        project.git("checkout", "-q", ".")


def check_queue(project):
    """Each value of the page's queue has its experiment, other scores, and the folder that of the last run still."""
    loss = {float(row["train.lr"]): row["log_loss"] for row in project.experiments()}
    assert set(loss) == {0.01, 0.001}
    assert len(set(loss.values())) == 2
    assert project.params()["train"]["lr"] == 0.01
    assert f"{read_json(project.root / 'metrics/summary.json')['log_loss']:.5g}" == f"{float(loss[0.01]):.5g}"
    project.dvc("queue", "stop")
    # now and then one of dvc's workers misses that its queue is empty, and the request to stop as well
    for worker in psutil.wait_procs(processes(project.root), timeout=20)[1]:
        worker.terminate()
    psutil.wait_procs(processes(project.root), timeout=20)


@pytest.mark.parametrize("start", ELSEWHERE)
def test_what_no_page_runs_here_is_run_where_it_is_said(start):
    path, needle = ELSEWHERE[start]
    assert needle in text_of(ROOT / path)
    lines = [line for page in PAGES for block in fences(page, "sh") for line in block.splitlines()]
    assert any(runs_elsewhere(part.strip()) for line in lines for part in line.split("&&") if start in part)
