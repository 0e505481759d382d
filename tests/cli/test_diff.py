"""`tandem diff` between a commit and the working tree, of planted data that lie in git."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from dvc.repo import Repo

from command_line import IGNORED, call
from pages import json_keys
from tandem.files import write_json
from tandem.tables.index import Excluded, ImageRecord, Index, Origin, save_excluded, save_index
from tandem.tables.logits import Logits, save_logits
from tandem.tables.samples import Sample, Samples, save_samples

pytestmark = pytest.mark.filterwarnings(IGNORED)
ROOT = Path(__file__).resolve().parents[2]
CLASSES = ("car", "truck")


def row(number):
    return (CLASSES[number % 2], "web", f"g{number:02}", ("train", "test")[number < 20], "")


THEN = {f"{number:032}": row(number) for number in range(40)}
FIRST, LAST = min(THEN), max(THEN)


def plant(rows, *, excluded=(), seed=0, selected="data/ensemble/mean"):
    """The files that are compared, in the current folder. selected: the folder of the selected model."""
    records = [
        ImageRecord(id_, each[0], f"{id_}.png", 9, 9, (), (Origin(each[1], f"{int(id_)}.jpg", each[0]),))
        for id_, each in sorted(rows.items())
    ]
    samples = Samples.of(CLASSES, (Sample(id_, *each) for id_, each in sorted(rows.items())))
    save_index(Index.of(records), Path("data/merge/index.csv"))
    save_excluded(excluded, Path("data/merge/excluded.csv"))
    save_samples(samples, Path("data/curate"))
    write_json(Path("data/ensemble/selected.json"), {"selected": Path(selected).name})
    values = np.random.default_rng(seed).normal(size=(len(samples), 2)).astype(np.float32)
    Path(selected).mkdir(parents=True, exist_ok=True)
    save_logits(Logits(samples.ids, CLASSES, values), Path(selected) / "logits.npz")


def git(*words):
    subprocess.run(["git", "-c", "user.name=ada", "-c", "user.email=a@b", *words], check=True, capture_output=True)


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path.parent / "site"))
    git("init", "-q")
    Repo.init()
    shutil.copy(ROOT / "params.yaml", tmp_path)
    plant(THEN)
    git("add", "-A")
    git("commit", "-qm", "then")
    return tmp_path


def change(folder):
    """An image relabelled, one excluded, one added, ten of test removed, a parameter changed, another model."""
    now = {id_: each for number, (id_, each) in enumerate(THEN.items()) if not 10 <= number < 20}
    now[FIRST] = ("truck", *THEN[FIRST][1:])
    now[LAST] = (*THEN[LAST][:3], "", "dropped: a logo")
    now["9" * 32] = row(50)
    plant(now, seed=1, excluded=[Excluded("web", "12.jpg", "car", "truncated", "")])
    text = (folder / "params.yaml").read_text(encoding="utf-8")
    (folder / "params.yaml").write_text(text.replace("  lr: 0.001\n", "  lr: 0.01\n"), encoding="utf-8")


def test_nothing_has_changed_in_a_fresh_clone(project, capsys):
    code, printed, said = call(capsys, "diff", "HEAD")
    assert code == 0, said
    assert "HEAD -> working tree\nimages: 40 -> 40; none changed\ngroups: 0 merged, 0 split\n" in printed
    assert "parameters: none changed" in printed
    assert "  paired, on the same test images:\n    top-1 accuracy " in printed


def test_scores_are_compared_where_the_selected_model_is_a_single_one(project, capsys):
    plant(THEN, selected="data/train/resnet50")
    git("add", "-A")
    git("commit", "-qm", "a mean of one model, which has its name")
    plant(THEN, seed=1, selected="data/train/mobilenet_v2")
    code, printed, said = call(capsys, "diff", "HEAD")
    assert code == 0, said
    assert "scores of the selected model: resnet50, now mobilenet_v2\n  paired, on the same test images:\n" in printed


def test_what_changed_is_counted_and_a_few_are_shown(project, capsys):
    change(project)
    code, printed, said = call(capsys, "diff", "HEAD", "--examples", "2")
    assert code == 0, said
    lines = printed.splitlines()
    assert lines[1] == "images: 40 -> 31; 1 added, 10 removed, 1 relabelled, 1 newly excluded"
    assert lines[2] == "  web: 1 added, 10 removed, 1 relabelled, 1 newly excluded"
    assert "  000000000000  web/0.jpg  car -> truck" in lines
    assert "  000000000000  web/39.jpg  train -> dropped: a logo" in lines
    assert "  and 8 more" in lines
    assert "  train.lr: 0.001, now 0.01" in lines
    assert "  paired, on the 10 common test images:" in lines
    assert "  not paired, each on its own test images (20, now 10):" in lines


def test_all_of_it_is_one_object_for_programs(project, capsys):
    change(project)
    code, printed, said = call(capsys, "diff", "HEAD", "--json")
    assert code == 0, said
    found = json.loads(printed)
    assert set(found) == json_keys("tandem diff")
    assert found["images"]["counts"]["removed"] == 10
    assert len(found["changes"]) == 13
    assert [each["after"] for each in found["changes"] if each["file"] == "12.jpg"] == ["truncated"]
    assert found["params"] == [{"key": "train.lr", "before": 0.001, "after": 0.01}]
    assert (found["scores"]["common"], found["scores"]["images_before"]) == (10, 20)


def test_two_revisions_are_compared_whatever_lies_in_the_folder(project, capsys):
    change(project)
    git("commit", "-qam", "now")
    plant(THEN)
    code, printed, _ = call(capsys, "diff", "HEAD~1", "HEAD")
    assert code == 0
    assert printed.startswith("HEAD~1 -> HEAD\nimages: 40 -> 31; ")


def test_data_without_models_are_compared_and_the_reason_stands_in_place_of_scores(project, capsys):
    shutil.rmtree("data/ensemble")
    code, printed, _ = call(capsys, "diff", "HEAD")
    assert code == 0
    assert "images: 40 -> 40; none changed" in printed
    assert "scores: not compared: data/ensemble/selected.json is missing" in printed


def test_data_that_are_not_there_yet_are_told(project, capsys):
    shutil.rmtree("data")
    code, printed, said = call(capsys, "diff", "HEAD")
    assert (code, printed) == (1, "")
    assert "there is no data here yet (data/merge/index.csv is missing); run `dvc repro`, or name two revisions" in said


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        (
            "data/merge/index.csv",
            "id,label\n",
            "error: at HEAD, data/merge/index.csv cannot be read (its columns are id,label, not ",
        ),
        (
            "data/ensemble/selected.json",
            "[",
            "scores: not compared: at HEAD, data/ensemble/selected.json cannot be read",
        ),
        ("params.yaml", "merge: [\n", "error: at HEAD, params.yaml is not valid YAML"),
    ],
)
def test_a_revision_of_another_format_is_told_by_its_name(project, capsys, name, text, words):
    before = Path(name).read_text(encoding="utf-8")
    Path(name).write_text(text, encoding="utf-8")
    git("commit", "-qam", "of another version")
    Path(name).write_text(before, encoding="utf-8")
    code, printed, said = call(capsys, "diff", "HEAD")
    assert code == ("ensemble" not in name)  # of the data without scores there is something to compare
    assert words in printed + said
    assert "had another format then" in printed + said
    assert "/0/" not in printed + said
