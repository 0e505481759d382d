"""What `tandem check` finds before any work: on files of parameters as people write them."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from torchvision import models

from tandem.errors import ParamsError
from tandem.pipeline.params import read_params
from tandem.pipeline.preflight import check_project

ROOT = Path(__file__).parents[2]
SAMPLE = (ROOT / "params.yaml").read_text(encoding="utf-8")
ARCHIVE = "  garage: {kind: archive, archive: {path: PATH}, format: auto}\n\ningest:"
LOCK = """
schema: '2.0'
stages:
  download@garage:
    params: {params.yaml: {sources.garage.archive: {path: PATH}, sources.garage.kind: archive}}
  extract@resnet50:
    params: {params.yaml: {backbones.resnet50: {weights: PATH, sha256: DIGEST}}}
"""


def project(folder: Path, old: str = "", new: str = "", *, lock: str = "") -> Path:
    """A folder with the sample's parameters, one text in them replaced by another."""
    assert old in SAMPLE
    folder.mkdir(exist_ok=True)
    (folder / "params.yaml").write_text(SAMPLE.replace(old, new, 1) if old else SAMPLE, encoding="utf-8")
    (folder / "presets").mkdir(exist_ok=True)
    (folder / "presets" / "sample.yaml").write_text(SAMPLE, encoding="utf-8")
    if lock:
        (folder / "dvc.lock").write_text(lock)
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(ParamsError) as caught:
        check_project(folder)
    head, *lines = str(caught.value).splitlines()
    assert head == "params.yaml has 1 mistake(s):", lines
    (line,) = lines
    return line.strip()


def line_of(text: str, folder: Path) -> str:
    lines = (folder / "params.yaml").read_text(encoding="utf-8").splitlines()
    return f"line {next(number for number, line in enumerate(lines, 1) if text in line)}: "


def test_the_committed_project_is_as_it_should_be() -> None:
    params, warnings = check_project(ROOT)
    assert "sources" in params
    assert warnings == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("car: [carro]", "car: [0]", "labels.classes.car.0 is 0; a text is needed: quote it: '0'"),
        ("car: [carro]", "car: [.inf]", "labels.classes.car.0 is inf; a text is needed: quote it: 'inf'"),
        ("car: [carro]", "car: [~]", "labels.classes.car.0 is empty; a text is needed"),
        ("car: [carro]", "car:", "labels.classes.car is empty; a list is needed: write `car: []`"),
        ("car: [carro]", "car: {carro: 1}", "labels.classes.car is {'carro': 1}; a list is needed"),
        ("car: [carro]", "0: [carro]", "labels.classes has the key 0, which is no string; write it in quotes: '0'"),
        ("car: [carro]", r'car: ["\uD800"]', r"labels.classes.car.0 is '\ud800', which is no text; correct its esc"),
        ("kind: sample", "kind: folder", "kind is 'folder'; one of these is needed: sample, archive, kaggle, roboflow"),
        ("kind: sample", "kind: folder", "for a zip, a tar or a folder write `kind: archive` and `archive: {path: "),
        ("kind: sample", "kind: Kaggle", "write `kind: kaggle`"),
        ("kind: sample", "kind: s3", "files from elsewhere are downloaded by hand, and are a source of `kind: archive"),
        ("format: auto", "format: imagefolder", "there is no format 'imagefolder'"),
        ("format: auto", "format: imagefolder", "write `format: class_folders`"),
        ("format: auto", "format: YOLOv8", "write `format: yolo`"),
        ("  lr: 0.001", "  learning_rate: 0.1\n  lr: 0.001", "train: 'learning_rate' is not a parameter here; did you"),
        ("sources:", "lr: 0.1\nsources:", "the file: 'lr' is not a parameter here; lr belongs to finetune, train"),
        ("  lr: 0.001", "  lr: 1e308", "train.lr is 1e+308; a number of at most 100 is needed"),
        ("  lr: 0.001", "  lr: -.inf", "train.lr is -inf; a finite number is needed"),
        ("  lr: 0.001", "  lr: 1e-400", "train.lr is 0.0; a number from 1e-09 on is needed"),
        ("  epochs: 15", "  epochs: 1000000000000", "train.epochs is 1000000000000; a number of at most 1000000 is"),
        ("  seed: 3", "  seed: 9223372036854775808", "curate.seed is 9223372036854775808; a number of at most 9223372"),
        ("  seed: 3", f"  seed: {10**30}", "curate.seed is a number of about 30 digits; no parameter is that large"),
        ("  seed: 3", f"  seed: 0x{'f' * 4000}", "curate.seed is a number of about 4816 digits; no parameter is that"),
        ("  resnet50:", "  resnet51:", "there is no architecture 'resnet51' in torchvision; did you mean 'resnet50'"),
        ("{weights: random}", "{weights: Imagenet1k_V1}", "resnet50 has no weights 'Imagenet1k_V1'; did you mean 'IM"),
        ("{weights: random}", "{weights: random, architecture: vgg}", "there is no architecture 'vgg' in torchvis"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line_and_what_to_write(tmp_path: Path, old: str, new: str, words: str) -> None:
    folder = project(tmp_path, old, new)
    said = refusal(folder)
    assert words in said
    assert said.startswith(line_of(new.splitlines()[0].strip(), folder)) or old.startswith("kind")


def test_a_class_without_end_is_told_with_the_line_of_its_section(tmp_path: Path) -> None:
    folder = project(tmp_path, "car: [carro]", ".inf: []")
    line = "labels.classes has the key inf, which is no string; write it in quotes: 'inf'"
    assert refusal(folder) == f"{line_of('  classes:', folder)}{line}"


def test_a_key_that_is_missing_is_told_with_the_line_of_its_section(tmp_path: Path) -> None:
    folder = project(tmp_path, "  num_neighbors: 20\n", "  # none\n")
    assert refusal(folder).startswith(
        f"{line_of('label_errors:', folder)}label_errors.num_neighbors is missing; add it"
    )


def with_archive(folder: Path, path: object, *, lock: bool = False) -> Path:
    text = LOCK.replace("PATH", str(path)).replace("DIGEST", "a" * 64)
    return project(folder, "\ningest:", ARCHIVE.replace("PATH", str(path)), lock=text if lock else "")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, r"there is no file or folder .*garage\.zip; put it there, or correct the path"),
        (b"", r"garage\.zip is empty; get it again"),
        (b"version https://git-lfs.github.com/spec/v1\noid", r"is a pointer of Git LFS; run `git lfs pull`"),
        (b"others", rf"has sha256 {hashlib.sha256(b'others').hexdigest()}, and {'a' * 64} is expected; get the right"),
    ],
)
def test_an_archive_that_is_not_the_one_that_is_meant_is_told(tmp_path: Path, data: bytes | None, words: str) -> None:
    archive = tmp_path / "garage.zip"
    if data is not None:
        archive.write_bytes(data)
    folder = with_archive(tmp_path / "project", f"{archive}, sha256: {'a' * 64}")
    said = refusal(folder)
    assert said.startswith(line_of("garage.zip", folder))
    with pytest.raises(ParamsError, match=words):
        check_project(folder)


