"""A project's parameters, lock files and sources, of real files."""

import shutil
from pathlib import Path

from tandem.doctor.project import is_project, judge_project, needed_accounts, needs_of, read_project, unfetched

ROOT = Path(__file__).resolve().parents[2]


def project(folder, change=("", "")):
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    (folder / "params.yaml").write_text(text.replace(*change, 1) if change[0] else text, encoding="utf-8")
    shutil.copy(ROOT / "dvc.yaml", folder)
    (folder / "presets").symlink_to(ROOT / "presets")  # by which keys without effect are known to be those of a preset
    return folder


def levels(folder):
    return [(each.subject, each.level) for each in judge_project(read_project(folder))]


def test_a_folder_is_a_project_where_it_has_parameters_or_a_pipeline(tmp_path):
    assert not is_project(tmp_path)
    (tmp_path / "dvc.yaml").touch()
    assert is_project(tmp_path)


def test_a_sound_project_is_ok(tmp_path):
    assert levels(project(tmp_path)) == [("params.yaml", "ok"), ("lock files", "ok")]


def test_parameters_that_are_wrong_are_told_as_check_tells_them(tmp_path):
    text = (project(tmp_path) / "params.yaml").read_text(encoding="utf-8")
    text = text.replace("batch_size: 8\n", "batch_size: 0\n", 1).replace("num_neighbors: 20", "num_neighbors: 0")
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    found = read_project(tmp_path)
    assert found.params is None
    neighbors, batch_size, _ = judge_project(found)
    assert (neighbors.level, batch_size.level) == ("error", "error")
    assert "label_errors.num_neighbors is 0" in neighbors.text
    assert batch_size.text.endswith("train.batch_size is 0; a number from 1 on is needed")
    assert unfetched(found) == {}


def test_warnings_are_notes(tmp_path):
    _, note, _ = judge_project(read_project(project(tmp_path, ("  lr: 0.0003", "  lr: 0.3"))))
    assert note.level == "note"
    assert "finetune has no effect" in note.text


def test_letters_beyond_ascii_in_the_path_are_a_note(tmp_path):
    folder = tmp_path / "données"
    folder.mkdir()
    assert "letters beyond ASCII" in judge_project(read_project(project(folder)))[1].text


def test_a_pipeline_that_is_missing_and_a_lock_that_was_cut_are_errors(tmp_path):
    (project(tmp_path) / "dvc.yaml").unlink()
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    (tmp_path / ".dvc/tmp/rwlock").touch()
    assert levels(tmp_path) == [("params.yaml", "ok"), ("dvc.yaml", "error"), ("lock files", "error")]
    assert "`rm " in judge_project(read_project(tmp_path))[-1].text


def test_what_sources_still_need_is_of_those_that_no_run_has_fetched(tmp_path):
    (tmp_path / "set.zip").write_bytes(b"PK" + bytes(998))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/image.png").write_bytes(bytes(500))
    sources = f"""sources:
  zipped: {{kind: archive, archive: {{path: {tmp_path}/set.zip}}, format: auto}}
  open: {{kind: archive, archive: {{path: {tmp_path}/folder}}, format: yolo}}
  street: {{kind: kaggle, kaggle: {{dataset: ada/street, version: 3}}, format: auto}}
"""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    before, _, after = text.partition("sources:\n")
    after = after[after.index("\ningest:") :]
    project(tmp_path)
    (tmp_path / "params.yaml").write_text(before + sources + after, encoding="utf-8")
    needed = unfetched(read_project(tmp_path))
    assert needs_of(needed).num_bytes == 1500
    assert needs_of(needed).unknown == ("street",)
    assert needed_accounts(needed) == {"archive": ["zipped", "open"], "kaggle": ["street"]}
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\nstages:\n  download@street:\n    cmd: x\n")
    assert set(unfetched(read_project(tmp_path))) == {"zipped", "open"}
