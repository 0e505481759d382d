"""That the code, the libraries, the machine and the environment of a result are in its recipe."""

import subprocess
import sys
from importlib import metadata

import pytest

from tandem.cache import recipe as recipes
from tandem.cache.recipe import circumstances, code_digest


def recipe() -> dict[str, object]:
    return circumstances(["images"], ["numpy"])


@pytest.mark.parametrize("variable", ["OMP_NUM_THREADS", "ONEDNN_MAX_CPU_ISA", "CUDA_VISIBLE_DEVICES", "OPENBLAS_X"])
def test_variables_that_choose_how_libraries_compute_are_part_of_it(variable, monkeypatch):
    before = recipe()
    monkeypatch.setenv("SOMETHING_ELSE", "7")
    assert recipe() == before
    monkeypatch.setenv(variable, "7")
    assert recipe() != before


def test_what_libraries_set_when_they_are_imported_is_no_part_of_it() -> None:
    code = (
        "from tandem.cache.recipe import _machine; before = _machine()['environment']; "
        "import torch._dynamo, sklearn, cv2, onnxruntime; print(before == _machine()['environment'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "True\n"


def test_another_processor_or_library_is_another_recipe(tmp_path, monkeypatch):
    before = recipe()
    assert before["libraries"]["numpy"] is not None
    text = "model name: one\nflags: avx2\ncpu MHz: 2000\n"
    (tmp_path / "cpuinfo").write_text(text)
    one = recipes._digest_of_lines(tmp_path / "cpuinfo", recipes._PROCESSOR)
    (tmp_path / "cpuinfo").write_text(text.replace("2000", "3000"))
    assert recipes._digest_of_lines(tmp_path / "cpuinfo", recipes._PROCESSOR) == one
    (tmp_path / "cpuinfo").write_text(text.replace("avx2", "avx2 avx512_bf16"))
    assert recipes._digest_of_lines(tmp_path / "cpuinfo", recipes._PROCESSOR) != one
    assert recipes._digest_of_lines(tmp_path / "nothing") is None
    monkeypatch.setattr(metadata, "version", lambda _library: "0.1")
    assert recipe() != before


def test_the_code_that_computes_and_the_code_that_keeps_are_part_of_it(tmp_path, monkeypatch):
    names = ("datasets/merge.py", "features/extract.py", "images/decode.py", "seeding.py", "cache/store.py")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    monkeypatch.setattr(recipes, "_PACKAGE", tmp_path)
    digests = []
    for name in names:
        code_digest.cache_clear()
        digests.append(circumstances(["features", "images", "seeding.py"], [])["code"])
        (tmp_path / name).write_text("x = 2\n")
    code_digest.cache_clear()
    digests.append(circumstances(["features", "images", "seeding.py"], [])["code"])
    assert digests[0] == digests[1]
    assert len(set(digests)) == 5
    code_digest.cache_clear()
