"""What tests of ingest share."""

from collections import Counter

import pytest

from tandem.datasets import decoding as module


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> Counter[bytes]:
    """How often each file's bytes were decoded."""
    counts, encode = Counter[bytes](), module.encode_images

    def counted(data: bytes, *arguments: object, **options: object) -> object:
        counts[data] += 1
        return encode(data, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "encode_images", counted)
    return counts
