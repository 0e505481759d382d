"""A GPU and a build of torch, judged of planted facts and read of this machine."""

import pytest
import torch

from tandem.doctor.gpu import _ASK_TORCH, Gpu, _build, judge_gpu, look_for_gpu

H200 = ("NVIDIA H200",)


@pytest.mark.parametrize(
    ("gpu", "device", "level", "words"),
    [
        (Gpu((), "", "cuda 13.0", ()), "auto", "ok", "torch computes on the processor"),
        (Gpu((), "", "cuda 13.0", ()), "cpu", "ok", "none is found"),
        (Gpu((), "", "cuda 13.0", ()), "cuda", "error", "runtime.device is cuda, and no GPU is found here"),
        (Gpu(H200, "580.1", "cuda 13.0", ("cuda",)), "auto", "ok", "NVIDIA H200 (driver 580.1); torch for cuda 13.0"),
        (
            Gpu(H200, "580.1", "cpu", ()),
            "auto",
            "note",
            "NVIDIA H200 (driver 580.1) is there, and torch is a build for",
        ),
        (Gpu(H200, "580.1", "cpu", ()), "cuda", "error", "install a build of torch for the GPU"),
        (Gpu(H200, "470.5", "cuda 13.0", ()), "auto", "note", "torch for cuda 13.0 cannot use it; update the driver"),
        (Gpu(H200, "470.5", "cuda 13.0", ()), "cuda", "error", "cannot use it"),
        (Gpu(("Apple GPU",), "", "mps", ("mps",)), "mps", "ok", "torch for mps computes on it"),
        (Gpu(H200, "580.1", "cuda 13.0", ("cuda",)), "mps", "error", "cannot use it"),
    ],
)
def test_a_gpu_is_used_or_it_is_said_why_not(gpu, device, level, words):
    (found,) = judge_gpu(gpu, device=device)
    assert found.level == level
    assert words in str(found)


def test_a_gpu_is_named_once():
    (found,) = judge_gpu(Gpu(H200 * 8, "580.1", "cuda 13.0", ("cuda",)), device="auto")
    assert found.text.count("H200") == 1


@pytest.mark.parametrize(
    ("text", "is_mac", "build"),
    [
        ("__version__ = '2.12.0+cpu'\ncuda: Optional[str] = None\nhip: Optional[str] = None\n", False, "cpu"),
        ("cuda: Optional[str] = '13.0'\nhip: Optional[str] = None\n", False, "cuda 13.0"),
        ("cuda = '12.8'\n", False, "cuda 12.8"),
        ("cuda: Optional[str] = None\nhip: Optional[str] = '6.3'\n", False, "rocm 6.3"),
        ("cuda: Optional[str] = None\n", True, "mps"),
        ("", True, ""),
    ],
)
def test_a_build_is_known_by_the_file_of_its_version(text, is_mac, build):
    assert _build(text, is_mac=is_mac) == build


def test_what_is_read_of_torch_is_what_torch_says_of_itself():
    found = look_for_gpu()
    assert found.build.removeprefix("cuda ") == (torch.version.cuda or found.build)
    assert not found.names or torch.cuda.is_available() == ("cuda" in found.usable)


def test_what_torch_is_asked_in_a_process_of_its_own_is_which_kinds_it_finds(capsys):
    exec(_ASK_TORCH, {})
    assert ("cuda" in capsys.readouterr().out.split()) == torch.cuda.is_available()