def test_an_empty_folder_is_told_and_a_filled_one_is_not(tmp_path: Path) -> None:
    folder = with_archive(tmp_path / "project", tmp_path / "set")
    (tmp_path / "set").mkdir()
    assert "the folder" in refusal(folder)
    (tmp_path / "set" / "car.jpg").touch()
    check_project(folder)


def test_an_archive_in_the_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "garage.zip").write_bytes(b"PK")
    check_project(with_archive(tmp_path / "project", "~/garage.zip"))


def test_a_path_in_the_home_of_an_unknown_user_is_told_as_one_that_leads_nowhere(tmp_path: Path) -> None:
    folder = with_archive(tmp_path / "project", "~no-such-user/garage.zip")
    assert "~no-such-user/garage.zip; put it there, or correct the path" in refusal(folder)
    entry = f"{{weights: ~no-such-user/w.pth, sha256: {'a' * 64}}}"
    folder = project(tmp_path / "other", "{weights: random}", entry)
    assert "the weights file ~no-such-user/w.pth is missing" in refusal(folder)


def test_an_archive_that_was_downloaded_already_may_be_gone(tmp_path: Path) -> None:
    check_project(with_archive(tmp_path, "gone.zip", lock=True))
    folder = project(tmp_path, "\ningest:", ARCHIVE.replace("PATH", "other.zip"), lock=LOCK.replace("PATH", "gone.zip"))
    assert "there is no file or folder" in refusal(folder)


def with_folders(folder: Path, names: list[str], *, format: str = "auto", zipped: bool = False) -> Path:
    """A project whose one source is an archive of these files, and whose classes are car, motorcycle and truck."""
    path = folder / ("set.zip" if zipped else "set")
    if zipped:
        with ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, "x")
    for name in () if zipped else names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text("x")
    start, end = SAMPLE.index("  snapshots:"), SAMPLE.index("ingest:")
    source = f"  garage: {{kind: archive, archive: {{path: {path}}}, format: {format}}}\n"
    return project(folder / "project", SAMPLE[start:end], source)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_class_that_no_folder_of_any_source_is_named_after_is_told(tmp_path: Path, zipped: bool) -> None:
    folder = with_folders(tmp_path, ["train/Car/a.jpg", "train/moto/b.jpg", "README.txt"], zipped=zipped)
    said = refusal(folder)
    assert said.startswith(f"{line_of('    truck: [', folder)}labels.classes.truck: no folder of any source has this")


@pytest.mark.parametrize(
    ("names", "format"),
    [
        (["car/a.jpg", "moto/b.jpg", "Caminhão/c.jpg"], "auto"),
        (["car/a.jpg", "labels.csv"], "auto"),
        (["all/a.jpg", "labels.tsv"], "csv"),
        (["images/a.jpg", "labels/a.txt"], "yolo"),
        (["train/_annotations.coco.json"], "auto"),
        (["more.zip", "car/a.jpg"], "auto"),
    ],
)
def test_where_a_label_may_stand_elsewhere_nothing_is_told(tmp_path: Path, names: list[str], format: str) -> None:
    check_project(with_folders(tmp_path, names, format=format))


