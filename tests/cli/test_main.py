import json
import shutil
import subprocess
import sys
from pathlib import Path

from pages import json_keys
from tandem.tables.index import ImageRecord, Index, Origin, save_index

ROOT = Path(__file__).resolve().parents[2]


def tandem(folder, *arguments):
    command = [sys.executable, "-c", "from tandem.cli.main import app; app()", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_check_says_that_valid_parameters_are_valid(tmp_path):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    done = tandem(tmp_path, "check")
    assert (done.returncode, done.stdout) == (0, "params.yaml is valid\n")


def test_check_names_what_is_wrong_without_a_traceback(tmp_path):
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(text.replace("batch_size: 8\n", "batch_size: 0\n", 1), encoding="utf-8")
    done = tandem(tmp_path, "check")
    assert done.returncode == 1
    assert "train.batch_size is 0; a number from 1 on is needed" in done.stderr
    assert "Traceback" not in done.stderr


def test_outputs_that_are_missing_are_listed_with_their_stages(tmp_path):
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    done = tandem(tmp_path, "check", "--outputs")
    assert done.returncode == 1
    assert "outputs are missing or empty:" in done.stderr
    assert "  data/train/resnet50, of stage train@resnet50\n" in done.stderr


def test_a_lock_file_that_dvc_left_cut_is_told_with_the_command_that_mends_it(tmp_path):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    (tmp_path / ".dvc/tmp/rwlock").write_text("")
    done = tandem(tmp_path, "check")
    assert (done.returncode, done.stdout) == (1, "")
    said = "error: .dvc/tmp/rwlock was cut short when dvc was killed; remove it: `rm .dvc/tmp/rwlock`\n"
    assert done.stderr.endswith(said)


def test_a_warning_is_told_beside_valid_parameters(tmp_path):
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(text.replace("  lr: 0.0003", "  lr: 0.3", 1), encoding="utf-8")
    done = tandem(tmp_path, "check")
    assert (done.returncode, done.stdout) == (0, "params.yaml is valid\n")
    assert "finetune has no effect" in done.stderr


def test_help_lists_the_commands(tmp_path):
    done = tandem(tmp_path, "--help")
    assert done.returncode == 0
    for name in ("check", "results", "compare", "review", "sources", "duplicates"):
        assert name in done.stdout


def test_a_review_before_any_run_says_what_to_do(tmp_path):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    done = tandem(tmp_path, "review")
    assert done.returncode == 1
    assert done.stderr == (
        "error: there is nothing to review yet (data/merge/index.csv is missing); run `dvc repro` first\n"
    )


def test_a_review_is_for_this_machine_alone_unless_it_is_exposed_on_purpose(tmp_path):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    done = tandem(tmp_path, "review", "--address", "0.0.0.0")
    assert done.returncode == 1
    assert "error: on 0.0.0.0 whoever reaches port 5151 can read any file that you can" in done.stderr
    assert "leave --address away, or add --expose" in done.stderr
    exposed = tandem(tmp_path, "review", "--address", "0.0.0.0", "--expose")
    assert exposed.stderr.startswith("warning: on 0.0.0.0 whoever reaches port 5151")
    assert "there is nothing to review yet" in exposed.stderr


def test_a_review_of_other_images_than_were_merged_is_refused(tmp_path):
    curated(tmp_path)
    (tmp_path / "data/curate/samples.csv").write_text(
        "id,label,source,group,split,exclusion_reason\n", encoding="utf-8"
    )
    (tmp_path / "data/curate/classes.json").write_text('["car"]', encoding="utf-8")
    (tmp_path / "data/extract/mobilenet_v2").mkdir(parents=True)
    done = tandem(tmp_path, "review")
    assert done.returncode == 1
    assert "data/curate is of other images than data/merge; run `dvc repro` first" in done.stderr


def test_a_threshold_before_any_run_says_what_to_do(tmp_path):
    done = tandem(tmp_path, "duplicates", "threshold")
    assert done.returncode == 1
    assert "no pairs were verified yet (data/merge/index.csv is missing); run `dvc repro curate` first" in done.stderr


def curated(folder):
    """The files of a run on two images."""
    shutil.copy(ROOT / "params.yaml", folder)
    origins = tuple((Origin("web", f"{name}.jpg", "car"),) for name in "ab")
    records = (
        ImageRecord(name, "car", f"{name}.jpg", 9, 9, (), origin) for name, origin in zip("ab", origins, strict=True)
    )
    save_index(Index.of(records), folder / "data/merge/index.csv")
    (folder / "data/curate").mkdir()
    header = "first,second,similarity,correlation\n"
    (folder / "data/curate/near_duplicates.csv").write_text(f"{header}a,b,0.8,0.991\n", encoding="utf-8")
    (folder / "data/curate/rejected_pairs.csv").write_text(f"{header}a,b,0.8,0.61\n", encoding="utf-8")


def test_a_threshold_is_suggested_from_the_pairs_of_the_last_run(tmp_path):
    curated(tmp_path)
    done = tandem(tmp_path, "duplicates", "threshold")
    assert done.returncode == 0, done.stderr
    assert "suggested: curate.min_correlation: 0.9" in done.stdout
    assert "(now 0.96)" in done.stdout
    assert "0.991" in done.stdout


def test_a_threshold_is_suggested_to_programs_too(tmp_path):
    curated(tmp_path)
    found = json.loads(tandem(tmp_path, "duplicates", "threshold", "--json").stdout)
    assert set(found) == json_keys("tandem duplicates threshold")
    assert (found["min_correlation"], found["pairs"]) == (0.96, 2)
    assert 0.61 < found["suggested"] < 0.991


def test_a_prediction_has_one_format(tmp_path):
    done = tandem(tmp_path, "predict", ".", "--json", "--csv")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: --json and --csv exclude each other; take one of them\n"


def test_an_export_to_a_place_that_cannot_be_written_says_so_before_anything_else(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (".", "file/model.onnx"):
        done = tandem(tmp_path, "export", place)
        assert done.returncode == 1
        assert f"error: no file can be written at {place}: " in done.stderr
