"""A file of weights before torch reads it: there, whole, and the one that is meant. Tested in
tests/features/test_weights.py.
"""

from pathlib import Path

from tandem.errors import WeightsError
from tandem.files import is_lfs_pointer, sha256


def require_weights_file(path: Path, *, digest: str) -> None:
    """Raise WeightsError unless a path leads to a file whose sha256 begins with `digest`."""
    if path.is_dir():
        raise WeightsError(f"the weights file {path} is a folder; name the file in it that torch.save wrote")
    if not path.is_file():
        raise WeightsError(f"the weights file {path} is missing; correct the path or download the file")
    try:
        with path.open("rb") as file:
            is_pointer = is_lfs_pointer(file.read(64))
        actual = sha256(path)
    except OSError as error:
        raise WeightsError(
            f"the weights file {path} cannot be read ({error.strerror}); check its permissions"
        ) from None
    if is_pointer:
        raise WeightsError(f"the weights file {path} is a pointer of Git LFS; run `git lfs pull` where it was cloned")
    if not path.stat().st_size:
        raise WeightsError(f"the weights file {path} is empty; download it again")
    if not actual.startswith(digest):
        raise WeightsError(
            f"the weights file {path} has sha256 {actual}, not {digest}: it is damaged or another one; delete it and "
            "download it again, or state its own digest if it is the right one"
        )