def test_what_is_said_to_be_folders_of_classes_has_its_labels_there(tmp_path: Path) -> None:
    folder = with_folders(tmp_path, ["car/a.jpg", "moto/b.jpg", "extra.csv"], format="class_folders")
    assert "labels.classes.truck: no folder" in refusal(folder)


def test_a_class_that_the_sample_does_not_have_is_told(tmp_path: Path) -> None:
    folder = project(tmp_path, "    truck: [caminhão]", "    truck: [caminhão]\n    tulip: []")
    assert "labels.classes.tulip: no folder of any source has this name, nor one of its aliases" in refusal(folder)


def test_a_file_of_weights_is_looked_at_unless_the_last_run_read_it(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"weights").hexdigest()
    entry = f"{{weights: {tmp_path}/w.pth, sha256: {digest}}}"
    folder = project(tmp_path / "project", "{weights: random}", entry)
    assert f"backbones.resnet50: the weights file {tmp_path}/w.pth is missing" in refusal(folder)
    lock = LOCK.replace("PATH", f"{tmp_path}/w.pth").replace("DIGEST", digest)
    check_project(project(tmp_path / "other", "{weights: random}", entry, lock=lock))
    (tmp_path / "w.pth").write_bytes(b"weight")
    assert "it is damaged or another one" in refusal(folder)
    (tmp_path / "w.pth").write_bytes(b"weights")
    assert f"{tmp_path}/w.pth is not a state dict that torch can read safely" in refusal(folder)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("{weights: random, layer: layer9}", "backbones.resnet50.layer: there is no layer 'layer9'; did you mean 'lay"),
        (
            "{weights: IMAGENET1K_V1, architecture: vit_b_32, size_px: 64}",
            "backbones.resnet50: resnet50 takes no images of 64 x 64 pixels (",
        ),
        ("{weights: FILE, sha256: DIGEST}", "FILE does not hold weights of resnet50: "),
        ("{architecture: shufflenet_v2_x0_5, weights: FILE, sha256: DIGEST}", ""),
        ("{architecture: shufflenet_v2_x0_5, weights: IMAGENET1K_V1, layer: stage2, size_px: 64}", ""),
    ],
)
def test_weights_layers_and_sizes_that_do_not_fit_the_network_are_told_before_any_work(
    tmp_path: Path, entry: str, words: str
) -> None:
    import torch

    file = tmp_path / "w.pth"
    torch.save(models.get_model("shufflenet_v2_x0_5", weights=None).state_dict(), file)
    filled = entry.replace("FILE", str(file)).replace("DIGEST", hashlib.sha256(file.read_bytes()).hexdigest())
    folder = project(tmp_path / "project", "{weights: random}", filled)
    if not words:
        check_project(folder)
        return
    said = refusal(folder)
    assert said.startswith(line_of("  resnet50:", folder))
    assert words.replace("FILE", str(file)) in said


def test_a_network_that_a_preset_has_is_not_built(tmp_path: Path) -> None:
    entry = "{weights: random, layer: layer9}"
    folder = project(tmp_path, "{weights: random}", entry)
    preset = folder / "presets/sample.yaml"
    preset.write_text(SAMPLE.replace("{weights: random}", entry, 1), encoding="utf-8")
    check_project(folder)
    preset.write_text(preset.read_text(encoding="utf-8").replace("  size_px: 96", "  size_px: 64", 1), encoding="utf-8")
    assert "there is no layer 'layer9'" in refusal(folder)


def test_a_network_that_the_last_run_built_is_not_built_again(tmp_path: Path) -> None:
    entry, size = "{weights: random, layer: layer9}", "{size_px: 96}"
    lock = f"""
stages:
  extract@resnet50:
    params: {{params.yaml: {{backbones.resnet50: {entry}, extract: {size}}}}}
"""
    folder = project(tmp_path, "{weights: random}", entry, lock=lock)
    assert "there is no layer 'layer9'" in refusal(folder)
    values = read_params(folder / "params.yaml")["extract"]
    (folder / "dvc.lock").write_text(lock.replace(size, json.dumps(values)))
    check_project(folder)


def test_a_folder_with_letters_that_dvc_fails_on_is_a_warning(tmp_path: Path) -> None:
    _, (warning,) = check_project(project(tmp_path / "Übung"))
    assert "letters beyond ASCII, with which `dvc exp run --queue`, `dvc queue` and `--temp` fail" in warning


def test_what_has_no_effect_is_a_warning_with_its_line(tmp_path: Path) -> None:
    folder = project(tmp_path, "  lr: 0.0003", "  lr: 0.3")
    _, (warning,) = check_project(folder)
    assert warning.startswith(f"{line_of('finetune:', folder)}finetune has no effect")


def test_it_does_not_wait_for_torch() -> None:
    code = (
        "import sys; from tandem.pipeline.preflight import check_project; check_project();"
        "print({'torch', 'torchvision'} & {*sys.modules})"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert said == "set()\n"
