"""The synthetic sample: the faults that it is to have are in its files, and its ground truth states them.

Covers all of sources.synthetic.
"""

import io
import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageOps
from sklearn.neighbors import NearestCentroid

from factories import source
from tandem.errors import SourceError
from tandem.files import dir_sha256, list_files, read_json
from tandem.images.hashing import as_signs, dihedral_phashes
from tandem.shards import unpack_shards
from tandem.sources.download import download
from tandem.sources.synthetic.dataset import generate_sample
from tandem.sources.synthetic.encode import encode_scene, random_augmentation
from tandem.sources.synthetic.plan import plan

SEED = 7
CLASSES = ("car", "motorcycle", "truck")
LABELS = {
    "Car": "car", "Truck": "truck", "motorcycle": "motorcycle", "Bus": "bus",
    "carro": "car", "Caminhao": "truck", "moto": "motorcycle", "bicicleta": "bicycle",
}  # fmt: skip
PLANTED = ("exact", "reencoded", "resized", "augmented", "shared_stems", "conflicts")
EXPORTED = re.compile(r"(?P<stem>.+)_jpg\.rf\.([0-9a-f]{32}|[0-9A-Za-z]{20})\.jpg")


@pytest.fixture(scope="module")
def downloaded(tmp_path_factory):
    """The receipt of a source, and the folder in which its files are, unpacked."""
    folder = tmp_path_factory.mktemp("sample")
    receipt = download("roboflow", source("sample", style="roboflow", seed=SEED), folder=folder)
    unpack_shards(folder / "files" / "roboflow", folder / "unpacked" / "roboflow")
    return receipt, folder / "unpacked"


@pytest.fixture(scope="module")
def root(downloaded):
    folder = downloaded[1]
    (folder / "kaggle").mkdir()
    generate_sample(folder / "kaggle", style="kaggle", seed=SEED)
    return folder


@pytest.fixture(scope="module")
def truth(root):
    """Both truths as one: tables united, lists of pairs without repetition."""
    parts = [read_json(root / style / "truth.json") for style in ("kaggle", "roboflow")]
    tables = {key: parts[0][key] | parts[1][key] for key in ("classes", "scenes", "mislabelled", "broken", "modes")}
    lists = {key: sorted({tuple(pair) for part in parts for pair in part[key]}) for key in PLANTED}
    return {"seed": parts[0]["seed"], **tables, **lists}


@pytest.fixture(scope="module")
def upright(root, truth):
    """Path to upright RGB image for everything readable."""
    return {path: _upright(root / path) for path in truth["classes"]}


