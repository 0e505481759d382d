"""The benchmark on a GPU where there is none."""

import sys
from pathlib import Path

import pytest
import torch


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_without_a_cuda_device_it_says_so_and_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import gpu  # not at the top: it brings torch's compiler, two seconds of each of pytest's workers

    monkeypatch.setattr(sys, "argv", ["gpu.py", "--images", str(tmp_path)])
    with pytest.raises(SystemExit, match="error: torch finds no CUDA device here"):
        gpu.main()
