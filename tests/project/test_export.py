"""A model that was trained in a scratch clone, in other hands: exported, copied elsewhere, and asked about images."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image
from scipy.stats import spearmanr

from pages import json_keys
from scratch_project import copied, read_json
from tandem.inference.explanation.explain import explanation_map
from tandem.inference.export import write_model
from tandem.inference.exported import load_exported
from tandem.inference.predict import predict_files
from trained_models import held_out_files, largest_difference, scored_probs, trained_models

pytestmark = pytest.mark.slow

TANDEM = (sys.executable, "-c", "from tandem.cli.main import app; app()")


@pytest.fixture(scope="module")
def clone(first, work):
    with copied(first[0], work, "export") as copy:
        yield copy


@pytest.fixture(scope="module")
def trained(clone):
    return trained_models(clone)


@pytest.fixture(scope="module")
def files(clone):
    return held_out_files(clone)


@pytest.fixture(scope="module")
def exported(clone):
    """The file that the stage wrote."""
    return clone.root / "data/export/model.onnx"


def test_the_command_writes_what_the_stage_wrote_and_says_how_near_it_is(exported, clone):
    said = clone.run(*TANDEM, "export").stdout
    assert (clone.root / "model.onnx").read_bytes() == exported.read_bytes()
    assert re.search(
        r"of 10 test images are within \d\.\de-\d\d of torch in fp32, and within \d\.\de-\d\d of what", said
    )


def test_the_scores_of_the_file_stand_in_the_metrics_beside_those_of_its_model(exported, clone, trained):
    evaluation, metrics = (read_json(clone.root / "metrics" / name) for name in ("evaluate.json", "export.json"))
    selected = evaluation["models"][metrics["model"]]
    for key in ("top1_accuracy", "macro_f1", "log_loss", "ece"):
        assert evaluation["exported"][key] == metrics[key] == pytest.approx(selected[key], abs=1e-3)
    for way in ("fp32", "scored"):
        found = metrics[f"difference_to_{way}"]
        assert (found["largest"] <= 1e-3, found["changed_classes"], found["images"]) == (True, 0, evaluation["images"])
    assert metrics["sha256"] == load_exported(exported).sha256


def test_a_version_that_is_tagged_is_an_artifact_of_dvc(clone):
    clone.git("tag", "--annotate", "classifier@v1.0.0", "--message", "the first")
    clone.dvc("artifacts", "get", str(clone.root), "classifier", "-o", "got.onnx")
    assert (clone.root / "got.onnx").read_bytes() == (clone.root / "data/export/model.onnx").read_bytes()


def test_any_row_of_the_results_is_exported_by_name(clone, tmp_path, files):
    path = tmp_path / "feature.onnx"
    said = clone.run(*TANDEM, "export", "--model", "feature", str(path), "--json").stdout
    printed = json.loads(said[said.index("{\n") :])
    assert set(printed) == json_keys("tandem export")
    assert (printed["model"], printed["num_bytes"]) == ("feature", path.stat().st_size)
    assert load_exported(path).card.model == "feature"


def test_every_row_of_the_results_predicts_from_files_what_was_scored(trained, files):
    kinds = ["mean", "weighted", "greedy", "stack", "logit", "feature", "student"]
    assert trained.names == ["mobilenet_v2", "squeezenet1_1", *kinds]
    assert [model for model in trained.names if largest_difference(trained, model, files) > 1e-3] == []


def test_the_exported_file_alone_predicts_the_same_elsewhere(exported, clone, trained, files, tmp_path):
    shutil.copyfile(exported, tmp_path / "model.onnx")
    (tmp_path / "images").mkdir()
    for id_, path in files.items():
        shutil.copyfile(path, tmp_path / "images" / f"{id_}{path.suffix}")
    (tmp_path / "images" / "readme.txt").write_text("not an image")
    done = run(clone, tmp_path, "images", "--json", "--top-k", "3")
    assert done.returncode == 0
    rows = {row["path"].split("/")[-1].split(".")[0]: row for row in map(json.loads, done.stdout.splitlines())}
    assert rows.keys() == files.keys()
    assert "0 failed, 1 other files in folders are no images" in done.stderr
    found = [[rows[id_]["probs"][name] for name in trained.class_names] for id_ in files]
    selected = load_exported(exported).card.model
    assert np.abs(np.array(found) - scored_probs(trained, selected, files)).max() < 1e-3


def test_a_broken_file_is_named_and_stops_none_of_the_others(exported, clone, tmp_path):
    Image.new("RGB", (40, 40)).save(tmp_path / "one.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    done = run(clone, tmp_path, "broken.png", "o*.png", "--model", str(exported), "--csv")
    assert done.returncode == 1
    assert [row["path"] for row in csv.DictReader(done.stdout.splitlines())] == ["one.png"]
    assert "error: broken.png: not an image in a known format" in done.stderr
    assert "1 images predicted, 1 failed" in done.stderr


def test_an_image_comes_from_standard_input(exported, clone, files, tmp_path):
    path = next(iter(files.values()))
    done = run(clone, tmp_path, "-", "--model", str(exported), "--json", given=path.read_bytes())
    of_file = run(clone, tmp_path, str(path), "--model", str(exported), "--json")
    assert json.loads(done.stdout) == json.loads(of_file.stdout) | {"path": "-"}
    assert "error: -: not an image" in run(clone, tmp_path, "-", "--model", str(exported), given=b"no image").stderr
    twice = run(clone, tmp_path, "-", "-", "--model", str(exported))
    assert twice.stderr == "error: - stands for one image on standard input; name it once\n"


def test_explanations_lie_in_a_folder_as_the_images_do(exported, clone, files, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "work").mkdir()
    for number, path in enumerate(list(files.values())[:2]):
        shutil.copyfile(path, tmp_path / f"photos/{number}.png")
    (tmp_path / "photos/broken.png").write_bytes(b"no image")
    done = run(clone, tmp_path / "work", "../photos", "--model", str(exported), "--json", "--explain", "maps")
    names = [f"maps/parent/photos/{number}.png.png" for number in range(2)]
    assert [json.loads(line)["explanation"] for line in done.stdout.splitlines()] == names
    assert sorted(path.name for path in (tmp_path / "work/maps").rglob("*.*")) == ["0.png.png", "1.png.png"]
    with Image.open(tmp_path / "work" / names[0]) as image:
        assert image.size == (448, 224)
    (tmp_path / "file").touch()
    refused = run(clone, tmp_path, "photos", "--model", str(exported), "--explain", "file")
    assert refused.stderr == "error: explanations cannot be written to file: File exists; name another folder\n"


def test_with_other_weights_the_same_image_has_another_explanation(exported, files, tmp_path):
    """A check of sanity by Adebayo and others, 2018: a map that does not change would say nothing of the model."""
    model = onnx.load(exported)
    rng = np.random.default_rng(0)
    for weights in model.graph.initializer:
        values = numpy_helper.to_array(weights)
        if values.ndim > 1 and values.dtype == np.float32:
            weights.CopyFrom(
                numpy_helper.from_array(rng.permutation(values.ravel()).reshape(values.shape), weights.name)
            )
    del model.metadata_props[:]
    trained = load_exported(exported)
    write_model(model, trained.card, tmp_path / "shuffled.onnx")
    shuffled = load_exported(tmp_path / "shuffled.onnx")
    agreement = []
    for path in files.values():
        [found] = predict_files([path], trained, batch_size=1, workers=1)
        target = int(found.probs.argmax())
        first, again, other = (explanation_map(each, found.view, target) for each in (trained, trained, shuffled))
        assert np.array_equal(first, again)
        agreement.append(spearmanr(first.ravel(), other.ravel()).statistic)
    assert np.abs(agreement).mean() < 0.5


def test_many_images_which_torch_scales_have_the_predictions_of_one_which_numpy_scales(
    exported, clone, files, tmp_path
):
    path = next(iter(files.values()))
    one, many = (
        run(clone, tmp_path, *[str(path)] * number, "--model", str(exported), "--json").stdout.splitlines()
        for number in (1, 400)
    )
    assert len(many) == 400
    assert set(many) == set(one)


def test_a_path_that_leads_nowhere_a_missing_model_a_wrong_output_and_other_parameters_are_errors(
    exported, clone, tmp_path
):
    done = run(clone, tmp_path, "none.png", "--model", str(exported))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: there is no file, folder or match of 'none.png'; correct the path\n"
    assert "error: there is no model at model.onnx" in run(clone, tmp_path, ".").stderr
    assert "take one of: mobilenet_v2," in clone.run(*TANDEM, "export", "--model", "none", check=False).stdout
    for output, words in (("greedy", "`tandem export --model greedy greedy.onnx`"), ("params.yaml", "no ONNX file")):
        assert words in clone.run(*TANDEM, "export", output, check=False).stdout
    assert not (clone.root / "greedy").exists() and "sources:" in (clone.root / "params.yaml").read_text()
    clone.change("train.lr", 0.5)
    refused = clone.run(*TANDEM, "export", check=False)
    clone.git("checkout", "params.yaml")
    assert refused.returncode == 1
    assert "error: params.yaml differs from the last run in train.lr; run `dvc repro`" in refused.stdout


def run(clone, folder, *arguments, given=b""):
    """`tandem predict` in a folder that is no project. given: on standard input."""
    command = [*TANDEM, "predict", *arguments]
    environment = os.environ | clone.environment()
    done = subprocess.run(command, cwd=folder, env=environment, input=given, capture_output=True)
    done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
    return done