def _upright(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return ImageOps.exif_transpose(image).convert("RGBA").convert("RGB")


def _label(path: str) -> str:
    return LABELS[path.split("/")[-2]]


def _images(root: Path, style: str) -> list[str]:
    return [
        path.relative_to(root).as_posix()
        for path in list_files(root / style)
        if path.suffix.lower() not in (".txt", ".json")
    ]


def _distance(a: Image.Image, b: Image.Image) -> int:
    return int(imagehash.phash(a, hash_size=16) - imagehash.phash(b, hash_size=16))


def test_there_are_600_to_900_images_of_varied_sizes(root, upright):
    num_files = sum(len(_images(root, style)) for style in ("kaggle", "roboflow"))
    assert 600 <= num_files <= 900
    scene_sizes = [image.size for path, image in upright.items() if path.startswith("kaggle/")]
    assert all(96 <= side <= 200 for size in scene_sizes for side in size)
    assert len(set(scene_sizes)) > 100


def test_the_same_seed_gives_the_same_bytes(root):
    files = [file for file in plan(SEED)["kaggle"][::12] if file.spec.form == "JPEG"]
    assert len(files) > 10
    for file in files:
        assert (root / file.path).read_bytes() == encode_scene(file.scene, file.spec, seed=SEED)


def test_a_receipt_states_the_style_and_the_seed(downloaded):
    receipt, folder = downloaded
    assert (receipt.what, receipt.version, receipt.licence) == ("synthetic sample, roboflow", "7", "CC BY 4.0")
    assert receipt.asked == {"style": "roboflow", "seed": SEED}
    assert receipt.tree_sha256 == dir_sha256(folder / "roboflow")


def test_another_seed_gives_other_bytes_everywhere():
    ours, others = plan(SEED)["kaggle"], plan(SEED + 1)["kaggle"]
    assert [file.path for file in ours] != [file.path for file in others]
    for file in (file for file in ours[::60] if file.spec.form == "JPEG"):
        assert encode_scene(file.scene, file.spec, seed=SEED) != encode_scene(file.scene, file.spec, seed=SEED + 1)


def test_an_unknown_style_is_named_with_the_known_ones(tmp_path):
    with pytest.raises(SourceError, match="no style 'imagenet'; choose one of: kaggle, roboflow"):
        generate_sample(tmp_path, style="imagenet", seed=SEED)
    assert not list(tmp_path.iterdir())


def test_class_folders_are_in_mixed_case_with_the_same_names_in_each(root):
    folders = {path.name: {file.stem for file in path.iterdir()} for path in (root / "kaggle/vehicles").iterdir()}
    assert set(folders) == {"Car", "Truck", "motorcycle", "Bus"}
    assert all(f"Image_{number}" in names for names in folders.values() for number in range(1, 41))
    suffixes = Counter(path.suffix for path in (root / "kaggle/vehicles").rglob("*.*"))
    assert {".jpg", ".png", ".jpeg", ".JPG"} == set(suffixes)
    assert suffixes[".jpg"] > sum(suffixes.values()) / 2


def test_some_files_in_class_folders_have_the_extension_of_another_format(root, truth):
    formats = Counter()
    for path in (path for path in truth["classes"] if path.startswith("kaggle/")):
        with Image.open(root / path) as image:
            formats[image.format, Path(path).suffix.lower()] += 1
    assert formats["PNG", ".jpg"] >= 2
    assert formats["JPEG", ".png"] >= 2


def test_files_of_an_export_are_named_and_laid_out_as_one(root):
    paths = _images(root, "roboflow")
    assert {path.split("/")[1] for path in paths} == {"train", "valid", "test"}
    assert {path.split("/")[2] for path in paths} == {"carro", "Caminhao", "moto", "bicicleta"}
    matches = [EXPORTED.fullmatch(path.split("/")[3]) for path in paths]
    assert all(matches)
    assert {len(match[2]) for match in matches} == {20, 32}


def test_the_readmes_state_licence_versions_and_number_of_images(root):
    text = (root / "roboflow/README.roboflow.txt").read_text()
    assert "License: CC BY 4.0" in (root / "roboflow/README.dataset.txt").read_text()
    assert "augmentation was applied to create 3 versions of each source image" in text
    assert f"The dataset includes {len(_images(root, 'roboflow'))} images." in text


@pytest.mark.parametrize("style", ["kaggle", "roboflow"])
def test_truth_covers_each_image_once(root, style):
    stated = read_json(root / style / "truth.json")
    assert stated["seed"] == SEED
    assert stated["classes"].keys() == stated["scenes"].keys()
    assert sorted([*stated["classes"], *stated["broken"]]) == sorted(_images(root, style))
    for pairs in (stated[kind] for kind in PLANTED):
        assert all(any(path.startswith(f"{style}/") for path in pair) for pair in pairs)


def test_pairs_of_equal_bytes_are_exactly_the_exact_ones_and_the_conflicts(root, truth):
    contents = {}
    for path in truth["classes"]:
        contents.setdefault((root / path).read_bytes(), []).append(path)
    equal = {frozenset(pair) for paths in contents.values() for pair in combinations(paths, 2)}
    assert equal == {frozenset(pair) for pair in truth["exact"] + truth["conflicts"]}
    assert {_label(a) == _label(b) for a, b in truth["exact"]} == {True}
    assert {_label(a) == _label(b) for a, b in truth["conflicts"]} == {False}


@pytest.mark.parametrize("kind", ["exact", "conflicts"])
def test_equal_bytes_lie_within_the_class_folders_and_across_the_sources(truth, kind):
    sources = Counter(tuple(sorted(path.split("/")[0] for path in pair)) for pair in truth[kind])
    assert sources["kaggle", "kaggle"] >= 2
    assert sources["kaggle", "roboflow"] >= 1


@pytest.mark.parametrize("kind", ["reencoded", "resized"])
def test_reencoded_and_resized_duplicates_cross_the_sources_and_look_alike(truth, upright, kind):
    assert len(truth[kind]) >= 9
    for a, b in truth[kind]:
        assert {a.split("/")[0], b.split("/")[0]} == {"kaggle", "roboflow"}
        assert (upright[a].size == upright[b].size) == (kind == "reencoded")
        assert _distance(upright[a], upright[b]) < 20


def test_versions_of_a_stem_show_one_scene_and_differ(truth):
    assert Counter(len(group) for group in truth["augmented"])[3] > 100
    for group in truth["augmented"]:
        assert len({truth["scenes"][path] for path in group}) == 1
        assert len({EXPORTED.fullmatch(path.split("/")[3])["stem"] for path in group}) == 1
    scattered = [len({path.split("/")[1] for path in group}) for group in truth["augmented"]]
    assert Counter(scattered)[2] > 20
    assert Counter(scattered)[3] > 5


def test_augmentation_keeps_most_of_the_image():
    image = Image.new("RGB", (150, 100), "gray")
    for number in range(50):
        width, height = random_augmentation(image, np.random.default_rng(number)).size
        assert width * height >= 0.8 * 150 * 100


def test_shared_stems_stand_for_different_scenes_also_within_one_class(truth):
    for a, b in truth["shared_stems"]:
        assert EXPORTED.fullmatch(a.split("/")[3])["stem"] == EXPORTED.fullmatch(b.split("/")[3])["stem"]
        assert truth["scenes"][a] != truth["scenes"][b]
    assert {_label(a) == _label(b) for a, b in truth["shared_stems"]} == {True, False}


def test_labels_differ_from_the_true_class_where_truth_says_so_and_nowhere_else(truth):
    disputed = {path for pair in truth["conflicts"] for path in pair}
    wrong = {path: name for path, name in truth["classes"].items() if _label(path) != name and path not in disputed}
    assert wrong == truth["mislabelled"]
    assert 5 <= len(wrong) <= 10


@pytest.mark.parametrize("style", ["kaggle", "roboflow"])
def test_corrupt_files_are_few(root, truth, style):
    corrupt = [path for path in truth["broken"] if path.startswith(f"{style}/")]
    assert 0 < len(corrupt) < 0.03 * len(_images(root, style))


def test_corrupt_files_cannot_be_read(root, truth):
    assert set(truth["broken"].values()) == {"truncated", "not_an_image", "empty"}
    for path, reason in truth["broken"].items():
        data = (root / path).read_bytes()
        assert (not data) == (reason == "empty")
        if reason == "truncated":
            with Image.open(io.BytesIO(data)) as image, pytest.raises(OSError, match="truncated"):
                image.load()
        else:
            with pytest.raises(OSError, match="cannot identify"):
                Image.open(io.BytesIO(data))


def test_modes_are_as_stated(root, truth):
    assert set(truth["modes"].values()) == {"RGBA", "P", "CMYK", "I;16", "exif"}
    palettes_with_transparency = 0
    for path, mode in truth["modes"].items():
        with Image.open(root / path) as image:
            turned = image.getexif().get(0x0112, 1) != 1
            assert mode == ("exif" if turned else image.mode)
            palettes_with_transparency += mode == "P" and "transparency" in image.info
    assert palettes_with_transparency >= 1


def test_classes_to_ignore_are_there(truth):
    counts = Counter(_label(path) for path in truth["classes"])
    assert counts["bus"] >= 10
    assert counts["bicycle"] >= 10
    assert min(counts[name] for name in CLASSES) > 200


def test_different_scenes_never_look_nearly_identical(truth, upright):
    first = {}
    for path, scene in truth["scenes"].items():
        # gray of 16 bits is clipped by convert(); see tandem.images.decode
        if path.startswith("kaggle/") and truth["modes"].get(path) != "I;16":
            first.setdefault(scene, path)
    hashes = np.stack([dihedral_phashes(upright[path]) for path in first.values()])
    signs = as_signs(hashes[:, 0])
    for orientation in range(8):
        distances = (1 - signs @ as_signs(hashes[:, orientation]).T / 256) * 128
        assert distances[~np.eye(len(signs), dtype=bool)].min() > 60


def test_the_nearest_mean_of_raw_pixels_does_not_solve_it(truth, upright):
    paths = [path for path, name in truth["classes"].items() if name in CLASSES and truth["modes"].get(path) != "I;16"]
    features = np.stack([np.asarray(upright[path].resize((32, 32))).reshape(-1) for path in paths]).astype(np.float64)
    targets = np.array([truth["classes"][path] for path in paths])
    scenes = np.array([truth["scenes"][path] for path in paths])
    names = np.unique(scenes)
    for seed in range(5):
        train = np.isin(scenes, np.random.default_rng(seed).permutation(names)[: int(0.7 * len(names))])
        assert NearestCentroid().fit(features[train], targets[train]).score(features[~train], targets[~train]) < 0.8
